//! Decimal numbers as text, compared by value and exactly: no digit is lost to floating point.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Exponents beyond count as this: there is no log with more digits.
const EXPONENT_MAX: i64 = 1 << 40;

/// A number where it stands: `-12.50e3`.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a> {
    negative: bool,
    // Without zeros in front.
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    /// The number with which a text begins, and its length: a sign, digits with or without a point, an
    /// exponent. No hexadecimal, no infinity.
    pub fn prefix(bytes: &'a [u8]) -> Option<(Number<'a>, usize)> {
        let (negative, mut at) = match bytes.first()? {
            b'-' => (true, 1),
            b'+' => (false, 1),
            _ => (false, 0),
        };
        let whole = digits(&bytes[at..]);
        at += whole.len();
        let fraction = match bytes.get(at) {
            Some(b'.') => digits(&bytes[at + 1..]),
            _ => &[],
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        if bytes.get(at) == Some(&b'.') {
            at += 1 + fraction.len();
        }
        let mut exponent = 0;
        if let Some(b'e' | b'E') = bytes.get(at) {
            let sign = bytes.get(at + 1).filter(|byte| matches!(byte, b'-' | b'+'));
            let from = at + 1 + usize::from(sign.is_some());
            let power = digits(&bytes[from..]);
            if !power.is_empty() {
                let value = power
                    .iter()
                    .fold(0, |value: i64, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
                exponent = if sign == Some(&b'-') { -value } else { value };
                at = from + power.len();
            }
        }
        let zeros = whole.iter().take_while(|digit| **digit == b'0').count();
        Some((Number { negative, whole: &whole[zeros..], fraction, exponent }, at))
    }

    /// The number that a text is.
    pub fn parse(bytes: &'a [u8]) -> Option<Number<'a>> {
        Number::prefix(bytes).filter(|(_, length)| *length == bytes.len()).map(|(number, _)| number)
    }

    /// The power of ten of the first digit that is not zero, and the digits from there on; `None` for zero.
    fn significant(&self) -> Option<(i64, impl Iterator<Item = u8>)> {
        let (power, whole, fraction) = if self.whole.is_empty() {
            let zeros = self.fraction.iter().position(|digit| *digit != b'0')?;
            (-(zeros as i64), self.whole, &self.fraction[zeros..])
        } else {
            (self.whole.len() as i64, self.whole, self.fraction)
        };
        Some((power + self.exponent, whole.iter().chain(fraction).copied()))
    }
}

fn digits(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())]
}

/// A number to compare others with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    power: i64,
    // Without zeros in front and at the end; empty for zero.
    digits: Vec<u8>,
}

impl Decimal {
    /// The number, to be kept.
    pub fn new(number: Number<'_>) -> Decimal {
        let Some((power, digits)) = number.significant() else {
            return Decimal { negative: false, power: 0, digits: Vec::new() };
        };
        let mut digits: Vec<u8> = digits.collect();
        digits.truncate(digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1));
        Decimal { negative: number.negative, power, digits }
    }

    /// How a number lies to this one: `Greater` when it is greater.
    pub fn order_of(&self, number: Number<'_>) -> Ordering {
        let sign = |negative| if negative { Ordering::Less } else { Ordering::Greater };
        let Some((power, digits)) = number.significant() else {
            return if self.digits.is_empty() { Ordering::Equal } else { sign(self.negative).reverse() };
        };
        if self.digits.is_empty() || number.negative != self.negative {
            return sign(number.negative);
        }
        let size = power.cmp(&self.power).then_with(|| self.order_of_digits(digits));
        if self.negative { size.reverse() } else { size }
    }

    fn order_of_digits(&self, mut digits: impl Iterator<Item = u8>) -> Ordering {
        for own in &self.digits {
            let order = digits.next().unwrap_or(b'0').cmp(own);
            if order != Ordering::Equal {
                return order;
            }
        }
        if digits.any(|digit| digit != b'0') { Ordering::Greater } else { Ordering::Equal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(a: &str, b: &str) -> Ordering {
        Decimal::new(Number::parse(b.as_bytes()).unwrap()).order_of(Number::parse(a.as_bytes()).unwrap())
    }

    #[test]
    fn numbers_compare_by_value_and_exactly() {
        for (a, b) in [
            ("500", "5e2"),
            ("500", "500.0"),
            ("0", "-0.000"),
            ("+07", "7"),
            (".5", "5e-1"),
            ("5.", "5"),
            ("0.0012", "1.2E-3"),
            ("0e99", "0"),
        ] {
            assert_eq!(order(a, b), Ordering::Equal, "{a} {b}");
            assert_eq!(order(b, a), Ordering::Equal, "{b} {a}");
        }
        for (less, more) in [
            ("12345678901234567890", "12345678901234567891"),
            ("-1", "0"),
            ("-2", "-1.5"),
            ("0.1", "0.10000000000000000000000001"),
            ("9", "10"),
            ("1e400", "1e401"),
            ("-1e999999999999999999999", "1e-999999999999999999999"),
        ] {
            assert_eq!(order(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(order(more, less), Ordering::Greater, "{more} {less}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".", "e5", "1e", "1.2.3", "0x1f", "1_000", "NaN", "inf", "1 ", "--1", "1e+"] {
            assert!(Number::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_compare_as_fixed_points_do(
            a in -2000_i64..2000, b in -2000_i64..2000, a_shift in 0_i32..3, b_shift in 0_i32..3,
        ) {
            let text = |n: i64, shift: i32| alloc::format!("{}e{shift}", n as f64 / 100.0);
            let value = |n: i64, shift: i32| n * 10_i64.pow(shift as u32);
            prop_assert_eq!(order(&text(a, a_shift), &text(b, b_shift)), value(a, a_shift).cmp(&value(b, b_shift)));
        }
    }
}
