//! JSON lines and CSV: what comes out is what went in, whatever is asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_api::format::Format;
use weir_export::{Destination, ExportError, Opening, Range, Shape};
use weir_query::Rows;

use crate::corpus::{Row, START_MS, everything, export, files, id, rows, segment, stream};

/// What the query API would answer.
fn ndjson(rows: &[Row], from: usize, to: usize) -> Vec<u8> {
    let mut answer = Rows::new();
    for (index, (time_ms, number, payload)) in rows.iter().enumerate().take(to).skip(from) {
        let number = answer.add_stream(Arc::new(stream(*number)));
        answer.push(id(index, *time_ms), number, payload);
    }
    let mut bytes = Vec::new();
    Format::Ndjson.write(&answer, &mut bytes);
    bytes
}

#[test]
fn json_lines_are_those_of_the_query_api_in_any_range() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(3000, 1);
    let paths = [segment(&dir.path().join("x.zst"), &rows, 8 << 10)];
    assert!(Opening::new(&paths[0]).unwrap().footer().blocks().len() > 5);
    for (from, to) in [(0, 3000), (0, 0), (17, 18), (700, 2900), (2999, 3000)] {
        let at = |index: usize| id(index, index as u64 * 40).to_string();
        let range = Range::parse(Some(&at(from)), (to < 3000).then(|| at(to)).as_deref(), 0).unwrap();
        let exported = export(Shape::Ndjson, range, Destination::Stream, &paths);
        assert_eq!(exported.bytes, ndjson(&rows, from, to), "{from} to {to}");
        assert_eq!(exported.sums.unwrap().records, (to - from) as u64);
    }
}

#[test]
fn a_range_in_which_nothing_lies_is_an_empty_answer() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [segment(&dir.path().join("x.zst"), &rows(10, 1), 8 << 10)];
    let range = Range::parse(Some("1d"), None, START_MS + 10 * 86_400_000).unwrap();
    assert!(!range.is_reversed());
    let exported = export(Shape::Csv, range, Destination::Stream, &paths);
    assert_eq!(exported.bytes, b"id,time,topic,labels,payload,payload_base64\r\n");
    let out = dir.path().join("out");
    let exported = export(Shape::Csv, range, Destination::Folder(out.clone()), &paths);
    assert_eq!((exported.sums.unwrap().files, out.exists()), (0, false));
}

/// The records of a CSV file, read as RFC 4180 says.
fn parse_csv(bytes: &[u8]) -> Vec<Vec<(bool, Vec<u8>)>> {
    let (mut records, mut record, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        let quoted = bytes[at] == b'"';
        let mut field = Vec::new();
        if quoted {
            at += 1;
            loop {
                match (bytes[at], bytes.get(at + 1)) {
                    (b'"', Some(b'"')) => (field.push(b'"'), at += 2).1,
                    (b'"', _) => break,
                    (byte, _) => (field.push(byte), at += 1).1,
                }
            }
            at += 1;
        } else {
            while !matches!(bytes[at], b',' | b'\r') {
                field.push(bytes[at]);
                at += 1;
            }
        }
        record.push((quoted, field));
        if bytes[at] == b',' {
            at += 1;
        } else {
            assert_eq!(&bytes[at..at + 2], b"\r\n");
            at += 2;
            records.push(std::mem::take(&mut record));
        }
    }
    records
}

#[test]
fn csv_reads_back_as_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(1000, 2);
    let paths = [segment(&dir.path().join("x.zst"), &rows, 8 << 10)];
    let exported = export(Shape::Csv, everything(), Destination::Stream, &paths);
    let records = parse_csv(&exported.bytes);
    assert_eq!(records.len(), 1001);
    for (index, (record, (time_ms, number, payload))) in records[1..].iter().zip(&rows).enumerate() {
        let text = |column: usize| String::from_utf8(record[column].1.clone()).unwrap();
        assert_eq!((record.len(), text(0)), (6, id(index, *time_ms).to_string()));
        let labels: serde_json::Value = serde_json::from_str(&text(3)).unwrap();
        let stream = stream(*number);
        assert_eq!(
            (text(2), labels.as_object().unwrap().len()),
            (stream.topic().to_owned(), stream.labels().len())
        );
        for (name, value) in stream.labels() {
            assert_eq!(labels[name], value);
        }
        // A payload without bytes is quoted, one that stands elsewhere is not.
        let in_place = std::str::from_utf8(payload).is_ok();
        assert_eq!(record[4], (in_place, if in_place { payload.clone() } else { Vec::new() }));
        assert_eq!(record[5].1.is_empty(), in_place);
    }
}

