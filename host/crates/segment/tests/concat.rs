//! Segments one behind the other: the same records, the same frames, one footer.

use weir_segment::filters::leaf_filters;
use weir_segment::{
    Concat, Cut, Decoder, Footer, Grouping, OriginFlags, OriginName, SegmentError, WriteError, Writer,
    WriterOptions,
};

use crate::corpus::{Row, log_lines, open, rows, slice, stream, unit, verify, write};

fn origin(piece: u64) -> (OriginName, OriginFlags) {
    (OriginName { node: piece % 2, epoch: 4, piece }, OriginFlags::NONE)
}

/// A segment of its own two origins; the streams are numbered in another order in each.
fn segment(number: u64, count: usize, seed: u64) -> (Vec<u8>, Footer, Vec<Row>) {
    let mut expected = log_lines(count, seed);
    let options = WriterOptions { block_bytes: 8192, grouping: Grouping::Shape, ..WriterOptions::default() };
    let mut origins = [origin(number * 2), origin(number * 2 + 1)];
    origins.sort_by_key(|origin| origin.0);
    let mut writer = Writer::new(unit(), &origins, options).unwrap();
    let streams: Vec<u32> =
        (0..3).map(|n| writer.stream(&stream((n + number as u32) % 5)).unwrap()).collect();
    let mut out = Vec::new();
    for (n, (id, stream, origin, payload)) in expected.iter_mut().enumerate() {
        *origin = n as u32 / 40 % 2;
        writer.push(*id, streams[*stream as usize], *origin, payload, &mut out).unwrap();
        *stream = (*stream + number as u32) % 5;
    }
    let footer = writer.finish(&mut out).unwrap();
    (out, footer, expected)
}

fn concat(inputs: &[(&[u8], &Footer)]) -> (Vec<u8>, Footer) {
    let footers: Vec<&Footer> = inputs.iter().map(|input| input.1).collect();
    let made = Concat::new(&footers).unwrap();
    let mut out = Vec::new();
    for (file, footer) in inputs {
        for (index, entry) in footer.blocks().iter().enumerate() {
            Concat::check_block(footer, index, slice(file, entry.range())).unwrap();
        }
        out.extend_from_slice(slice(file, Concat::copied(footer)));
    }
    let footer = made.finish(&mut out).unwrap();
    (out, footer)
}

/// Stream, origin and payload of each record, by what they are and not by their numbers.
fn named(rows: &[Row], footer: &Footer) -> Vec<(String, OriginName, Vec<u8>)> {
    let name = |row: &Row| {
        let stream = format!("{:?}", footer.streams()[row.1 as usize]);
        (stream, footer.lineage()[row.2 as usize].name, row.3.clone())
    };
    rows.iter().map(name).collect()
}

#[test]
fn all_records_are_there_and_proved_and_can_be_put_behind_others_again() {
    let inputs: Vec<_> = (0..4).map(|n| segment(n, 300 + 100 * n as usize, n)).collect();
    let pair = |range: std::ops::Range<usize>| {
        let parts: Vec<(&[u8], &Footer)> =
            inputs[range].iter().map(|(file, footer, _)| (&file[..], footer)).collect();
        concat(&parts)
    };
    let (first, first_footer) = pair(0..2);
    let (second, second_footer) = pair(2..4);
    let (whole, footer) = concat(&[(&first, &first_footer), (&second, &second_footer)]);
    assert_eq!(open(&whole), Ok(footer.clone()));
    assert_eq!(verify(&whole), []);
    assert_eq!((footer.sections().len(), footer.streams().len()), (4, 5));
    assert_eq!(footer.records(), 300 + 400 + 500 + 600);
    let got = named(&rows(&whole, &footer).unwrap(), &footer);
    let mut expected = Vec::new();
    for (file, own, _) in &inputs {
        expected.extend(named(&rows(file, own).unwrap(), own));
        for origin in own.lineage() {
            assert!(footer.lineage().contains(origin));
        }
    }
    assert!(got == expected);
    let low = inputs.iter().map(|input| input.1.id_range().0).min();
    assert_eq!(Some(footer.id_range().0), low);
    let mut decompressed = Vec::with_capacity(8 << 20);
    zstd::zstd_safe::decompress(&mut decompressed, &whole[..]).unwrap();
    assert_eq!(decompressed.split(|byte| *byte == b'\n').count(), 1801, "zstd prints all lines");
}

#[test]
fn an_origin_is_cut_out_of_one_behind_others() {
    let (a, b) = (segment(0, 300, 1), segment(1, 300, 2));
    let (whole, footer) = concat(&[(&a.0, &a.1), (&b.0, &b.1)]);
    for number in 0..4 {
        let mut cut = Cut::new(&footer, number, WriterOptions::default()).unwrap();
        let (mut out, mut decoder, mut block) =
            (Vec::new(), Decoder::new().unwrap(), weir_segment::Block::new());
        for (index, entry) in footer.blocks().iter().enumerate() {
            decoder.block(&footer, index, slice(&whole, entry.range()), &mut block).unwrap();
            cut.block(&block, &mut out).unwrap();
        }
        let cut = cut.finish(&mut out).unwrap();
        assert_eq!(cut.lineage()[0], footer.lineage()[number as usize]);
    }
}

#[test]
fn filters_of_what_was_copied_still_know_every_word() {
    let (a, b) = (segment(0, 300, 1), segment(1, 300, 2));
    let (whole, footer) = concat(&[(&a.0, &a.1), (&b.0, &b.1)]);
    for (index, entry) in footer.blocks().iter().enumerate() {
        for filter in leaf_filters(&footer, index, slice(&whole, entry.side_range())).unwrap() {
            assert!(filter.may_contain_word(b"handler"));
            let wrong =
                (0..1000).filter(|n| filter.may_contain_word(format!("absent{n}").as_bytes())).count();
            assert!(wrong < 40, "{wrong}");
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (a, b) = (segment(0, 50, 1), segment(1, 50, 2));
    assert_eq!(Concat::new(&[&a.1, &a.1]).err(), Some(WriteError::Origins), "an origin twice");
    assert_eq!(Concat::new(&[]).err(), Some(WriteError::Origins));
    let v1 = open(include_bytes!("../fixtures/v1.zst")).unwrap();
    assert!(matches!(Concat::new(&[&v1, &b.1]).err(), Some(WriteError::Options(_))));
    assert!(!Concat::takes(&v1) && Concat::takes(&b.1));
    let (file, footer) = write(&log_lines(50, 3), WriterOptions::default());
    let mut bytes = slice(&file, footer.blocks()[0].range()).to_vec();
    bytes[3] ^= 1;
    assert!(matches!(Concat::check_block(&footer, 0, &bytes), Err(SegmentError::Block { index: 0, .. })));
    assert!(Concat::check_block(&footer, 0, &bytes[..5]).is_err());
}
