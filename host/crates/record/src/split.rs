//! Input longer than a record may be, cut into parts that say so.

use crate::limits::RECORD_BYTES_MAX;

/// Which part of a longer record this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The record is whole.
    Whole,
    /// The first part of several.
    First,
    /// Neither first nor last.
    Middle,
    /// The last part.
    Last,
}

impl Part {
    /// The value of the label [`PART_LABEL`](crate::stream::PART_LABEL), `None` when whole.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Part::Whole => None,
            Part::First => Some("first"),
            Part::Middle => Some("middle"),
            Part::Last => Some("last"),
        }
    }
}

/// The parts of a payload, each at most [`RECORD_BYTES_MAX`], in order. An empty payload is one part.
pub fn parts(payload: &[u8]) -> impl Iterator<Item = (Part, &[u8])> {
    let count = payload.len().div_ceil(RECORD_BYTES_MAX).max(1);
    (0..count).map(move |index| {
        let from = index * RECORD_BYTES_MAX;
        let to = payload.len().min(from + RECORD_BYTES_MAX);
        let part = match (count, index) {
            (1, _) => Part::Whole,
            (_, 0) => Part::First,
            (count, index) if index + 1 == count => Part::Last,
            _ => Part::Middle,
        };
        (part, &payload[from..to])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn parts_put_together_are_the_whole() {
        for (bytes, expected) in [
            (0, vec![Part::Whole]),
            (RECORD_BYTES_MAX, vec![Part::Whole]),
            (RECORD_BYTES_MAX + 1, vec![Part::First, Part::Last]),
            (3 * RECORD_BYTES_MAX, vec![Part::First, Part::Middle, Part::Last]),
        ] {
            let payload: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
            let (marks, pieces): (Vec<_>, Vec<_>) = parts(&payload).unzip();
            assert_eq!(marks, expected);
            assert_eq!(pieces.concat(), payload);
        }
    }
}
