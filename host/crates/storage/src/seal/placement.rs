//! Which partition a record goes to.

use weir_record::RecordId;
use weir_record::limits::UNIT_KEYED_PARTITIONS;
use weir_segment::OriginName;

/// The partition of a plain origin: a hash of its name, so that it goes there whole.
pub(super) fn partition_of(name: OriginName, partitions: u16) -> u16 {
    let OriginName { node, epoch, piece } = name;
    let hash = [node, epoch, piece].into_iter().fold(0, |hash, part| mix(hash ^ part));
    (hash % u64::from(partitions.max(1))) as u16
}

/// The partition of a keyed record: a hash of its id, so that equal ones meet.
pub(super) fn keyed_partition(id: RecordId) -> u16 {
    let bits = id.to_u128();
    (mix(mix((bits >> 64) as u64) ^ bits as u64) % u64::from(UNIT_KEYED_PARTITIONS)) as u16
}

/// Spreads every bit over all others.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 29).wrapping_mul(0xd6e8_feb8_6659_fd93);
    value ^ value >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_spread_evenly() {
        let mut counts = [[0_u32; 16]; 2];
        for piece in 0..16_000 {
            let name = OriginName { node: 7, epoch: 2, piece };
            counts[0][usize::from(partition_of(name, 16))] += 1;
            counts[1][usize::from(keyed_partition(RecordId::from_u128(u128::from(piece) << 40)))] += 1;
        }
        assert!(counts.iter().flatten().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
