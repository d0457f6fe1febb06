//! What may be handed to readers: anything. A function per reader, which panics when it does not do as it should.
//!
//! `tests/fuzz.rs` calls these with mutations of sound inputs, `fuzz/` with whatever cargo-fuzz finds.

use std::sync::{Arc, OnceLock};

use weir_query::{Matcher, StreamMatcher, parse, parse_regex};
use weir_record::Stream;
use weir_record::limits::QUERY_BYTES_MAX;
use weir_segment::filters::{leaf_filters, part_filter};
use weir_segment::{Block, Decoder, Footer, LeafSet, Opened, Verifier};

/// A whole segment: everything in it is read and proven.
pub(crate) fn segment(file: &[u8]) {
    let from = file.len().saturating_sub(64);
    let opened = match Footer::open(&file[from..], file.len() as u64) {
        Ok(Opened::Need(bytes)) => {
            let from = file.len().saturating_sub(bytes);
            Footer::open(&file[from..], file.len() as u64)
        }
        opened => opened,
    };
    let Ok(Opened::Footer(footer)) = opened else { return };
    let (Ok(mut decoder), Ok(mut verifier)) = (Decoder::new(), Verifier::new(&footer)) else { return };
    let bytes = |range: std::ops::Range<u64>| &file[range.start as usize..range.end as usize];
    let mut block = Block::new();
    for (index, entry) in footer.blocks().iter().enumerate() {
        drop(verifier.block(bytes(entry.range())));
        drop(
            leaf_filters(&footer, index, bytes(entry.side_range()))
                .map(|filters| filters.iter().any(|filter| filter.may_contain_word(b"word"))),
        );
        some_leaves(&footer, index, bytes(entry.range()), &mut decoder, &mut block);
        if decoder.block(&footer, index, bytes(entry.range()), &mut block).is_err() {
            continue;
        }
        assert_eq!(block.records().count(), entry.records as usize);
        for record in block.records() {
            assert!((record.stream as usize) < footer.streams().len());
            assert!((record.origin as usize) < footer.lineage().len());
        }
        let columns = decoder.columns(&footer, index, bytes(entry.side_range()));
        assert_eq!(columns.map(|columns| columns.ids().to_vec()).as_deref(), Ok(block.columns().ids()));
    }
    for (index, entry) in footer.parts().iter().enumerate() {
        drop(verifier.part(index, bytes(entry.range.clone())));
        drop(
            part_filter(&footer, index, bytes(entry.range.clone())).map(|filter| filter.may_contain_hash(7)),
        );
    }
    drop(verifier.finish());
}

/// Every second leaf of a block: what is said to be there is there.
fn some_leaves(footer: &Footer, index: usize, bytes: &[u8], decoder: &mut Decoder, block: &mut Block) {
    let leaves = footer.leaves(index);
    let wanted = LeafSet::all(leaves.len()).filter(|leaf| leaf % 2 == 0);
    let frames = wanted.iter().map(|leaf| &bytes[leaves[leaf].range()]);
    let mut read = frames.collect::<Vec<_>>().concat();
    read.extend_from_slice(&bytes[footer.blocks()[index].data_bytes as usize..]);
    if decoder.leaves(footer, index, wanted, &read, block).is_ok() {
        let there = (0..footer.blocks()[index].records as usize).filter(|&record| block.has(record));
        let read: usize = there.map(|record| block.payload(record).len() + 1).sum();
        assert_eq!(read, block.arena().len());
    }
}

/// See [`weir_segment::fuzz::footer`].
pub(crate) fn footer(bytes: &[u8]) {
    weir_segment::fuzz::footer(bytes);
}

/// See [`weir_segment::fuzz::block`].
pub(crate) fn block(bytes: &[u8]) {
    weir_segment::fuzz::block(bytes);
}

/// See [`weir_segment::fuzz::filter`].
pub(crate) fn filter(bytes: &[u8]) {
    weir_segment::fuzz::filter(bytes);
}

fn stream() -> Arc<Stream> {
    static STREAM: OnceLock<Arc<Stream>> = OnceLock::new();
    let make = || Arc::new(Stream::new("web", [("host", "web1")]).unwrap_or_else(|error| panic!("{error}")));
    Arc::clone(STREAM.get_or_init(make))
}

/// A query, and the same bytes as a regex: read, printed, read again, and searched for.
pub(crate) fn query(bytes: &[u8]) {
    const PAYLOADS: [&[u8]; 4] =
        [b"", b"ERROR user=\"a b\" took=5", b"{\"a\":{\"b\":[1,\"x\"]}}", b"\xff\xfe plain Text"];
    let text = String::from_utf8_lossy(bytes);
    for (is_regex, expr) in [(false, parse(&text)), (true, parse_regex(&text))] {
        let Ok(expr) = expr else { continue };
        let printed = expr.to_string();
        if printed.len() <= QUERY_BYTES_MAX && !is_regex {
            assert_eq!(parse(&printed), Ok(expr.clone()), "{text:?} is printed as {printed:?}");
        }
        let Ok(matcher) = Matcher::compile(&expr) else { continue };
        if let Some(matcher) = matcher.for_stream(&stream()) {
            agrees(&matcher, PAYLOADS[1], &PAYLOADS);
        }
    }
}

/// A payload, searched by conditions on fields: alone it matches as it does among others.
pub(crate) fn fields(payload: &[u8]) {
    static MATCHERS: OnceLock<Vec<StreamMatcher>> = OnceLock::new();
    let matchers = MATCHERS.get_or_init(|| {
        let queries = [
            "a:1",
            "a!=1",
            "a>=2",
            "a.b:x",
            "field.a:\"a b\"",
            "status<500",
            "user.id:7",
            "-host:web1",
            "é:1",
            "tags:y OR level:warn",
            "msg:\"say \\\"hi\\\"\"",
            "level>=warn",
        ];
        let matcher = |text: &str| Matcher::compile(&parse(text).ok()?).ok()?.for_stream(&stream());
        queries.iter().filter_map(|text| matcher(text)).collect()
    });
    assert_eq!(matchers.len(), 12);
    for matcher in matchers {
        agrees(matcher, payload, &[b"a=1 {\"a\":", payload, b"", payload, b"\"} a=\""]);
    }
}

/// Whether a payload matches must not depend on what lies beside it.
fn agrees(matcher: &StreamMatcher, payload: &[u8], payloads: &[&[u8]]) {
    let mut alone = false;
    matcher.scan(&[payload.len() as u32], payload, &mut |_| alone = true);
    let (mut ends, mut arena) = (Vec::new(), Vec::new());
    for payload in payloads {
        arena.extend_from_slice(payload);
        ends.push(arena.len() as u32);
    }
    let mut hits = vec![false; payloads.len()];
    matcher.scan(&ends, &arena, &mut |place| hits[place] = true);
    for (other, hit) in payloads.iter().zip(hits) {
        assert!(*other != payload || hit == alone, "alone {alone}, among others {hit}");
    }
}
