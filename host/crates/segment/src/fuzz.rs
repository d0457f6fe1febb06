//! What lies behind checksums, for whoever tries it with bytes of his own making: a changed byte of a file ends at a
//! sum that does not hold, and what comes after that is what has to withstand a forger.
//!
//! Not for use. Each function panics when a promise of the reader does not hold.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use weir_record::codec::Reader;
use zstd::zstd_safe::{CCtx, DCtx};

use crate::block::{Block, Decoder, Side};
use crate::columns::{Bounds, Columns};
use crate::concat::Concat;
use crate::envelope::{FRAME_HEADER_BYTES, TAIL_BYTES, Tail, VERSION, decompress};
use crate::filter::Filter;
use crate::filters::{leaf_filters, part_filter};
use crate::footer::{Footer, Opened};
use crate::pages::PagedFilter;
use crate::section::{Numbers, of_block};

/// Bytes before the columns in the input of [`block`].
const BLOCK_HEAD: usize = 8;

/// A footer, decompressed, behind a byte that is its version less 1, modulo 3.
pub fn footer(input: &[u8]) {
    let Some((&version, raw)) = input.split_first() else { return };
    let version = 1 + u32::from(version % 3);
    let Ok(Some((mut footer, end))) = Footer::read(raw, version) else { return };
    assert!(!footer.streams.is_empty() && !footer.lineage.is_empty() && !footer.blocks.is_empty());
    assert!(footer.lineage.windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(!footer.name().to_string().is_empty());
    assert!(footer.blocks.iter().all(|block| block.range().end <= end));
    assert!(footer.parts.iter().all(|part| part.range.end <= end));
    for section in &footer.sections {
        for (numbers, of) in
            [(&section.streams, footer.streams.len()), (&section.origins, footer.lineage.len())]
        {
            assert!(
                numbers.len() > 0
                    && (0..numbers.len() as u32).all(|number| (numbers.of(number) as usize) < of)
            );
        }
    }
    if let Ok(mut decoder) = Decoder::new() {
        for index in (0..footer.blocks.len()).take(3) {
            assert!(of_block(&footer.sections, index).is_some());
            assert!(decoder.block(&footer, index, raw, &mut Block::new()).is_err());
            assert!(leaf_filters(&footer, index, raw).is_err());
        }
    }
    for index in (0..footer.parts.len()).take(3) {
        drop(part_filter(&footer, index, raw));
    }
    if version == VERSION {
        drop(Concat::new(&[&footer]));
        let Some(mut zstd) = CCtx::try_create() else { return };
        let mut file = Vec::new();
        if footer.encode(end, 1, &mut zstd, &mut file).is_ok() {
            let opened = Footer::open(&file, end + file.len() as u64);
            assert!(opened == Ok(Opened::Footer(footer.into())), "written and read it is another");
        }
    }
}

/// A block: version less 1 (modulo 3), numbers of streams and origins (u8 each), how these are numbered (u8, two
/// bits), records (2, little-endian), bytes of its columns (2), the columns, the lines.
pub fn block(input: &[u8]) {
    let Some((head, rest)) = input.split_first_chunk::<BLOCK_HEAD>() else { return };
    let records = usize::from(u16::from_le_bytes([head[4], head[5]])).max(1);
    let at = usize::from(u16::from_le_bytes([head[6], head[7]])).min(rest.len());
    let (raw, lines) = rest.split_at(at);
    let numbers = |count: u8, reversed: bool| {
        let count = u32::from(count.max(1));
        if reversed { Numbers::Each((0..count).rev().collect()) } else { Numbers::Same(count) }
    };
    let (streams, origins) = (numbers(head[1], head[3] & 1 > 0), numbers(head[2], head[3] & 2 > 0));
    let version = 1 + u32::from(head[0] % 3);
    let bounds = Bounds { version, records, raw_bytes: lines.len(), streams: &streams, origins: &origins };
    let Ok(Some(columns)) = Columns::read(raw, bounds) else { return };
    assert!(columns.ids().len() == records && columns.ids().is_sorted());
    for (runs, numbers) in [(columns.streams(), &streams), (columns.origins(), &origins)] {
        assert!(runs.iter().all(|run| (run.index as usize) < numbers.len()));
        assert_eq!(runs.iter().map(|run| run.count as usize).sum::<usize>(), records);
    }
    assert_eq!(columns.levels().iter().map(|count| *count as usize).sum::<usize>(), records);
    let bytes: u64 = columns.stream_bytes().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(bytes as usize, lines.len() - records);
    let Some(block) = Block::of(columns, lines.to_vec()) else { return };
    let read: usize = block.records().map(|record| record.payload.len() + 1).sum();
    assert_eq!(read, lines.len(), "every line is a record's");
    assert!(block.ends().is_sorted() && block.ends().len() == records);
    assert!(block.is_in_order() && block.order().is_empty() || block.order().len() == records);
}

/// A filter: of version 1; or of version 2 as the footer has it, and behind that its pages.
pub fn filter(input: &[u8]) {
    const HASHES: [u64; 4] = [0, 1, 0x0123_4567_89ab_cdef, u64::MAX];
    if let Ok(Some(filter)) = Filter::read(input) {
        for hash in HASHES {
            filter.may_contain_hash(hash);
        }
    }
    let mut reader = Reader::new(input);
    let Ok(Some(PagedFilter::Fuse(pages))) = PagedFilter::read(&mut reader) else { return };
    let bytes = reader.rest();
    for hash in HASHES {
        let question = pages.question(hash);
        assert!(question.places.iter().all(|place| place.range.end <= pages.bytes()));
        for place in &question.places {
            if let Some(page) = bytes.get(place.range.clone()) {
                drop(pages.read_print(page, place, weir_record::RecordId::MIN));
            }
        }
        if bytes.len() == pages.bytes() {
            pages.may_contain_hash(bytes, hash);
        }
    }
    drop(pages.check(bytes, weir_record::RecordId::MIN));
}

/// What these functions take, of a sound segment: the footer, then blocks, then filters.
pub fn inputs(file: &[u8]) -> Option<[Vec<Vec<u8>>; 3]> {
    let Ok(Opened::Footer(footer)) = Footer::open(file, file.len() as u64) else { return None };
    let (before, tail) = file.split_last_chunk::<TAIL_BYTES>()?;
    let tail = Tail::read(tail).ok()?;
    let mut zstd = DCtx::try_create()?;
    let packed = &before[before.len() - tail.footer_bytes as usize..];
    let mut raw = Vec::new();
    decompress(&mut zstd, packed, tail.footer_raw_bytes as usize, &mut raw).ok()?;
    raw.insert(0, (tail.version - 1) as u8);
    let (mut blocks, mut filters) = (Vec::new(), Vec::new());
    for (index, entry) in footer.blocks.iter().enumerate() {
        let bytes = |range: core::ops::Range<u64>| file.get(range.start as usize..range.end as usize);
        let side = Side::for_columns(entry, bytes(entry.side_range())?).ok()?;
        let section = of_block(&footer.sections, index)?;
        let (mut columns, mut lines) = (Vec::new(), Vec::new());
        side.raw_columns(&mut zstd, &mut columns).ok()?;
        let data = bytes(entry.offset..entry.side_range().start)?;
        for leaf in footer.leaves(index) {
            let mut raw = Vec::new();
            decompress(&mut zstd, data.get(leaf.range())?, leaf.raw_bytes as usize, &mut raw).ok()?;
            lines.append(&mut raw);
        }
        let mut block = alloc::vec![
            (tail.version - 1) as u8,
            section.streams.len() as u8,
            section.origins.len() as u8,
            0
        ];
        block.extend_from_slice(&(entry.records as u16).to_le_bytes());
        block.extend_from_slice(&(columns.len() as u16).to_le_bytes());
        block.extend_from_slice(&columns);
        block.extend_from_slice(&lines);
        blocks.push(block);
        for leaf in footer.leaves(index) {
            let body = bytes(entry.side_range())?.get(FRAME_HEADER_BYTES + crate::pending::HEAD..)?;
            let mut filter = Vec::new();
            if let crate::directory::FilterEntry::Paged(paged) = &leaf.filter {
                paged.encode(&mut filter);
                filter.extend_from_slice(body.get(leaf.filter_range())?);
            } else {
                filter.extend_from_slice(body);
            }
            filters.push(filter);
        }
    }
    Some([alloc::vec![raw], blocks, filters])
}
