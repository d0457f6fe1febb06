//! How names and numbers stand in JSON: 64 and 128 bits as hex digits, for the number of JSON holds 53;
//! names in the form that they have everywhere else.

#![allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls these functions so")]

/// Sixteen hex digits.
pub(super) mod hex64 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::hex::<8>(&text).map(u64::from_be_bytes).ok_or_else(|| D::Error::custom("not 16 hex digits"))
    }
}

/// Thirty-two hex digits.
pub(super) mod hex128 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:032x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::hex::<16>(&text).map(u128::from_be_bytes).ok_or_else(|| D::Error::custom("not 32 hex digits"))
    }
}

/// A record digest as 32 hex digits.
pub(super) mod digest {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use weir_segment::RecordDigest;

    pub(crate) fn serialize<S: Serializer>(value: &RecordDigest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RecordDigest, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::hex(&text).map(RecordDigest).ok_or_else(|| D::Error::custom("not 32 hex digits"))
    }
}

/// Whatever has a text form.
pub(super) mod shown {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The same where it may be absent.
pub(super) mod shown_or_null {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse()).transpose().map_err(D::Error::custom)
    }
}

/// Several of what has a text form.
pub(super) mod all_shown {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        values: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// Bytes as base64; `null` for none at all.
pub(super) mod base64_or_null {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let bytes = text.map(|text| STANDARD.decode(text)).transpose().map_err(D::Error::custom)?;
        Ok(bytes.map(Bytes::from))
    }
}

/// Hex digits, two for each byte, neither more nor less. Both cases are read, small letters are written.
pub(crate) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_two_digits_for_each_byte() {
        for (text, expected) in [
            ("00ff", Some([0, 255])),
            ("Ab09", Some([0xab, 9])),
            ("00f", None),
            ("00fff", None),
            ("+0ff", None),
            ("é0f", None),
            ("", None),
        ] {
            assert_eq!(hex::<2>(text), expected, "{text}");
        }
    }
}

/// Which list, by its name.
pub(crate) mod place {
    use serde::{Deserialize as _, Deserializer, Serializer, de};
    use weir_replication::Place;

    pub(crate) fn serialize<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(place)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Place, D::Error> {
        let text = String::deserialize(deserializer)?;
        let all = [Place::Backlog, Place::Store];
        let known = all.into_iter().find(|place| place.to_string() == text);
        known.ok_or_else(|| de::Error::custom("expected backlog or store"))
    }
}
