//! Some leaves of a block are decoded, and what is said of the others holds.

use weir_segment::{Block, Decoder, Grouping, LeafSet, Level, WriterOptions};

use crate::corpus::{Row, log_lines, slice, write};

/// Lines of several shapes, some of them with newlines.
fn lines(newlines: bool) -> Vec<Row> {
    let mut rows = log_lines(3000, 11);
    for (n, row) in rows.iter_mut().enumerate() {
        let shape: &[u8] = [&b"{\"level\":\"warn\"} "[..], b"", b"[main] ", b"a=b c=d "][n * n % 4];
        row.3.splice(0..0, shape.iter().copied());
        if newlines && n % 300 == 0 {
            row.3.extend_from_slice(b"\n\tat main");
        }
    }
    rows
}

#[test]
fn any_leaves_decode_to_their_records_and_to_nothing_else() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut searched = [0, 0];
    for (grouping, newlines) in
        [(Grouping::Shape, false), (Grouping::Shape, true), (Grouping::Order, false), (Grouping::Order, true)]
    {
        let rows = lines(newlines);
        let options = WriterOptions { block_bytes: 65_536, leaf_bytes: 4096, grouping, level: 1 };
        let (file, footer) = write(&rows, options);
        let (mut decoder, mut block, mut whole) = (Decoder::new().unwrap(), Block::new(), Block::new());
        for (index, entry) in footer.blocks().iter().enumerate() {
            let (bytes, leaves) = (slice(&file, entry.range()), footer.leaves(index));
            decoder.block(&footer, index, bytes, &mut whole).unwrap();
            assert!(whole.is_whole() && leaves.len() > 4);
            for _ in 0..20 {
                let wanted = LeafSet::all(leaves.len()).filter(|_| random.bool());
                let frames = wanted.iter().map(|leaf| &bytes[leaves[leaf].range()]);
                let mut read = frames.collect::<Vec<_>>().concat();
                read.extend_from_slice(&bytes[entry.data_bytes as usize..]);
                decoder.leaves(&footer, index, wanted, &read, &mut block).unwrap();
                let there: Vec<usize> =
                    (0..entry.records as usize).filter(|&record| block.has(record)).collect();
                let expected: u32 = wanted.iter().map(|leaf| leaves[leaf].records).sum();
                assert_eq!((there.len(), block.is_whole()), (expected as usize, wanted.is_all()));
                assert!(there.iter().all(|&record| block.payload(record) == whole.payload(record)));
                let mut order = block.order().to_vec();
                if block.is_in_order() {
                    order.extend(0..entry.records);
                }
                let lines = block.arena().split_inclusive(|&byte| byte == b'\n');
                if !newlines {
                    assert!(
                        lines
                            .zip(&order)
                            .all(|(line, &record)| line == [block.payload(record as usize), b"\n"].concat())
                    );
                }
                order.sort_unstable();
                assert!(order.iter().map(|&record| record as usize).eq(there.iter().copied()));
                let bytes: usize = there.iter().map(|&record| block.payload(record).len() + 1).sum();
                assert_eq!(bytes, block.arena().len());
                let data = &read[..read.len() - entry.side_bytes as usize];
                if decoder.lines(&footer, index, wanted, data, &mut block).unwrap() {
                    decoder
                        .records_of_lines(
                            &footer,
                            index,
                            wanted,
                            slice(&file, entry.side_range()),
                            &mut block,
                        )
                        .unwrap();
                    let record =
                        |line: usize| block.order().get(line).map_or(line, |&record| record as usize);
                    assert!(
                        (0..block.ends().len()).all(|line| block.line(line) == whole.payload(record(line)))
                    );
                    searched[usize::from(newlines)] += 1;
                } else {
                    assert!(newlines);
                }
            }
        }
    }
    assert!(
        searched.iter().all(|&times| times > 20),
        "{searched:?}: lines of some leaves are records, though other payloads hold newlines"
    );
}

#[test]
fn columns_tell_the_level_of_each_record() {
    let rows = lines(false);
    let (file, footer) = write(&rows, WriterOptions { block_bytes: 65_536, ..WriterOptions::default() });
    let mut decoder = Decoder::new().unwrap();
    let mut told = Vec::new();
    for (index, entry) in footer.blocks().iter().enumerate() {
        let columns = decoder.columns(&footer, index, slice(&file, entry.side_range())).unwrap();
        told.extend(columns.record_levels().unwrap());
    }
    let expected: Vec<u8> = rows.iter().map(|row| Level::of(&row.3) as u8).collect();
    assert!(told == expected);
}
