//! Segments on disk for the tests.

use std::path::{Path, PathBuf};

use weir_export::{Destination, Export, ExportError, Range, Shape, Sums};
use weir_record::{RecordId, Stream};
use weir_segment::{Concat, Footer, OriginFlags, OriginName, Unit, Writer, WriterOptions};

/// 2023-11-14T22:00:00Z.
pub(crate) const START_MS: u64 = 1_700_000_000_000 / 3_600_000 * 3_600_000;

/// Longer than an hour and a day, so that a segment crosses both.
const BUCKET_MS: u64 = 10 * 86_400_000;

/// Time after [`START_MS`], stream, payload.
pub(crate) type Row = (u64, u32, Vec<u8>);

pub(crate) fn stream(number: u32) -> Stream {
    match number {
        0 => Stream::new("bare", [("", ""); 0]).unwrap(),
        1 => Stream::new("a,\"b\"", [("host", "w\"1\", a"), ("env", "é")]).unwrap(),
        number => Stream::new("shop", [("host", format!("web{number}"))]).unwrap(),
    }
}

/// A segment in a file of the given name. Records get ids in the order of their rows.
pub(crate) fn segment(path: &Path, rows: &[Row], block_bytes: usize) -> PathBuf {
    let (bytes, _) = written(3, rows, block_bytes);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    path.to_owned()
}

/// A segment of one origin each for some lists of rows, put one behind the other.
pub(crate) fn concatenated(path: &Path, lists: &[Vec<Row>], block_bytes: usize) -> PathBuf {
    let segments: Vec<_> = (0..).zip(lists).map(|(piece, rows)| written(piece, rows, block_bytes)).collect();
    let footers: Vec<&Footer> = segments.iter().map(|(_, footer)| footer).collect();
    let concat = Concat::new(&footers).unwrap();
    let mut bytes = Vec::new();
    for (file, footer) in &segments {
        bytes.extend_from_slice(&file[..Concat::copied(footer).end as usize]);
    }
    concat.finish(&mut bytes).unwrap();
    std::fs::write(path, bytes).unwrap();
    path.to_owned()
}

fn written(piece: u64, rows: &[Row], block_bytes: usize) -> (Vec<u8>, Footer) {
    let unit = Unit::new(START_MS / BUCKET_MS * BUCKET_MS, BUCKET_MS, "default", 0, 1).unwrap();
    let origin = (OriginName { node: 1, epoch: 2, piece }, OriginFlags::NONE);
    let options = WriterOptions { block_bytes, ..WriterOptions::default() };
    let mut writer = Writer::new(unit, &[origin], options).unwrap();
    let mut bytes = Vec::new();
    for (index, (time_ms, number, payload)) in rows.iter().enumerate() {
        let number = writer.stream(&stream(*number)).unwrap();
        writer.push(id(index, *time_ms), number, 0, payload, &mut bytes).unwrap();
    }
    let footer = writer.finish(&mut bytes).unwrap();
    (bytes, footer)
}

pub(crate) fn id(index: usize, time_ms: u64) -> RecordId {
    RecordId::from_parts(START_MS + time_ms, index as u128)
}

/// Lines of services, with every payload that may be a problem of a format among them.
pub(crate) fn rows(count: usize, seed: u64) -> Vec<Row> {
    const ODD: [&[u8]; 9] = [
        b"",
        b"\xff\0",
        b"two\nlines\r\n",
        b"say \"hi\", she said",
        b"\"",
        "ü✓\u{1f600}".as_bytes(),
        b"\0",
        b"NULL",
        b"half a letter \xc3",
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let row = |n: usize| {
        let line = match random.usize(..10) {
            0 => ODD[random.usize(..ODD.len())].to_vec(),
            _ => format!("user_{} paid {} trace={:016x}", random.u32(..900), random.u32(..), random.u64(..))
                .into(),
        };
        (n as u64 * 40, random.u32(..4), line)
    };
    (0..count).map(row).collect()
}

/// What is exported, and whatever was told.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) bytes: Vec<u8>,
    pub(crate) told: Vec<String>,
    pub(crate) sums: Result<Sums, ExportError>,
}

pub(crate) fn everything() -> Range {
    Range::parse(None, None, 0).unwrap()
}

pub(crate) fn export(shape: Shape, range: Range, destination: Destination, paths: &[PathBuf]) -> Exported {
    let export = Export { shape, range, destination, force: false };
    let (mut bytes, mut told) = (Vec::new(), Vec::new());
    let sums = export.run(paths, &mut bytes, &mut |problem| told.push(problem.to_string()));
    Exported { bytes, told, sums }
}

/// All files below a folder, by their paths in it, sorted.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    fn collect(root: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    collect(dir, dir, &mut found);
    found.sort();
    found
}
