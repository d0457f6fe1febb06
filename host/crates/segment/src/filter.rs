//! The filter of a block or of a part of a segment: which words certainly do not occur.

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader};
use weir_record::limits::SEGMENT_FILTER_BYTES_MAX;

use crate::error::Damage;
use crate::fuse::Shape;
use crate::pages::{PagedFilter, Pages};
use crate::token::{hash, is_filtered, is_word};

/// A filter, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    kind: Kind<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    /// There is no filter: any word may occur.
    All,
    /// There is no word at all.
    Nothing,
    /// Of version 1: a byte each.
    Fuse(Shape, &'a [u8]),
    /// Of version 2, checked.
    Paged(Pages, &'a [u8]),
}

impl<'a> Filter<'a> {
    /// A filter of version 1 that fills `bytes`. `None` when they make none.
    ///
    /// No bytes: any word may occur. Otherwise seed (8, little-endian), bits of a segment (u8), zero (3), number
    /// of starting segments (4, little-endian), then (starting segments + 2) << bits fingerprints of one byte.
    /// Without starting segments there is no fingerprint and no word.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Filter<'a>>, CodecError> {
        if bytes.is_empty() {
            return Ok(Some(Filter { kind: Kind::All }));
        }
        let mut reader = Reader::new(bytes);
        let seed = u64::from_le_bytes(reader.array("seed of a filter")?);
        let [segment_bits, zeros @ ..] = reader.array::<4>("shape of a filter")?;
        let segments = u32::from_le_bytes(reader.array("size of a filter")?);
        let prints = reader.rest();
        if zeros != [0; 3] {
            return Ok(None);
        }
        if segments == 0 {
            return Ok(prints.is_empty().then_some(Filter { kind: Kind::Nothing }));
        }
        if segment_bits > 18 || segments as usize > SEGMENT_FILTER_BYTES_MAX {
            return Ok(None);
        }
        let shape = Shape { seed, segment_bits: u32::from(segment_bits), segments };
        Ok((shape.len() == prints.len()).then_some(Filter { kind: Kind::Fuse(shape, prints) }))
    }

    /// A filter of version 2, of all of its pages.
    pub(crate) fn paged(filter: PagedFilter, bytes: &'a [u8], salt: RecordId) -> Result<Filter<'a>, Damage> {
        let kind = match filter {
            PagedFilter::Open => Kind::All,
            PagedFilter::Empty => Kind::Nothing,
            PagedFilter::Fuse(pages) => {
                pages.check(bytes, salt)?;
                Kind::Paged(pages, bytes)
            }
        };
        Ok(Filter { kind })
    }

    /// Whether a whole word may occur, in whatever ASCII case; `false` is certain, `true` wrong for a few absent
    /// words. What is not one word, or not [filtered](is_filtered), cannot be judged and may occur.
    pub fn may_contain_word(&self, word: &[u8]) -> bool {
        if !is_filtered(word) || !word.iter().copied().all(is_word) {
            return true;
        }
        self.may_contain_hash(hash(word))
    }

    /// The same for a word of which the hash is known already; see [`hash`].
    pub fn may_contain_hash(&self, hash: u64) -> bool {
        match self.kind {
            Kind::All => true,
            Kind::Nothing => false,
            Kind::Paged(pages, bytes) => pages.may_contain_hash(bytes, hash),
            Kind::Fuse(shape, prints) => {
                let ([a, b, c], print) = shape.places(hash.max(1));
                prints[a] ^ prints[b] ^ prints[c] == print
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::Builder;
    use alloc::format;
    use alloc::vec::Vec;

    /// As version 1 wrote it.
    fn encode(out: &mut Vec<u8>, hashes: &[u64]) {
        if hashes.is_empty() {
            out.extend_from_slice(&[0; 16]);
            return;
        }
        // Without a filter nothing is skipped and nothing is missed.
        let mut builder = Builder::default();
        let Some((shape, prints)) = builder.build(hashes) else { return };
        out.extend_from_slice(&shape.seed.to_le_bytes());
        out.extend_from_slice(&[shape.segment_bits as u8, 0, 0, 0]);
        out.extend_from_slice(&shape.segments.to_le_bytes());
        out.extend_from_slice(prints);
    }

    #[test]
    fn no_word_is_missed_and_few_others_are_found() {
        let known: Vec<u64> = (0..18_000).map(|n| hash(format!("word_{n}").as_bytes())).collect();
        let mut bytes = Vec::new();
        encode(&mut bytes, &known);
        let filter = Filter::read(&bytes).unwrap().unwrap();
        assert!((0..18_000).all(|n| filter.may_contain_word(format!("Word_{n}").as_bytes())));
        let wrong = (0..100_000).filter(|n| filter.may_contain_word(format!("other{n}").as_bytes())).count();
        // One in 256 is 391; this is more than five standard deviations away.
        assert!((280..500).contains(&wrong), "{wrong}");
        assert!(filter.may_contain_word(b"") && filter.may_contain_word(b"two words"));
    }

    #[test]
    fn no_words_and_no_filter_are_two_things() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &[]);
        assert!(!Filter::read(&bytes).unwrap().unwrap().may_contain_word(b"word"));
        assert!(Filter::read(&[]).unwrap().unwrap().may_contain_word(b"word"));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &[1, 2, 3]);
        for cut in 1..bytes.len() {
            assert!(!matches!(Filter::read(&bytes[..cut]), Ok(Some(_))), "{cut}");
        }
        for (at, value) in [(8, 19), (9, 1), (12, 0xff), (15, 0xff)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(!matches!(Filter::read(&changed), Ok(Some(_))), "{at}");
        }
    }
}
