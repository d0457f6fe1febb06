//! A segment as version 1 wrote it, opened for ever.

use weir_segment::WriterOptions;

use crate::corpus::{log_lines, open, rows, unit, verify, write};

const FIXTURE: &[u8] = include_bytes!("../fixtures/v1.zst");

#[test]
fn a_segment_of_the_first_version_is_read() {
    if std::env::var_os("WEIR_NEW_FIXTURE").is_some() {
        let rows = log_lines(1200, 42);
        let (file, _) = write(&rows, WriterOptions { block_bytes: 32_768, ..WriterOptions::default() });
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/v1.zst"), file).unwrap();
    }
    let footer = open(FIXTURE).unwrap();
    assert_eq!(verify(FIXTURE), []);
    assert_eq!(footer.unit(), &unit());
    assert_eq!((footer.records(), footer.blocks().len(), footer.parts().len()), (1200, 4, 1));
    assert_eq!(footer.streams().len(), 8);
    let lineage: Vec<String> = footer
        .lineage()
        .iter()
        .map(|origin| format!("{} {} {} {}", origin.name, origin.flags.bits(), origin.count, origin.digest))
        .collect();
    assert_eq!(lineage, LINEAGE);
    let rows = rows(FIXTURE, &footer).unwrap();
    assert!(rows.is_sorted_by_key(|row| row.0));
    assert!(rows[0].3.starts_with(b"2023-11-14T22:13:00."), "{:?}", String::from_utf8_lossy(&rows[0].3));
}

const LINEAGE: [&str; 2] = [
    "0000000000000007-0000000000000009-00000000 0 1100 700c614813079b8edcb2bff5a4e5c33a",
    "0000000000000007-0000000000000009-00000003 1 100 39e5a47f1a8549fb534b9e47060162f2",
];
