//! What stands for a record where records are counted and not shown.

use crate::histogram::LEVELS;

/// Stands for a payload beside its id: enough to tell whether two nodes have the same record, and of which
/// level it is. As bytes, in order: the first 16 bytes of the SHA-256 of the payload; the level (u8).
///
/// The stream is left out on purpose: records with equal id and payload are shown once whatever their streams
/// are (see [`weir_record::merge`]), so they must be counted once, too. Nobody can make two payloads of one
/// fingerprint, so no sender can hide a record from a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; Fingerprint::BYTES]);

impl Fingerprint {
    /// Its length.
    pub const BYTES: usize = 17;

    /// Of a digest and a level.
    ///
    /// # Panics
    /// When there is no such level: a programming error.
    pub fn new(digest: [u8; 16], level: usize) -> Fingerprint {
        assert!(level < LEVELS, "a level is one of those counted");
        let mut bytes = [level as u8; Fingerprint::BYTES];
        bytes[..16].copy_from_slice(&digest);
        Fingerprint(bytes)
    }

    /// Of the payload of a row that carries one; `None` when it is none.
    pub fn read(payload: &[u8]) -> Option<Fingerprint> {
        let bytes: [u8; Fingerprint::BYTES] = payload.try_into().ok()?;
        (usize::from(bytes[16]) < LEVELS).then_some(Fingerprint(bytes))
    }

    /// As the payload of a row.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digest of the payload.
    pub fn digest(&self) -> [u8; 16] {
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.0[..16]);
        digest
    }

    /// The level of the record.
    pub fn level(&self) -> usize {
        usize::from(self.0[16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_round_trips_and_nothing_else_is_one() {
        let print = Fingerprint::new([7; 16], 3);
        assert_eq!(Fingerprint::read(print.as_bytes()), Some(print));
        assert_eq!(print.level(), 3);
        let mut other = print.as_bytes().to_vec();
        assert_eq!(Fingerprint::read(&other[..16]), None);
        other[16] = LEVELS as u8;
        assert_eq!(Fingerprint::read(&other), None);
    }
}
