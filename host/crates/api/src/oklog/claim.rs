//! The name of a claim: a random UUID, as OK Log's stores repeat it.

use std::fmt;
use std::str::FromStr;

/// Names one claim. Never used twice: a piece that is claimed again has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(u128);

/// Text that is no claim. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a claim is a UUID of 36 characters")]
pub struct NotAClaim;

impl ClaimId {
    /// A claim of 128 random bits; six of them give way to the marks of a version 4 UUID.
    pub const fn of_entropy(entropy: u128) -> ClaimId {
        const MARKS: u128 = 0xf000 << 64 | 0xc0 << 56;
        ClaimId(entropy & !MARKS | 0x4000 << 64 | 0x80 << 56)
    }
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (first, rest) = digits.split_at(8);
        write!(f, "{first}-{}-{}-{}-{}", &rest[..4], &rest[4..8], &rest[8..12], &rest[12..])
    }
}

impl FromStr for ClaimId {
    type Err = NotAClaim;

    fn from_str(text: &str) -> Result<ClaimId, NotAClaim> {
        let shaped = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        let digits = text.replace('-', "");
        let id = u128::from_str_radix(&digits, 16).ok().filter(|_| shaped);
        id.map(ClaimId).ok_or(NotAClaim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_a_uuid_of_version_4_and_reads_back() {
        for entropy in [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let claim = ClaimId::of_entropy(entropy);
            let text = claim.to_string();
            assert_eq!((text.len(), text.as_bytes()[14]), (36, b'4'), "{text}");
            assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
            assert_eq!(text.parse(), Ok(claim));
        }
        for text in [
            "",
            "x",
            "00000000-0000-4000-8000-00000000000",
            "00000000-0000-4000-8000-00000000000g",
            "00000000+0000-4000-8000-000000000000",
            "+0000000-0000-4000-8000-000000000000",
        ] {
            assert_eq!(text.parse::<ClaimId>(), Err(NotAClaim), "{text}");
        }
    }
}
