//! The secret of a token as people carry it.
//!
//! `weir_`, 64 hex digits (256 random bits), 8 hex digits (CRC-32C of all before them). The beginning and the checksum
//! let a scanner of repositories and logs tell a leaked one from any other text.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use crate::wire::peer::text::hex;

const START: &str = "weir_";
const RANDOM_BYTES: usize = 32;
/// Of the whole text.
const LENGTH: usize = START.len() + 2 * RANDOM_BYTES + 8;

/// A secret. Never shown but by [`Secret::reveal`], not even to debuggers.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Text that is no secret of a token. The text is not repeated: it may be a secret with a slip in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no token of weir: those are weir_ and 72 hex digits; see weir token new --help")]
pub struct NotASecret;

impl Secret {
    /// The secret of 256 random bits, which somebody else has drawn.
    pub fn of_random(bits: [u8; RANDOM_BYTES]) -> Secret {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(START);
        for byte in bits {
            push_hex(&mut text, byte);
        }
        let sum = crc32c::crc32c(text.as_bytes());
        for byte in sum.to_be_bytes() {
            push_hex(&mut text, byte);
        }
        Secret(text)
    }

    /// The text, for the one who is to carry it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a node keeps of it. It has 256 random bits, so nobody finds it by trying, and a slow hash would only cost
    /// every request its time.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// As a header that no log shows.
    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn push_hex(text: &mut String, byte: u8) {
    text.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
}

impl FromStr for Secret {
    type Err = NotASecret;

    /// White space around it does not count.
    fn from_str(text: &str) -> Result<Secret, NotASecret> {
        let text = text.trim();
        let read = || {
            let digits = text.strip_prefix(START).filter(|_| text.len() == LENGTH)?;
            let secret = Secret::of_random(hex(digits.get(..2 * RANDOM_BYTES)?)?);
            (secret.0 == text).then_some(secret)
        };
        read().ok_or(NotASecret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_told_from_every_text_with_a_slip_and_never_shown() {
        let secret = Secret::of_random([0xa5; 32]);
        let text = secret.reveal().to_owned();
        assert_eq!((text.len(), text.starts_with("weir_a5a5")), (77, true), "{text}");
        assert_eq!(format!(" {text}\n").parse(), Ok(secret.clone()));
        assert!(!format!("{secret:?} {:?}", secret.to_header().unwrap()).contains("a5"));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(String::from_utf8(bytes).unwrap().parse::<Secret>(), Err(NotASecret), "{at}");
        }
        for other in
            ["", "weir_", &text[1..], &text[..76], &text.to_uppercase(), &format!("{text}0"), "weir_é"]
        {
            let error = other.parse::<Secret>().unwrap_err();
            assert!(other.len() < 6 || !error.to_string().contains(other), "{error}");
        }
        // Computed by other means: sha256sum.
        let zero = Secret::of_random([0; 32]);
        assert_eq!(zero.reveal().len(), 77);
        assert_ne!(zero.sha256(), secret.sha256());
    }
}
