//! Segments for the tests, and what a reader makes of their bytes.

use weir_record::{RecordId, Stream};
use weir_segment::{
    Block, Decoder, Footer, Opened, OriginFlags, OriginName, SegmentError, Unit, Verifier, Writer,
    WriterOptions,
};

pub(crate) const START_MS: u64 = 1_700_000_000_000 / 3_600_000 * 3_600_000;

/// Id, stream, origin, payload.
pub(crate) type Row = (RecordId, u32, u32, Vec<u8>);

pub(crate) fn unit() -> Unit {
    Unit::new(START_MS, 3_600_000, "default", 0, 1).unwrap()
}

pub(crate) fn stream(number: u32) -> Stream {
    Stream::new("shop", [("host", format!("web{number}"))]).unwrap()
}

pub(crate) fn origins(count: u32) -> Vec<(OriginName, OriginFlags)> {
    let origin = |n: u32| {
        let flags = if n % 2 == 1 { OriginFlags::MAYBE_REPEATED } else { OriginFlags::NONE };
        (OriginName { node: 7, epoch: 9, piece: u64::from(n) * 3 }, flags)
    };
    (0..count).map(origin).collect()
}

/// Lines as services write them, from a generator with a seed; minted in batches of 100.
pub(crate) fn log_lines(count: usize, seed: u64) -> Vec<Row> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rows = Vec::with_capacity(count);
    let mut run = RecordId::lowest_at(START_MS);
    for n in 0..count {
        if n % 100 == 0 {
            run = RecordId::from_parts(START_MS + n as u64 / 10, random.u128(..) >> 50);
        }
        let id = run.checked_add((n % 100) as u128).unwrap();
        let level = ["INFO", "INFO", "WARN", "ERROR", "DEBUG"][random.usize(..5)];
        let line = format!(
            "2023-11-14T22:13:{:02}.{:03}Z {level} handler: user_{} paid {} in {} ms trace={:016x}",
            n / 1000 % 60,
            n % 1000,
            random.u32(..5000),
            random.u32(..100_000),
            random.u32(..900),
            random.u64(..)
        );
        rows.push((id, (n / 100 % 3) as u32, u32::from(n / 100 % 10 == 9), line.into_bytes()));
    }
    rows.sort_by_key(|row| row.0);
    rows
}

pub(crate) fn write(rows: &[Row], options: WriterOptions) -> (Vec<u8>, Footer) {
    let count = rows.iter().map(|row| row.2 + 1).max().unwrap_or(1);
    let mut writer = Writer::new(unit(), &origins(count), options).unwrap();
    let streams: Vec<u32> = (0..8).map(|n| writer.stream(&stream(n)).unwrap()).collect();
    let (mut file, mut out) = (Vec::new(), Vec::new());
    for (id, stream, origin, payload) in rows {
        writer.push(*id, streams[*stream as usize], *origin, payload, &mut out).unwrap();
        // Whoever writes may take the bytes away at any time.
        file.append(&mut out);
    }
    let footer = writer.finish(&mut out).unwrap();
    file.append(&mut out);
    (file, footer)
}

pub(crate) fn open(file: &[u8]) -> Result<Footer, SegmentError> {
    let mut have = 64;
    loop {
        let end = &file[file.len().saturating_sub(have)..];
        match Footer::open(end, file.len() as u64)? {
            Opened::Footer(footer) => return Ok(*footer),
            Opened::Need(more) => {
                assert!(more > end.len(), "it asks for what it has");
                have = more;
            }
        }
    }
}

pub(crate) fn slice(file: &[u8], range: std::ops::Range<u64>) -> &[u8] {
    &file[range.start as usize..range.end as usize]
}

pub(crate) fn rows(file: &[u8], footer: &Footer) -> Result<Vec<Row>, SegmentError> {
    let mut decoder = Decoder::new()?;
    let mut block = Block::new();
    let mut rows = Vec::new();
    for (index, entry) in footer.blocks().iter().enumerate() {
        decoder.block(footer, index, slice(file, entry.range()), &mut block)?;
        assert_eq!(block.ends().len(), entry.records as usize);
        assert!(block.is_in_order() || block.order().len() == block.ends().len());
        rows.extend(block.records().map(|r| (r.id, r.stream, r.origin, r.payload.to_vec())));
    }
    Ok(rows)
}

/// Everything that is wrong with a file.
pub(crate) fn verify(file: &[u8]) -> Vec<SegmentError> {
    let footer = match open(file) {
        Ok(footer) => footer,
        Err(error) => return vec![error],
    };
    let mut verifier = Verifier::new(&footer).unwrap();
    let mut found = Vec::new();
    for entry in footer.blocks() {
        found.extend(verifier.block(slice(file, entry.range())).err());
    }
    for (index, part) in footer.parts().iter().enumerate() {
        found.extend(verifier.part(index, slice(file, part.range.clone())).err());
    }
    found.extend(verifier.finish());
    found
}
