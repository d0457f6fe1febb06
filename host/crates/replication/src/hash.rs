//! The hashes that nodes must agree on. They are for ever: another function would move every unit.

use alloc::string::ToString as _;

use sha2::{Digest as _, Sha256};
use weir_segment::Unit;

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection in which every bit of the input changes
/// half of the output.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Takes in one more number.
pub(crate) const fn fold(hash: u64, value: u64) -> u64 {
    mix(hash ^ mix(value.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// The first 8 bytes, big-endian, of the SHA-256 of the unit as text.
pub(crate) fn of_unit(unit: &Unit) -> u64 {
    let digest = Sha256::digest(unit.to_string().as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_that_other_nodes_compute() {
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        let unit = Unit::new(3_600_000, 3_600_000, "default", 0, 1).unwrap();
        assert_eq!(of_unit(&unit), 0xfd09_2aa2_97ca_d7cd);
        assert_eq!(fold(1, 2), 0xf282_6f98_653e_9e57);
    }
}
