//! No flipped bit and no lost byte goes unseen, and what is damaged is named.

use weir_segment::error::Half;
use weir_segment::{LeafEntry, SegmentError, WriterOptions};

use crate::corpus::{Row, log_lines, open, slice, verify, write};

fn small() -> (Vec<u8>, Vec<Row>) {
    let rows = log_lines(40, 6).into_iter().map(|row| (row.0, row.1, 0, row.3)).collect::<Vec<_>>();
    (write(&rows, WriterOptions { block_bytes: 1024, leaf_bytes: 256, ..WriterOptions::default() }).0, rows)
}

#[test]
fn every_flipped_bit_is_found_and_its_place_named() {
    let (mut file, _) = small();
    let footer = open(&file).unwrap();
    assert!(footer.blocks().len() > 2 && footer.leaves(0).len() > 2 && footer.parts().len() == 1);
    assert_eq!(verify(&file), []);
    for bit in 0..file.len() * 8 {
        let at = (bit / 8) as u64;
        file[bit / 8] ^= 1 << (bit % 8);
        let found = verify(&file);
        file[bit / 8] ^= 1 << (bit % 8);
        let block = footer.blocks().iter().position(|block| block.range().contains(&at));
        let as_expected = match (&found[..], block) {
            ([SegmentError::Block { index, offset, half, .. }], Some(block)) => {
                let entry = &footer.blocks()[block];
                let in_side = entry.side_range().contains(&at);
                let leaf = |leaf: &&LeafEntry| leaf.range().contains(&((at - entry.offset) as usize));
                let expected = if in_side {
                    (entry.side_range().start, Half::Side)
                } else {
                    let leaf = footer.leaves(block).iter().find(leaf).unwrap();
                    (entry.offset + u64::from(leaf.at), Half::Data)
                };
                *index == block && (*offset, *half) == expected
            }
            ([SegmentError::Part { index: 0, .. }], None) => footer.parts()[0].range.contains(&at),
            ([one], None) => {
                at >= footer.parts()[0].range.end
                    && matches!(
                        one,
                        SegmentError::Footer { .. }
                            | SegmentError::Tail
                            | SegmentError::NotASegment
                            | SegmentError::FileBytes { .. }
                    )
            }
            _ => false,
        };
        assert!(as_expected, "bit {bit}: {found:?}");
    }
}

#[test]
fn every_truncation_and_every_byte_too_many_is_found() {
    let (mut file, _) = small();
    for bytes in 0..file.len() {
        assert!(open(&file[..bytes]).is_err(), "{bytes}");
        assert!(open(&file[bytes + 1..]).is_err(), "{bytes} from the front");
    }
    file.push(0);
    assert_eq!(open(&file), Err(SegmentError::NotASegment));
}

#[test]
fn damage_in_one_block_leaves_the_origins_of_others_alone() {
    let rows: Vec<Row> = log_lines(4000, 7)
        .into_iter()
        .enumerate()
        .map(|(n, row)| (row.0, row.1, u32::from(n >= 2000), row.3))
        .collect();
    let (mut file, footer) = write(&rows, WriterOptions { block_bytes: 16_384, ..WriterOptions::default() });
    let first = footer.blocks()[0];
    file[first.offset as usize + 20] ^= 4;
    let mut verifier = weir_segment::Verifier::new(&footer).unwrap();
    for (index, entry) in footer.blocks().iter().enumerate() {
        let judged = verifier.block(slice(&file, entry.range()));
        assert_eq!(judged.is_err(), index == 0, "{judged:?}");
    }
    assert_eq!(verifier.touched().collect::<Vec<_>>(), [0]);
    assert_eq!(verifier.finish(), []);
}

#[test]
fn bytes_of_a_later_version_are_named_as_such() {
    let (mut file, _) = small();
    let at = file.len() - 12;
    file[at] = 4;
    let sum = crc32c::crc32c(&file[file.len() - 32..file.len() - 8]).to_le_bytes();
    let end = file.len();
    file[end - 8..end - 4].copy_from_slice(&sum);
    let error = open(&file).unwrap_err();
    assert_eq!(error, SegmentError::Version(4));
    assert_eq!(error.to_string(), "segment version 4, this program reads versions up to 3");
}

#[test]
fn a_damaged_filter_costs_no_record() {
    let (mut file, rows) = small();
    let footer = open(&file).unwrap();
    let mut block = weir_segment::Block::new();
    let mut decoder = weir_segment::Decoder::new().unwrap();
    let entry = footer.blocks()[0];
    // The filter follows the frame's header and the head of the side frame.
    let at = entry.side_range().start as usize + 8 + 40 + 20;
    file[at] ^= 1;
    assert!(weir_segment::filters::leaf_filters(&footer, 0, slice(&file, entry.side_range())).is_err());
    decoder.columns(&footer, 0, slice(&file, entry.side_range())).unwrap();
    decoder.block(&footer, 0, slice(&file, entry.range()), &mut block).unwrap();
    let read: Vec<_> = block.records().map(|record| record.payload.to_vec()).collect();
    let written: Vec<_> = rows.iter().take(read.len()).map(|row| row.3.clone()).collect();
    assert_eq!(read, written);
}
