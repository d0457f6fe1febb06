//! Filters in pages, each with a sum of its own: a question reads and proves three pages instead of all.
//!
//! Fingerprints of `width` bits lie one after the other in pages of [`PAGE_BYTES`], none across two pages, the
//! first in the lowest bits. Behind the fingerprints of a page, the last one included, which is only as long
//! as it must be, lies its sum (4, little-endian): CRC-32C of the salt (16), the number of the page (4,
//! little-endian) and the bytes of the page. The salt is the lowest id that the filter covers, big-endian, so
//! that a page of another filter does not pass.

use alloc::vec::Vec;
use core::ops::Range;

use weir_record::RecordId;
use weir_record::codec::{CodecError, Reader, put_varint};
use weir_record::limits::SEGMENT_FILTER_BYTES_MAX;

use crate::error::Damage;
use crate::fuse::{Builder, Shape};

/// Bytes of a page.
pub(crate) const PAGE_BYTES: usize = 4096;
const SUM_BYTES: usize = 4;
/// Width of the fingerprints of a leaf: one word in 128 is wrongly found in a leaf whose part has it.
pub(crate) const LEAF_WIDTH: u8 = 7;
/// Width of the fingerprints of a part: one absent word in 16 is looked for in the filters of its leaves.
pub(crate) const PART_WIDTH: u8 = 4;

/// How a filter of version 2 is asked: all of it but the fingerprints, which lie in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PagedFilter {
    /// There is no filter: any word may occur.
    Open,
    /// There is no word at all.
    Empty,
    /// Some words may occur.
    Fuse(Pages),
}

/// Where the fingerprints of a filter lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    shape: Shape,
    /// Bits of a fingerprint, 1 to 8.
    width: u8,
}

/// A fingerprint that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where its page lies among the bytes of the filter.
    pub range: Range<usize>,
    page: u32,
    // Which bit of the page it begins with.
    bit: usize,
}

/// What a word asks of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The fingerprints it touches.
    pub places: [Place; 3],
    print: u8,
}

impl PagedFilter {
    /// Builds the filter of the words with these hashes, of which none is 0 and none occurs twice, and appends
    /// its pages.
    pub(crate) fn build(
        builder: &mut Builder,
        hashes: &[u64],
        width: u8,
        salt: RecordId,
        out: &mut Vec<u8>,
    ) -> PagedFilter {
        if hashes.is_empty() {
            return PagedFilter::Empty;
        }
        // Without a filter nothing is skipped and nothing is missed.
        let Some((shape, prints)) = builder.build(hashes) else { return PagedFilter::Open };
        let pages = Pages { shape, width };
        pages.put(prints, salt, out);
        PagedFilter::Fuse(pages)
    }

    /// Bytes of its pages.
    pub fn bytes(&self) -> usize {
        match self {
            PagedFilter::Open | PagedFilter::Empty => 0,
            PagedFilter::Fuse(pages) => pages.bytes(),
        }
    }

    /// Appends: width (u8), 0 for a filter that excludes nothing; else seed (8, little-endian), bits of a segment
    /// (u8), v starting segments, 0 for no word at all.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (width, shape) = match *self {
            PagedFilter::Open => return out.push(0),
            PagedFilter::Empty => (1, Shape { seed: 0, segment_bits: 0, segments: 0 }),
            PagedFilter::Fuse(Pages { shape, width }) => (width, shape),
        };
        out.push(width);
        out.extend_from_slice(&shape.seed.to_le_bytes());
        out.push(shape.segment_bits as u8);
        put_varint(out, u64::from(shape.segments));
    }

    /// Reads what [`PagedFilter::encode`] wrote; `Ok(None)` when it makes no filter.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<PagedFilter>, CodecError> {
        let [width] = reader.array("width of a filter")?;
        if width == 0 {
            return Ok(Some(PagedFilter::Open));
        }
        let seed = u64::from_le_bytes(reader.array("seed of a filter")?);
        let [segment_bits] = reader.array("shape of a filter")?;
        let segments = reader.bounded("size of a filter", SEGMENT_FILTER_BYTES_MAX)? as u32;
        if segments == 0 {
            return Ok(Some(PagedFilter::Empty));
        }
        let shape = Shape { seed, segment_bits: u32::from(segment_bits), segments };
        if width > 8 || segment_bits > 18 || shape.len() > SEGMENT_FILTER_BYTES_MAX * 8 {
            return Ok(None);
        }
        Ok(Some(PagedFilter::Fuse(Pages { shape, width })))
    }
}

