//! Origins that ingest nodes may offer: made once, for a run is about what a store does with them.

use std::sync::OnceLock;

use weir_record::{RecordId, Stream};
use weir_segment::{OriginFlags, OriginName, Unit, Writer, WriterOptions};
use weir_storage::disk::sim::prng::Prng;
use weir_storage::store::Expected;

/// Length of the buckets.
pub(crate) const HOUR_MS: u64 = 3_600_000;
/// Buckets in the pool, from that of 1970 on.
pub(crate) const HOURS: u64 = 3;
/// Retention classes in the pool.
pub(crate) const CLASSES: [&str; 2] = ["default", "debug"];

/// One origin.
#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) expected: Expected,
    pub(crate) file: Vec<u8>,
}

/// All of them: some per unit.
pub(crate) fn pool() -> &'static [Offered] {
    static POOL: OnceLock<Vec<Offered>> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut prng = Prng::new(1);
        let mut all = Vec::new();
        for hour in 0..HOURS {
            for class in CLASSES {
                let unit = Unit::new(hour * HOUR_MS, HOUR_MS, class, 0, 1);
                let unit = unit.unwrap_or_else(|error| panic!("{error}"));
                all.extend((0..8).map(|piece| offered(&unit, piece, &mut prng)));
            }
        }
        all
    })
}

fn offered(unit: &Unit, piece: u64, prng: &mut Prng) -> Offered {
    let name = OriginName { node: 1 + piece % 2, epoch: 2, piece };
    let name = if prng.once_in(4) { name.of_repeats() } else { name };
    let flags = if name.is_of_repeats() { OriginFlags::MAYBE_REPEATED } else { OriginFlags::NONE };
    let write = |prng: &mut Prng| {
        let options = WriterOptions { block_bytes: 1 << 10, ..WriterOptions::default() };
        let mut writer = Writer::new(unit.clone(), &[(name, flags)], options)?;
        let mut file = Vec::new();
        let mut at = unit.start_ms();
        for _ in 0..prng.between(1, 12) {
            let host = ["web1", "web2", "db"][prng.below(3) as usize];
            let stream = Stream::new("sim", [("host", host)]).unwrap_or_else(|error| panic!("{error}"));
            let stream = writer.stream(&stream)?;
            // Few ids, so that origins share some.
            at += prng.below(3);
            let mut payload = vec![0; prng.between(0, 300) as usize];
            prng.fill(&mut payload);
            writer.push(RecordId::from_parts(at, 7), stream, 0, &payload, &mut file)?;
        }
        writer.finish(&mut file).map(|footer| (footer, file))
    };
    let (footer, file) = write(prng).unwrap_or_else(|error| panic!("{error}"));
    let origin = footer.lineage()[0];
    let expected = Expected {
        unit: unit.clone(),
        name,
        flags,
        count: origin.count,
        digest: origin.digest,
        bytes: file.len() as u64,
    };
    Offered { expected, file }
}
