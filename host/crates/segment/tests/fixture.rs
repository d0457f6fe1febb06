//! Segments as each version wrote them, opened for ever.

use weir_segment::{Grouping, WriterOptions};

use crate::corpus::{log_lines, open, rows, unit, verify, write};

const V1: &[u8] = include_bytes!("../fixtures/v1.zst");
const V2: &[u8] = include_bytes!("../fixtures/v2.zst");
const V3: &[u8] = include_bytes!("../fixtures/v3.zst");

#[test]
fn segments_of_all_versions_are_read() {
    if std::env::var_os("WEIR_NEW_FIXTURE").is_some() {
        let options = WriterOptions {
            block_bytes: 32_768,
            leaf_bytes: 8192,
            grouping: Grouping::Shape,
            ..WriterOptions::default()
        };
        let (file, _) = write(&log_lines(1200, 42), options);
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/v3.zst"), file).unwrap();
    }
    let expected = rows(V1, &open(V1).unwrap()).unwrap();
    assert!(expected.is_sorted_by_key(|row| row.0));
    assert!(
        expected[0].3.starts_with(b"2023-11-14T22:13:00."),
        "{:?}",
        String::from_utf8_lossy(&expected[0].3)
    );
    for (version, file) in [(1, V1), (2, V2), (3, V3)] {
        let footer = open(file).unwrap();
        assert_eq!(verify(file), []);
        assert_eq!((footer.version(), footer.unit()), (version, &unit()));
        assert_eq!((footer.records(), footer.blocks().len(), footer.parts().len()), (1200, 4, 1));
        assert_eq!(footer.streams().len(), 8);
        let lineage: Vec<String> = footer
            .lineage()
            .iter()
            .map(|origin| {
                format!("{} {} {} {}", origin.name, origin.flags.bits(), origin.count, origin.digest)
            })
            .collect();
        assert_eq!(lineage, LINEAGE);
        assert_eq!(rows(file, &footer).unwrap(), expected);
    }
}

const LINEAGE: [&str; 2] = [
    "0000000000000007-0000000000000009-00000000 0 1100 700c614813079b8edcb2bff5a4e5c33a",
    "0000000000000007-0000000000000009-00000003 1 100 39e5a47f1a8549fb534b9e47060162f2",
];
