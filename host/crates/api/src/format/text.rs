//! The small texts of an answer, written without a formatter: ids, times, JSON strings.

use weir_record::RecordId;

/// Appends an id as 26 characters of Crockford base32.
pub(crate) fn push_id(out: &mut Vec<u8>, id: RecordId) {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let bits = id.to_u128();
    let mut text = [0; 26];
    for (at, byte) in text.iter_mut().enumerate() {
        *byte = DIGITS[(bits >> (125 - 5 * at)) as usize & 31];
    }
    out.extend_from_slice(&text);
}

/// Appends Unix milliseconds as RFC 3339 in UTC: `2026-08-23T09:05:07.042Z`. Years after 9999 have five
/// digits, which RFC 3339 does not know but sorts out by itself.
pub(crate) fn push_time(out: &mut Vec<u8>, time_ms: u64) {
    let (days, of_day_ms) = (time_ms / 86_400_000, time_ms % 86_400_000);
    let (year, month, day) = civil_from_days(days);
    if year > 9999 {
        out.push(b'0' + (year / 10_000) as u8);
    }
    push_digits::<4>(out, year % 10_000);
    out.push(b'-');
    push_digits::<2>(out, month);
    out.push(b'-');
    push_digits::<2>(out, day);
    out.push(b'T');
    push_digits::<2>(out, of_day_ms / 3_600_000);
    out.push(b':');
    push_digits::<2>(out, of_day_ms / 60_000 % 60);
    out.push(b':');
    push_digits::<2>(out, of_day_ms / 1000 % 60);
    out.push(b'.');
    push_digits::<3>(out, of_day_ms % 1000);
    out.push(b'Z');
}

/// Appends a payload as one line of OK Log: a newline is written as `\n`, everything else as it is.
pub fn push_escaped(out: &mut Vec<u8>, payload: &[u8]) {
    let mut from = 0;
    for newline in memchr::memchr_iter(b'\n', payload) {
        out.extend_from_slice(&payload[from..newline]);
        out.extend_from_slice(b"\\n");
        from = newline + 1;
    }
    out.extend_from_slice(&payload[from..]);
}

/// Unix milliseconds as RFC 3339 in UTC, cut to seconds.
pub(crate) fn rfc3339_s(time_ms: u64) -> String {
    let mut text = rfc3339_ms(time_ms);
    text.truncate(text.len() - ".000Z".len());
    text.push('Z');
    text
}

/// Unix milliseconds as [`push_time`] writes them.
pub fn rfc3339_ms(time_ms: u64) -> String {
    let mut out = Vec::with_capacity(25);
    push_time(&mut out, time_ms);
    String::from_utf8(out).unwrap_or_default()
}

fn push_digits<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Days since 1970-01-01 as year, month, day. The year is counted from March, so that the leap day is the
/// last of its year and the lengths of the months follow one linear formula.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_MARCH_0000: u64 = 719_468;
    const ERA_DAYS: u64 = 146_097;
    let days = days + DAYS_TO_MARCH_0000;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Appends text as the inside of a JSON string.
pub(crate) fn push_json(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = next_special(bytes, from) {
        out.extend_from_slice(&bytes[from..at]);
        let byte = bytes[at];
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
}

/// The next byte at or after `from` that a JSON string must escape. Looks at eight bytes at a time: most
/// log lines have none or few.
fn next_special(bytes: &[u8], mut from: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = ONES * b'"' as u64;
    const SLASHES: u64 = ONES * b'\\' as u64;
    const CONTROLS: u64 = ONES * 0x20;
    // A byte is zero where subtracting one borrows although its high bit was clear.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(chunk) = bytes.get(from..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let controls = word.wrapping_sub(CONTROLS) & !word & HIGHS;
        let found = zeros(word ^ QUOTES) | zeros(word ^ SLASHES) | controls;
        if found != 0 {
            // Borrows only spoil bytes above the lowest one found.
            return Some(from + (found.trailing_zeros() / 8) as usize);
        }
        from += 8;
    }
    let rest = bytes.get(from..)?.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\')?;
    Some(from + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_record::id::TIME_MS_MAX;

    proptest! {
        #[test]
        fn ids_are_written_as_they_display(bits in any::<u128>()) {
            let mut out = Vec::new();
            push_id(&mut out, RecordId::from_u128(bits));
            prop_assert_eq!(String::from_utf8(out).unwrap(), RecordId::from_u128(bits).to_string());
        }

        #[test]
        fn times_are_those_of_the_calendar(time_ms in 0..253_402_207_200_000_u64) {
            let expected = jiff::Timestamp::from_millisecond(time_ms as i64).unwrap();
            prop_assert_eq!(rfc3339_ms(time_ms), format!("{expected:.3}"));
        }

        #[test]
        fn json_strings_parse_back(text in any::<String>(), odd in "[\\x00-\\x22\\\\é]{0,40}") {
            for text in [text, odd] {
                let mut out = vec![b'"'];
                push_json(&mut out, &text);
                out.push(b'"');
                prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            }
        }
    }

    #[test]
    fn the_last_time_of_an_id_has_a_text() {
        assert_eq!(rfc3339_ms(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339_ms(TIME_MS_MAX), "10889-08-02T05:31:50.655Z");
    }
}