impl Pages {
    fn per_page(self) -> usize {
        (PAGE_BYTES - SUM_BYTES) * 8 / usize::from(self.width)
    }

    /// Bytes of all pages.
    pub fn bytes(self) -> usize {
        let (full, rest) = (self.shape.len() / self.per_page(), self.shape.len() % self.per_page());
        full * PAGE_BYTES + if rest > 0 { self.page_bytes(rest) } else { 0 }
    }

    fn page_bytes(self, prints: usize) -> usize {
        (prints * usize::from(self.width)).div_ceil(8) + SUM_BYTES
    }

    fn put(self, prints: &[u8], salt: RecordId, out: &mut Vec<u8>) {
        let width = u32::from(self.width);
        for (number, page) in prints.chunks(self.per_page()).enumerate() {
            let at = out.len();
            let (mut bits, mut held) = (0_u32, 0_u32);
            for &print in page {
                bits |= (u32::from(print) & ((1 << width) - 1)) << held;
                held += width;
                while held >= 8 {
                    out.push(bits as u8);
                    bits >>= 8;
                    held -= 8;
                }
            }
            if held > 0 {
                out.push(bits as u8);
            }
            if page.len() == self.per_page() {
                out.resize(at + PAGE_BYTES - SUM_BYTES, 0);
            }
            let sum = page_sum(salt, number as u32, &out[at..]);
            out.extend_from_slice(&sum.to_le_bytes());
        }
    }

    /// What the hash of a word asks.
    pub fn question(self, hash: u64) -> Question {
        let (places, print) = self.shape.places(hash.max(1));
        let per_page = self.per_page();
        let places = places.map(|place| {
            let (page, within) = (place / per_page, place % per_page);
            let prints = per_page.min(self.shape.len() - page * per_page);
            let bytes = if prints == per_page { PAGE_BYTES } else { self.page_bytes(prints) };
            let range = page * PAGE_BYTES..page * PAGE_BYTES + bytes;
            Place { range, page: page as u32, bit: within * usize::from(self.width) }
        });
        Question { places, print: print & mask(self.width) }
    }

    /// Checks all pages.
    pub(crate) fn check(self, bytes: &[u8], salt: RecordId) -> Result<(), Damage> {
        if bytes.len() != self.bytes() {
            return Err(Damage::Length { got: bytes.len(), expected: self.bytes() });
        }
        let sound =
            bytes.chunks(PAGE_BYTES).enumerate().all(|(number, page)| is_sound(page, number as u32, salt));
        if sound { Ok(()) } else { Err(Damage::Sum) }
    }

    /// Whether a word may occur, of pages that were checked.
    pub(crate) fn may_contain_hash(self, bytes: &[u8], hash: u64) -> bool {
        let question = self.question(hash);
        let prints = question.places.each_ref().map(|place| self.print(&bytes[place.range.clone()], place));
        question.is_answered(prints)
    }

    fn print(self, page: &[u8], place: &Place) -> u8 {
        // The sum behind the fingerprints is long enough for the byte after the last one.
        let at = place.bit / 8;
        let two = u16::from(page[at]) | u16::from(page[at + 1]) << 8;
        (two >> (place.bit % 8)) as u8 & mask(self.width)
    }

    /// The fingerprint at a place, of the bytes of its page.
    pub fn read_print(self, page: &[u8], place: &Place, salt: RecordId) -> Result<u8, Damage> {
        if page.len() != place.range.len() {
            return Err(Damage::Length { got: page.len(), expected: place.range.len() });
        }
        if is_sound(page, place.page, salt) { Ok(self.print(page, place)) } else { Err(Damage::Sum) }
    }
}

impl Question {
    /// Whether the word may occur, of the fingerprints at the three places.
    pub fn is_answered(&self, [a, b, c]: [u8; 3]) -> bool {
        a ^ b ^ c == self.print
    }
}

fn mask(width: u8) -> u8 {
    (0xff_u16 >> (8 - width)) as u8
}

fn is_sound(page: &[u8], number: u32, salt: RecordId) -> bool {
    let sum = page.split_last_chunk::<SUM_BYTES>();
    sum.is_some_and(|(prints, sum)| page_sum(salt, number, prints) == u32::from_le_bytes(*sum))
}

