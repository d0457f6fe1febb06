//! Card numbers: 13 to 19 digits, alone or in groups, whose last one is the check of Luhn (ISO/IEC 7812-1).

use std::ops::Range;

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// Tells where card numbers stand.
pub(crate) fn find(text: &[u8], mut tell: impl FnMut(Range<usize>)) {
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(u8::is_ascii_digit) {
        let start = at + found;
        let is_inside = start > 0 && is_joined(text[start - 1]);
        match if is_inside { None } else { end(text, start) } {
            Some(end) => {
                tell(start..end);
                at = end;
            }
            // On to the next group of digits.
            None => at = start + text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
        }
    }
}

/// Whether a byte directly before or after makes digits a part of something else: an id, a fraction.
fn is_joined(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// Where the card number ends that begins at a digit: the longest, if there is one.
fn end(text: &[u8], start: usize) -> Option<usize> {
    let (mut digits, mut count, mut longest) = ([0; DIGITS_MAX], 0, None);
    let mut at = start;
    while count < DIGITS_MAX {
        let digit = text.get(at).filter(|byte| byte.is_ascii_digit())?;
        digits[count] = digit - b'0';
        (count, at) = (count + 1, at + 1);
        let next = text.get(at).copied().unwrap_or(b' ');
        // A dot may end the sentence.
        let ends = !is_joined(next) || next == b'.' && !text.get(at + 1).is_some_and(u8::is_ascii_digit);
        if ends && count >= DIGITS_MIN && is_card(&digits[..count]) {
            longest = Some(at);
        }
        if matches!(next, b' ' | b'-') {
            if !text.get(at + 1).is_some_and(u8::is_ascii_digit) {
                break;
            }
            at += 1;
        } else if !next.is_ascii_digit() {
            break;
        }
    }
    longest
}

/// Cards begin with 2 to 6; what begins with 1 is rather a time.
fn is_card(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = (digits.iter().rev().enumerate())
        .map(|(place, digit)| u32::from(if place.is_multiple_of(2) { *digit } else { doubled(*digit) }))
        .sum();
    matches!(digits[0], 2..=6) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_told_from_other_numbers() {
        for (text, expected) in [
            ("4111111111111111", &["4111111111111111"][..]),
            ("n=4111-1111-1111-1111;", &["4111-1111-1111-1111"]),
            ("378282246310005, 6011000990139424.", &["378282246310005", "6011000990139424"]),
            ("12 5555 5555 5555 4444 x", &["5555 5555 5555 4444"]),
            ("4111111111111112", &[]),
            ("x4111111111111111 4111111111111111x 0.4111111111111111", &[]),
            ("41111111111111111111111", &[]),
            ("1793527200049200000", &[]),
            ("4111 1111 1111", &[]),
            ("", &[]),
        ] {
            let mut found = Vec::new();
            find(text.as_bytes(), |range| found.push(&text[range]));
            assert_eq!(found, expected, "{text}");
        }
    }
}
