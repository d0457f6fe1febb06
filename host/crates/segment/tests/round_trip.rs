//! Records go in and come out the same, through weir and through any zstd tool.

use proptest::prelude::*;
use weir_record::RecordId;
use weir_record::limits::RECORD_BYTES_MAX;
use weir_segment::filters::{leaf_filters, part_filter};
use weir_segment::{
    Block, Cut, Decoder, Grouping, OriginFlags, OriginName, WriteError, Writer, WriterOptions,
};

use crate::corpus::{START_MS, log_lines, open, origins, rows, slice, stream, unit, verify, write};

/// What `zstd -dc` prints.
fn decompressed(file: &[u8]) -> Vec<u8> {
    let lines = 64 << 20;
    let mut out = Vec::with_capacity(lines);
    zstd::zstd_safe::decompress(&mut out, file).unwrap();
    out
}

fn small() -> WriterOptions {
    WriterOptions { block_bytes: 1024, ..WriterOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_records_round_trip(
        payloads in prop::collection::vec(
            (prop::collection::vec(prop_oneof![Just(b'\n'), Just(0), any::<u8>()], 0..300), 0..8_u32, 0..4_u64), 1..80
        ),
        grouped in any::<bool>(),
    ) {
        let mut time = START_MS;
        let mut expected = Vec::new();
        for (n, (payload, stream, step)) in payloads.into_iter().enumerate() {
            time += step;
            // Equal ids occur: records that arrived twice.
            let id = RecordId::from_parts(time, u128::from(n as u64 / 2));
            expected.push((id, stream, n as u32 % 2, payload));
        }
        if expected.len() == 1 { expected[0].2 = 0; }
        expected.sort_by_key(|row| row.0);
        let grouping = if grouped { Grouping::Shape } else { Grouping::Order };
        let (file, footer) = write(&expected, WriterOptions { grouping, ..small() });
        prop_assert_eq!(open(&file), Ok(footer.clone()));
        prop_assert_eq!(rows(&file, &footer), Ok(expected.clone()));
        prop_assert_eq!(verify(&file), []);
        if !grouped {
            let lines: Vec<u8> = expected.iter().flat_map(|row| [&row.3[..], b"\n"].concat()).collect();
            prop_assert_eq!(decompressed(&file), lines);
        }
    }

    #[test]
    fn any_bytes_are_opened_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&bytes).is_err());
    }
}

#[test]
fn the_largest_and_the_smallest_records_round_trip() {
    let id = |n| RecordId::from_parts(START_MS, n);
    let large = vec![b'x'; RECORD_BYTES_MAX];
    let mut expected = vec![(id(1), 0, 0, vec![]), (id(2), 0, 0, large.clone()), (id(3), 1, 0, large)];
    expected.extend((4..70_000).map(|n| (id(n), 0, 0, vec![])));
    let (file, footer) = write(&expected, WriterOptions::default());
    assert!(footer.blocks().len() >= 2, "a block has at most 65,536 records");
    assert_eq!(rows(&file, &footer), Ok(expected));
    assert_eq!(verify(&file), []);
}

#[test]
fn any_zstd_tool_prints_the_lines() {
    let expected = log_lines(30_000, 1);
    let lines: Vec<u8> = expected.iter().flat_map(|row| [&row.3[..], b"\n"].concat()).collect();
    let in_order =
        WriterOptions { grouping: Grouping::Order, block_bytes: 1 << 20, ..WriterOptions::default() };
    let (file, footer) = write(&expected, in_order);
    assert!(footer.blocks().len() > 2 && !footer.parts()[0].range.is_empty());
    assert!(decompressed(&file) == lines, "the lines in order");
    let shape = WriterOptions { grouping: Grouping::Shape, ..WriterOptions::default() };
    let (grouped, footer) = write(&expected, shape);
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<Vec<u8>> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    assert!(sorted(&decompressed(&grouped)) == sorted(&lines), "the same lines in another order");
    assert!(rows(&grouped, &footer) == Ok(expected), "weir restores the order");
}

#[test]
fn minted_ids_and_lengths_and_streams_cost_little_beside_the_lines() {
    let expected = log_lines(50_000, 2);
    let (_, footer) = write(&expected, WriterOptions::default());
    // Without words nothing but the side columns is left beside the frames.
    let blank: Vec<_> = expected.iter().map(|row| (row.0, row.1, row.2, vec![b' '; 80])).collect();
    let (file, blank_footer) = write(&blank, WriterOptions::default());
    let side: u64 = blank_footer.blocks().iter().map(|block| u64::from(block.side_bytes)).sum();
    let per_record = side as f64 / expected.len() as f64;
    assert!(per_record < 1.2, "{per_record:.3} bytes per record");
    assert!(file.len() < 50_000 * 2);
    assert_eq!(footer.records(), 50_000);
    assert_eq!(footer.levels().iter().sum::<u64>(), 50_000);
    assert!(footer.levels()[0] > 8000 && footer.levels()[4] == 0, "{:?}", footer.levels());
}