fn page_sum(salt: RecordId, number: u32, prints: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&salt.to_bytes()), &number.to_le_bytes());
    crc32c::crc32c_append(sum, prints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::hash;
    use alloc::format;

    fn salt() -> RecordId {
        RecordId::lowest_at(7)
    }

    #[test]
    fn no_word_is_missed_and_few_others_are_found_whatever_the_width() {
        for (count, width, one_in) in
            [(1, 4, 16), (700, 8, 256), (18_000, 6, 64), (200_000, 4, 16), (9_000, 1, 2)]
        {
            let known: Vec<u64> = (0..count).map(|n| hash(format!("word_{n}").as_bytes())).collect();
            let mut bytes = Vec::new();
            let PagedFilter::Fuse(pages) =
                PagedFilter::build(&mut Builder::default(), &known, width, salt(), &mut bytes)
            else {
                panic!()
            };
            assert_eq!(pages.bytes(), bytes.len());
            pages.check(&bytes, salt()).unwrap();
            assert!(known.iter().all(|hash| pages.may_contain_hash(&bytes, *hash)), "{count} {width}");
            let wrong = (0..100_000)
                .filter(|n| pages.may_contain_hash(&bytes, hash(format!("other{n}").as_bytes())))
                .count();
            let expected = 100_000 / one_in;
            assert!((expected * 7 / 10..expected * 13 / 10).contains(&wrong), "{count} {width}: {wrong}");
        }
    }

    #[test]
    fn a_question_reads_three_pages_and_is_answered_as_by_all() {
        let known: Vec<u64> = (0..50_000).map(|n| hash(format!("{n}").as_bytes())).collect();
        let mut bytes = Vec::new();
        let PagedFilter::Fuse(pages) =
            PagedFilter::build(&mut Builder::default(), &known, 6, salt(), &mut bytes)
        else {
            panic!()
        };
        assert!(bytes.len() > 8 * PAGE_BYTES);
        for n in 0..1000 {
            let hash = hash(format!("{}", n * 97).as_bytes());
            let question = pages.question(hash);
            let prints = question
                .places
                .each_ref()
                .map(|place| pages.read_print(&bytes[place.range.clone()], place, salt()).unwrap());
            assert_eq!(question.is_answered(prints), pages.may_contain_hash(&bytes, hash), "{n}");
        }
    }

    #[test]
    fn a_flipped_bit_and_a_page_of_elsewhere_are_found() {
        let known: Vec<u64> = (0..20_000).map(|n| hash(format!("{n}").as_bytes())).collect();
        let mut bytes = Vec::new();
        let PagedFilter::Fuse(pages) =
            PagedFilter::build(&mut Builder::default(), &known, 4, salt(), &mut bytes)
        else {
            panic!()
        };
        for bit in (0..bytes.len() * 8).step_by(37) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(pages.check(&bytes, salt()), Err(Damage::Sum), "{bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(pages.check(&bytes, RecordId::lowest_at(8)), Err(Damage::Sum));
        let question = pages.question(5);
        let other = bytes[PAGE_BYTES..2 * PAGE_BYTES].to_vec();
        let place =
            question.places.iter().find(|place| place.page != 1 && place.range.len() == PAGE_BYTES).unwrap();
        assert_eq!(pages.read_print(&other, place, salt()), Err(Damage::Sum));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let mut bytes = Vec::new();
        PagedFilter::build(&mut Builder::default(), &[1, 2, 3], 6, salt(), &mut Vec::new())
            .encode(&mut bytes);
        assert!(matches!(PagedFilter::read(&mut Reader::new(&bytes)), Ok(Some(PagedFilter::Fuse(_)))));
        for cut in 0..bytes.len() {
            assert!(PagedFilter::read(&mut Reader::new(&bytes[..cut])).is_err(), "{cut}");
        }
        for (at, value) in [(0, 9), (9, 19)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert_eq!(PagedFilter::read(&mut Reader::new(&changed)), Ok(None), "{at}");
        }
        for other in [PagedFilter::Open, PagedFilter::Empty] {
            let mut bytes = Vec::new();
            other.encode(&mut bytes);
            assert_eq!(PagedFilter::read(&mut Reader::new(&bytes)), Ok(Some(other)));
        }
    }
}
