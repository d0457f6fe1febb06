//! Parquet, read back by the library that wrote it; `cluster-tests/tests/export.rs` has DuckDB read it.

use std::fs::File;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::basic::Compression;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as ParquetRow};
use weir_export::{Destination, Shape};
use weir_record::limits::EXPORT_ROW_GROUP_RECORDS;

use crate::corpus::{Row, START_MS, everything, export, files, id, rows, segment, stream};

fn open(path: &Path) -> SerializedFileReader<File> {
    SerializedFileReader::new(File::open(path).unwrap()).unwrap()
}

fn text(field: &Field) -> Option<&str> {
    match field {
        Field::Str(text) => Some(text),
        Field::Null => None,
        other => panic!("{other:?}"),
    }
}

/// Compares one row with what was written.
fn check(row: &ParquetRow, index: usize, (time_ms, number, payload): &Row) {
    let columns: Vec<(&String, &Field)> = row.get_column_iter().collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "time", "topic", "labels", "payload", "payload_base64"]);
    let field = |column: usize| columns[column].1;
    assert_eq!(text(field(0)).unwrap(), id(index, *time_ms).to_string());
    assert_eq!(*field(1), Field::TimestampMillis((START_MS + time_ms) as i64));
    let stream = stream(*number);
    assert_eq!(text(field(2)), Some(stream.topic()));
    let Field::MapInternal(labels) = field(3) else { panic!("{:?}", field(3)) };
    let labels: Vec<(&str, &str)> =
        labels.entries().iter().map(|(name, value)| (text(name).unwrap(), text(value).unwrap())).collect();
    assert_eq!(labels, stream.labels().collect::<Vec<_>>());
    let read = match (text(field(4)), text(field(5))) {
        (Some(payload), None) => payload.as_bytes().to_vec(),
        (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
        other => panic!("exactly one of both is there: {other:?}"),
    };
    assert_eq!(read, *payload);
}

#[test]
fn parquet_reads_back_as_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(5000, 21);
    let path = segment(&dir.path().join("x.zst"), &rows, 8 << 10);
    let out = dir.path().join("x.parquet");
    let exported = export(Shape::Parquet, everything(), Destination::File(out.clone()), &[path]);
    assert_eq!(exported.sums.unwrap().records, 5000);
    let reader = open(&out);
    let read: Vec<ParquetRow> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.len(), rows.len());
    read.iter().zip(&rows).enumerate().for_each(|(index, (row, expected))| check(row, index, expected));
    let columns = reader.metadata().row_group(0).columns();
    assert!(columns.iter().all(|column| matches!(column.compression(), Compression::ZSTD(_))));
    // What a reader prunes by: ids and times, and no copy of a payload.
    assert_eq!([0, 1, 5, 6].map(|index| columns[index].statistics().is_some()), [true, true, false, false]);
    assert_eq!(files(dir.path()), ["x.parquet", "x.zst"]);
}

#[test]
fn row_groups_are_bounded_in_records_and_bytes_and_go_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let short: Vec<Row> = (0..EXPORT_ROW_GROUP_RECORDS + 10).map(|n| (n as u64, 0, vec![b'x'])).collect();
    let long: Vec<Row> = (0..40).map(|n| (n, 3, vec![b'a' + n as u8 % 26; 1 << 20])).collect();
    let paths = [
        segment(&dir.path().join("short.zst"), &short, 1 << 20),
        segment(&dir.path().join("long.zst"), &long, 1 << 20),
    ];
    let out = dir.path().join("x.parquet");
    export(Shape::Parquet, everything(), Destination::File(out.clone()), &paths).sums.unwrap();
    let reader = open(&out);
    let groups = reader.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect::<Vec<_>>();
    assert_eq!(groups, [EXPORT_ROW_GROUP_RECORDS as i64, 10 + 32, 8]);
    let read = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    let expected = short.iter().enumerate().chain(long.iter().enumerate());
    let mut count = 0;
    for (row, (index, expected)) in read.zip(expected) {
        check(&row, index, expected);
        count += 1;
    }
    assert_eq!(count, short.len() + long.len());
}

#[test]
fn nothing_is_an_empty_file_of_the_same_schema() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x.parquet");
    let exported = export(Shape::Parquet, everything(), Destination::File(out.clone()), &[]);
    assert_eq!(exported.sums.unwrap().files, 1);
    let metadata = open(&out).metadata().clone();
    assert_eq!((metadata.num_row_groups(), metadata.file_metadata().schema().get_fields().len()), (0, 6));
}