#[test]
fn filters_miss_no_word_and_pass_few_others() {
    let expected = log_lines(40_000, 3);
    let (file, footer) = write(&expected, WriterOptions::default());
    let part = part_filter(&footer, 0, slice(&file, footer.parts()[0].range.clone())).unwrap();
    let (mut wrong, mut leaves) = (0, 0);
    for (index, entry) in footer.blocks().iter().enumerate() {
        for filter in leaf_filters(&footer, index, slice(&file, entry.side_range())).unwrap() {
            wrong += (0..20_000).filter(|n| filter.may_contain_word(format!("absent{n}").as_bytes())).count();
            assert!(filter.may_contain_word(b"HANDLER") && part.may_contain_word(b"handler"));
            leaves += 1;
        }
    }
    let share = wrong as f64 / f64::from(20_000 * leaves);
    // One in 128 of a leaf, and one in 16 of a part.
    assert!(share < 0.01 && leaves > 5, "{share} of {leaves}");
    let of_part = (0..20_000).filter(|n| part.may_contain_word(format!("absent{n}").as_bytes())).count();
    assert!(of_part < 1450, "{of_part}");
}

#[test]
fn the_digest_of_an_origin_does_not_depend_on_how_it_was_written() {
    let expected = log_lines(5000, 4);
    let (_, first) = write(&expected, WriterOptions::default());
    for options in [
        small(),
        WriterOptions { level: 9, ..small() },
        WriterOptions { grouping: Grouping::Shape, block_bytes: 100_000, leaf_bytes: 10_000, level: 3 },
    ] {
        let (_, other) = write(&expected, options);
        assert_eq!(other.lineage(), first.lineage());
        assert_ne!(other.name(), first.name());
        assert_eq!(other.name().to_string().parse(), Ok(other.name()));
    }
    let mut changed = expected;
    changed[17].3[3] ^= 1;
    assert_ne!(write(&changed, small()).1.lineage(), first.lineage());
}

#[test]
fn an_origin_is_cut_out_of_a_segment_and_proved() {
    let expected = log_lines(5000, 5);
    let (file, footer) = write(&expected, small());
    for origin in 0..2 {
        let mut cut = Cut::new(&footer, origin, WriterOptions::default()).unwrap();
        let (mut out, mut decoder, mut block) = (Vec::new(), Decoder::new().unwrap(), Block::new());
        for (index, entry) in footer.blocks().iter().enumerate() {
            decoder.block(&footer, index, slice(&file, entry.range()), &mut block).unwrap();
            cut.block(&block, &mut out).unwrap();
        }
        let cut = cut.finish(&mut out).unwrap();
        assert_eq!(cut.lineage(), &footer.lineage()[origin as usize..][..1]);
        assert_eq!(open(&out), Ok(cut.clone()));
        assert_eq!(verify(&out), []);
        let payloads = |rows: Vec<crate::corpus::Row>| rows.into_iter().map(|row| (row.0, row.3)).collect();
        let of_origin: Vec<_> = payloads(expected.iter().filter(|row| row.2 == origin).cloned().collect());
        let got: Vec<_> = payloads(rows(&out, &cut).unwrap());
        assert!(got == of_origin);
    }
    let mut lacking = Cut::new(&footer, 1, WriterOptions::default()).unwrap();
    let mut out = Vec::new();
    let (mut decoder, mut block) = (Decoder::new().unwrap(), Block::new());
    let with = footer.blocks().len() - 1;
    for (index, entry) in footer.blocks().iter().enumerate().take(with) {
        decoder.block(&footer, index, slice(&file, entry.range()), &mut block).unwrap();
        lacking.block(&block, &mut out).unwrap();
    }
    assert!(lacking.finish(&mut out).is_err(), "a block was left out");
}

#[test]
fn what_a_segment_cannot_hold_is_refused() {
    let options = WriterOptions::default();
    let name = OriginName { node: 1, epoch: 1, piece: 1 };
    let twice = [(name, OriginFlags::NONE), (name, OriginFlags::NONE)];
    assert_eq!(Writer::new(unit(), &twice, options).err(), Some(WriteError::Origins));
    assert_eq!(Writer::new(unit(), &[], options).err(), Some(WriteError::Origins));
    for bad in [WriterOptions { level: 0, ..options }, WriterOptions { block_bytes: 5, ..options }] {
        assert!(matches!(Writer::new(unit(), &twice[..1], bad).err(), Some(WriteError::Options(_))));
    }
    let mut writer = Writer::new(unit(), &origins(2), options).unwrap();
    let number = writer.stream(&stream(0)).unwrap();
    let id = |ms| RecordId::lowest_at(START_MS + ms);
    let mut out = Vec::new();
    let mut push =
        |id, stream, origin, bytes: usize| writer.push(id, stream, origin, &vec![0; bytes], &mut out);
    assert_eq!(push(id(5), number, 0, 1), Ok(()));
    assert_eq!(push(id(4), number, 0, 1), Err(WriteError::Order { id: id(4), before: id(5) }));
    assert_eq!(push(id(3_600_000), number, 0, 1), Err(WriteError::Unit(id(3_600_000))));
    assert_eq!(push(id(5), 9, 0, 1), Err(WriteError::Unknown { what: "stream", index: 9 }));
    assert_eq!(push(id(5), number, 2, 1), Err(WriteError::Unknown { what: "origin", index: 2 }));
    let bytes = RECORD_BYTES_MAX + 1;
    assert_eq!(push(id(5), number, 0, bytes), Err(WriteError::Record { id: id(5), bytes }));
    assert_eq!(writer.finish(&mut out).err(), Some(WriteError::EmptyOrigin(origins(2)[1].0)));
}