#[test]
fn a_folder_gets_a_file_per_segment_and_hour_with_the_records_of_that_hour() {
    let dir = tempfile::tempdir().unwrap();
    // 150 minutes from 22:00 on.
    let rows: Vec<Row> =
        (0..150).map(|minute| (minute * 60_000, 2, format!("line {minute}").into())).collect();
    let path = segment(&dir.path().join("store/x.zst"), &rows, 1 << 10);
    let name = Opening::new(&path).unwrap().footer().name().to_string();
    let stem = name.strip_suffix(".zst").unwrap();
    let out = dir.path().join("deep/out");
    let exported =
        export(Shape::Ndjson, everything(), Destination::Folder(out.clone()), &[dir.path().join("store")]);
    let sums = exported.sums.unwrap();
    assert_eq!((sums.records, sums.segments, sums.files, sums.problems), (150, 1, 3, 0));
    let hours =
        [("2023-11-14/hour=22", 0, 60), ("2023-11-14/hour=23", 60, 120), ("2023-11-15/hour=00", 120, 150)];
    assert_eq!(files(&out), hours.map(|(hour, _, _)| format!("date={hour}/{stem}.ndjson")));
    for (hour, from, to) in hours {
        let content = std::fs::read(out.join(format!("date={hour}/{stem}.ndjson"))).unwrap();
        assert_eq!(content, ndjson(&rows, from, to), "{hour}");
    }
    // Again without force: nothing is touched.
    let again = export(Shape::Ndjson, everything(), Destination::Folder(out.clone()), &[path]);
    let Err(ExportError::File { path, source }) = again.sums else { panic!("{again:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::AlreadyExists, "{}", path.display());
    assert_eq!(files(&out).len(), 3);
}

#[test]
fn copies_are_exported_once_and_other_repeats_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(100, 3);
    let one = segment(&dir.path().join("s1/x.zst"), &rows, 8 << 10);
    let copy = segment(&dir.path().join("s2/renamed.zst"), &rows, 8 << 10);
    let overlapping = segment(&dir.path().join("s2/y.zst"), &rows[..50], 8 << 10);
    let all = ndjson(&rows, 0, 100);
    let check = |paths: &[&PathBuf], expected: &[u8]| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).clone()).collect();
        assert!(
            export(Shape::Ndjson, everything(), Destination::Stream, &paths).bytes == expected,
            "{paths:?}"
        );
    };
    check(&[&one, &copy], &all);
    check(&[&one, &one], &all);
    check(&[&one, &copy, &overlapping], &[&all[..], &ndjson(&rows, 0, 50)].concat());
}

#[test]
fn damage_costs_its_block_and_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(2000, 4);
    let whole = segment(&dir.path().join("x.zst"), &rows, 16 << 10);
    let footer = Opening::new(&whole).unwrap().footer().clone();
    let hit = footer.blocks()[1];
    let mut bytes = std::fs::read(&whole).unwrap();
    bytes[hit.offset as usize + 30] ^= 16;
    let hurt = dir.path().join("hurt.zst");
    std::fs::write(&hurt, bytes).unwrap();
    let junk = dir.path().join("junk.zst");
    std::fs::write(&junk, "no segment at all, but long enough to be looked at as one").unwrap();
    let missing = dir.path().join("missing.zst");
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();

    let paths = [junk.clone(), empty.clone(), hurt.clone(), missing.clone()];
    let exported = export(Shape::Ndjson, everything(), Destination::Stream, &paths);
    let first = footer.blocks()[0].records as usize;
    let expected = [ndjson(&rows, 0, first), ndjson(&rows, first + hit.records as usize, 2000)].concat();
    assert!(exported.bytes == expected);
    let sums = exported.sums.unwrap();
    assert_eq!((sums.records, sums.problems), (2000 - u64::from(hit.records), 4));
    let begins = |path: &Path, text: &str| format!("{}: {text}", path.display());
    for (told, expected) in exported.told.iter().zip([
        begins(&empty, "no segment (*.zst) in it or below it"),
        begins(&junk, "not a segment, or cut off"),
        begins(
            &hurt,
            &format!(
                "block 1 at offset {} is damaged in its data: the checksum does not match; its {} records were not \
                 exported",
                hit.offset, hit.records
            ),
        ),
        begins(&missing, "No such file"),
    ]) {
        assert!(told.starts_with(&expected), "{told}");
    }
}

#[test]
fn segments_are_read_where_nothing_may_be_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(10, 5);
    let path = segment(&dir.path().join("x.zst"), &rows, 8 << 10);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    let exported = export(Shape::Ndjson, everything(), Destination::Stream, &[path]);
    assert_eq!(exported.bytes, ndjson(&rows, 0, 10));
}
