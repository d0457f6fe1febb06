//! Numbers as bytes: what a corpus is mostly made of, hence without the machinery of `format!`.

/// Decimal, without zeros in front.
pub(super) fn decimal(out: &mut Vec<u8>, number: u64) {
    padded(out, number, number.checked_ilog10().unwrap_or(0) as usize + 1);
}

/// The last `width` decimal digits, with zeros in front; 20 at most.
pub(super) fn padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let width = width.min(digits.len());
    for digit in digits[..width].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[..width]);
}

/// The last `width` hexadecimal digits, with zeros in front; 16 at most.
pub(super) fn hex(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 16];
    let width = width.min(digits.len());
    for digit in digits[..width].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
    out.extend_from_slice(&digits[..width]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_would() {
        for number in [0, 1, 9, 10, 99, 4096, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            decimal(&mut out, number);
            out.push(b' ');
            padded(&mut out, number % 1000, 4);
            out.push(b' ');
            hex(&mut out, number, 16);
            let expected = format!("{number} {:04} {number:016x}", number % 1000);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
