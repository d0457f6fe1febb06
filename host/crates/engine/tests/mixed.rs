//! Random records partly in log pieces and partly in segments: rows, counts, histograms and fingerprints are
//! those of a list.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, Mutex};

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use weir_engine::{Cancel, Engine, Piece, Plan, Searchable, SegmentPiece, StageFailure, Stages, fingerprint};
use weir_query::{Buckets, Fingerprint, Histogram, Matcher, Order, Rows};
use weir_record::RecordId;
use weir_record::limits::{QUERY_MEMORY_BYTES_MAX, QUERY_SCAN_BYTES_MIN};
use weir_segment::{Grouping, Level, WriterOptions};
use weir_storage::disk::sim::SimDisk;

use crate::memory::{MemoryPiece, Shown, batch, engine};
use crate::model::{FIELDS, exprs};
use crate::segments::{OriginSpec, open, prints, rows, stream, write};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine(3, QUERY_MEMORY_BYTES_MAX));
static LITTLE: LazyLock<Engine> = LazyLock::new(|| engine(2, 4 * QUERY_SCAN_BYTES_MIN));

const TOPICS: [&str; 3] = ["s", "t", "u"];
/// Times of all records, in milliseconds from 0 on.
const TIMES_MS: u64 = 40;

fn id(time_ms: u64, entropy: u128) -> u128 {
    RecordId::from_parts(time_ms, entropy).to_u128()
}

fn payload(random: &mut fastrand::Rng) -> Vec<u8> {
    let bytes = b"abAB_ .-\n\xc3\xa9\xff";
    let mut payload: Vec<u8> = (0..random.usize(..6)).map(|_| bytes[random.usize(..bytes.len())]).collect();
    payload.extend_from_slice([&b""[..], b" ERROR x", b" level=warn ", b"[info]"][random.usize(..4)]);
    if random.u8(..3) == 0 {
        payload.push(b' ');
        payload.extend_from_slice(FIELDS[random.usize(..FIELDS.len())].as_bytes());
    }
    // Long ones, so that a segment has several blocks.
    payload.extend(std::iter::repeat_n(b'.', [0, 0, 100, 400][random.usize(..4)]));
    payload
}

/// Where records lie, and which of them are to be found.
struct World {
    over: Vec<Searchable>,
    records: Vec<Shown>,
}

#[derive(Default)]
struct SegmentSpec {
    keyed: bool,
    origins: Vec<OriginSpec>,
}

impl SegmentSpec {
    fn origin(&mut self, random: &mut fastrand::Rng, flagged: bool) -> &mut Vec<Shown> {
        let found = self.origins.iter().position(|origin| origin.flagged == flagged && random.u8(..3) > 0);
        let at = found.unwrap_or_else(|| {
            self.origins.push(OriginSpec { flagged, records: Vec::new() });
            self.origins.len() - 1
        });
        &mut self.origins[at].records
    }
}

/// What the promises of the flags allow: a record of an origin that is not flagged, in a unit that is not
/// keyed, lies in no other such origin; anything may lie in flagged origins as well, and in the log unless its
/// flags are to be trusted, too.
fn world(seed: u64, log_has_flags: bool) -> World {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut segments: Vec<SegmentSpec> = (0..random.usize(..4))
        .map(|_| SegmentSpec { keyed: random.u8(..4) == 0, ..SegmentSpec::default() })
        .collect();
    let mut log: Vec<Vec<((usize, bool), Shown)>> = (0..random.usize(1..4)).map(|_| Vec::new()).collect();
    let mut known = BTreeSet::new();
    for _ in 0..random.usize(..150) {
        let topic = random.usize(..3);
        let keyed = segments.iter().any(|segment| segment.keyed) && random.bool();
        let entropy = random.u128(..4) + 4 * u128::from(keyed);
        let record = (id(random.u64(..TIMES_MS), entropy), payload(&mut random));
        if !known.insert(record.clone()) {
            continue;
        }
        let shown = |topic: usize| (record.0, TOPICS[topic].to_owned(), record.1.clone());
        let copies = [1, 1, 1, 2, 3][random.usize(..5)];
        let mut is_plain_somewhere = false;
        for _ in 0..copies {
            let topic = if random.u8(..8) == 0 { random.usize(..3) } else { topic };
            let fitting: Vec<usize> =
                (0..segments.len()).filter(|&number| segments[number].keyed == keyed).collect();
            if fitting.is_empty() || random.u8(..3) == 0 {
                let piece = random.usize(..log.len());
                let flagged = log_has_flags && (keyed || is_plain_somewhere || random.u8(..6) == 0);
                is_plain_somewhere |= log_has_flags && !flagged;
                log[piece].push(((topic, flagged), shown(topic)));
                continue;
            }
            let segment = &mut segments[fitting[random.usize(..fitting.len())]];
            let flagged = !keyed && (is_plain_somewhere || random.u8(..6) == 0);
            is_plain_somewhere |= !flagged;
            segment.origin(&mut random, flagged).push(shown(topic));
        }
    }
    let mut world = World { over: Vec::new(), records: Vec::new() };
    for records in log {
        add_piece(&mut world, &mut random, records);
    }
    for segment in segments {
        add_segment(&mut world, &mut random, segment);
    }
    random.shuffle(&mut world.over);
    world
}

fn add_piece(world: &mut World, random: &mut fastrand::Rng, mut records: Vec<((usize, bool), Shown)>) {
    let mut batches = Vec::new();
    records.sort_by_key(|(topic, record)| (*topic, record.0));
    for of_topic in records.chunk_by(|a, b| a.0 == b.0) {
        for part in of_topic.chunks(1 + random.usize(..6)) {
            let records: Vec<(u128, &[u8])> = part.iter().map(|(_, record)| (record.0, &*record.2)).collect();
            let (topic, flagged) = part[0].0;
            let batch = batch(TOPICS[topic], &records);
            batches.push(if flagged { batch.maybe_repeated() } else { batch });
            world.records.extend(part.iter().map(|(_, record)| record.clone()));
        }
    }
    random.shuffle(&mut batches);
    world.over.push(Searchable::Log(Arc::new(MemoryPiece::new(batches)) as Arc<dyn Piece>));
}

fn add_segment(world: &mut World, random: &mut fastrand::Rng, segment: SegmentSpec) {
    if segment.origins.is_empty() {
        return;
    }
    let grouping = if random.bool() { Grouping::Shape } else { Grouping::Order };
    let options = WriterOptions {
        grouping,
        block_bytes: [1 << 10, 3 << 10, 1 << 20][random.usize(..3)],
        leaf_bytes: [1 << 8, 1 << 11, 1 << 18][random.usize(..3)],
        level: 1,
    };
    let disk = SimDisk::new(1);
    let path = write(&disk, "x.zst", segment.keyed, &segment.origins, options);
    let file = open(&disk, &path);
    let wanted: Vec<usize> = (0..segment.origins.len()).filter(|_| random.u8(..4) > 0).collect();
    if random.bool() {
        world.over.push(SegmentPiece::all(file).into());
        world.records.extend(segment.origins.into_iter().flat_map(|origin| origin.records));
    } else {
        world.over.push(SegmentPiece::only(file, wanted.iter().copied()).into());
        world.records.extend(wanted.into_iter().flat_map(|number| segment.origins[number].records.clone()));
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let time = 0..TIMES_MS + 4;
    let to = prop_oneof![3 => Just(None), 1 => time.clone().prop_map(Some)];
    let from = prop_oneof![2 => Just(0), 1 => time];
    let limit = prop::option::of(0..12_u64);
    (exprs(), from, to, 0..4_u128, limit, any::<bool>()).prop_map(
        |(expr, from, to, entropy, limit, newest_first)| Plan {
            matcher: Matcher::compile(&expr).unwrap(),
            from: RecordId::from_parts(from, entropy),
            to: to.map_or(RecordId::MAX, |to| RecordId::from_parts(to, entropy)),
            limit,
            order: if newest_first { Order::Desc } else { Order::Asc },
            whole: false,
            stages: None,
        },
    )
}

/// Keeps payloads of an even length, with a mark behind them, and remembers what it was given.
#[derive(Debug, Default)]
struct Even {
    given: Mutex<Vec<Shown>>,
}

impl Even {
    fn keeps(record: &Shown) -> bool {
        record.2.len().is_multiple_of(2)
    }

    fn sorted(&self) -> Vec<Shown> {
        let mut given = std::mem::take(&mut *self.given.lock().unwrap());
        given.sort_unstable();
        given
    }
}

impl Stages for Even {
    fn run(&self, rows: &Rows, keep: &mut dyn FnMut(usize, &[u8])) -> Result<(), StageFailure> {
        let mut given = self.given.lock().unwrap();
        for (number, row) in rows.iter().enumerate() {
            let record = (row.id.to_u128(), row.stream.topic().to_owned(), row.payload.to_vec());
            if Even::keeps(&record) {
                keep(number, &[row.payload, b"!"].concat());
            }
            given.push(record);
        }
        Ok(())
    }
}

/// A plan with a stage, and the stage.
fn staged(plan: &Plan) -> (Plan, Arc<Even>) {
    let even = Arc::new(Even::default());
    (Plan { stages: Some(Arc::clone(&even) as Arc<dyn Stages>), ..plan.clone() }, even)
}

/// Records without their topics: which of several a copy has, is not for a sum to say.
fn untopical(records: &[Shown]) -> Vec<(u128, Vec<u8>)> {
    let mut records: Vec<_> = records.iter().map(|record| (record.0, record.2.clone())).collect();
    records.sort_unstable();
    records
}

/// What a plan finds in a list of records.
fn naive(records: &[Shown], plan: &Plan) -> Vec<Shown> {
    let matches = |record: &&Shown| {
        let id = RecordId::from_u128(record.0);
        let mut matches = false;
        if let Some(matcher) = plan.matcher.for_stream(&stream(&record.1)) {
            matcher.scan(&[record.2.len() as u32], &record.2, &mut |_| matches = true);
        }
        matches && id >= plan.from && (id < plan.to || plan.to == RecordId::MAX)
    };
    let mut found: Vec<Shown> = records.iter().filter(matches).cloned().collect();
    let key = |record: &Shown| plan.order.key(RecordId::from_u128(record.0));
    found.sort_by(|a, b| (key(a), &a.2, &a.1).cmp(&(key(b), &b.2, &b.1)));
    found.dedup_by(|b, a| (a.0, &a.2) == (b.0, &b.2));
    found
}

fn print_of(record: &Shown) -> (u128, Fingerprint) {
    let digest = Sha256::digest(&record.2);
    (record.0, Fingerprint::new(digest.as_slice()[..16].try_into().unwrap(), Level::of(&record.2) as usize))
}

fn histogram_of(records: &[Shown], buckets: Buckets) -> Histogram {
    let mut histogram = Histogram::new(buckets);
    for record in records {
        if let Some(bucket) = buckets.of(RecordId::from_u128(record.0)) {
            histogram.add(bucket, Level::of(&record.2) as usize, 1);
        }
    }
    histogram
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_mode_answers_as_a_list_would(
        seed in any::<u64>(), plan in plans(), from_ms in 0..TIMES_MS, width_ms in 1..TIMES_MS, buckets in 1..60_u64,
    ) {
        let World { over, records } = world(seed, false);
        let all = naive(&records, &plan);
        let total = all.len() as u64;

        let mut expected = all.clone();
        expected.truncate(plan.limit.unwrap_or(u64::MAX) as usize);
        for engine in [&*ENGINE, &*LITTLE] {
            let (found, answer) = rows(engine, &plan, &over);
            prop_assert_eq!(&found, &expected);
            prop_assert!(answer.stats.complete && answer.damaged.is_empty());
            let stats = answer.stats;
            let sources = stats.pieces_scanned + stats.pieces_skipped + stats.segments_scanned + stats.segments_skipped;
            prop_assert_eq!(sources, over.len() as u64);
        }

        let counted = ENGINE.count_over(&plan, &over, &Cancel::new()).unwrap();
        prop_assert_eq!(counted.stats.records_matched, total);

        let whole = Plan { limit: None, ..plan.clone() };
        let mut expected: Vec<_> = all.iter().map(print_of).collect();
        expected.sort_unstable();
        prop_assert_eq!(prints(&ENGINE, &whole, &over), expected);

        let buckets = Buckets::new(from_ms, width_ms, buckets).unwrap();
        let (histogram, answer) = ENGINE.histogram_over(&plan, buckets, &over, &Cancel::new()).unwrap();
        prop_assert_eq!(answer.stats.records_matched, histogram.total());
        prop_assert_eq!(histogram, histogram_of(&all, buckets));

        let (plan, even) = staged(&plan);
        let kept: Vec<Shown> = all.iter().filter(|record| Even::keeps(record)).cloned().collect();
        let mut expected = kept.clone();
        for record in &mut expected {
            record.2.push(b'!');
        }
        // Payloads decide among equal ids, and have changed.
        let key = |record: &Shown| plan.order.key(RecordId::from_u128(record.0));
        expected.sort_by(|a, b| (key(a), &a.2, &a.1).cmp(&(key(b), &b.2, &b.1)));
        expected.truncate(plan.limit.unwrap_or(u64::MAX) as usize);
        for engine in [&*ENGINE, &*LITTLE] {
            prop_assert_eq!(&rows(engine, &plan, &over).0, &expected);
        }
        let counted = ENGINE.count_over(&plan, &over, &Cancel::new()).unwrap();
        prop_assert_eq!(counted.stats.records_matched, kept.len() as u64);
        let (histogram, _) = ENGINE.histogram_over(&plan, buckets, &over, &Cancel::new()).unwrap();
        prop_assert_eq!(histogram, histogram_of(&kept, buckets));
        even.sorted();
        ENGINE.pass_over(&plan, &over, &Cancel::new()).unwrap();
        prop_assert_eq!(untopical(&even.sorted()), untopical(&all));
    }
}

/// What nodes of a cluster hand over as suspects, and what they count.
type Apart = [(Vec<Searchable>, Vec<Searchable>); 3];

/// Puts searchables on several nodes. Of keyed units one node counts what it has, and the others hand over what they
/// have.
fn apart(over: Vec<Searchable>, seed: u64) -> Apart {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut nodes = Apart::default();
    for part in over {
        let node = random.usize(..3);
        let is_keyed = matches!(&part, Searchable::Segment(part) if part.file().footer().unit().is_keyed());
        let (suspects, counted) = &mut nodes[node];
        match (is_keyed, node) {
            (true, 0) => counted.push(part),
            (true, _) => suspects.push(part),
            (false, _) => {
                suspects.push(part.clone());
                counted.push(part);
            }
        }
    }
    nodes
}

/// Counts in steps, as a cluster does.
fn count_apart(nodes: &Apart, plan: &Plan, buckets: Buckets) -> Histogram {
    let mut known = BTreeSet::new();
    for (suspects, _) in nodes {
        let mut sink = |rows: Rows| {
            known.extend(rows.iter().map(|row| (row.id, Fingerprint::read(row.payload).unwrap())));
            ControlFlow::Continue(())
        };
        let plan = Plan { limit: None, ..plan.clone() };
        ENGINE.suspects_over(&plan, suspects, &Cancel::new(), &mut sink).unwrap();
    }
    let known: Vec<(RecordId, Fingerprint)> = known.into_iter().collect();
    let mut sum = Histogram::new(buckets);
    for (id, print) in &known {
        if let Some(bucket) = buckets.of(*id) {
            sum.add(bucket, print.level(), 1);
        }
    }
    for (_, counted) in nodes {
        let counted = ENGINE.histogram_of_rest(plan, buckets, counted, known.clone(), &Cancel::new());
        assert!(sum.merge(&counted.unwrap().0));
    }
    sum
}

/// Sums up in steps, as a cluster does.
fn pass_apart(nodes: &Apart, plan: &Plan, even: &Even) {
    let mut known = BTreeSet::new();
    for (suspects, _) in nodes {
        let mut sink = |rows: Rows| {
            let mut once = Rows::new();
            for row in rows.iter() {
                if known.insert((row.id, fingerprint(row.payload))) {
                    let stream = once.add_stream(Arc::clone(row.stream));
                    once.push(row.id, stream, row.payload);
                }
            }
            even.run(&once, &mut |_, _| {}).unwrap();
            ControlFlow::Continue(())
        };
        let plan = Plan { limit: None, stages: None, ..plan.clone() };
        ENGINE.suspect_rows_over(&plan, suspects, &Cancel::new(), &mut sink).unwrap();
    }
    let known: Vec<(RecordId, Fingerprint)> = known.into_iter().collect();
    for (_, counted) in nodes {
        ENGINE.pass_rest(plan, counted, known.clone(), &Cancel::new()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn counts_of_several_nodes_add_up_to_those_of_a_list(
        seed in any::<u64>(), plan in plans(), from_ms in 0..TIMES_MS, width_ms in 1..TIMES_MS, buckets in 1..60_u64,
    ) {
        let World { over, records } = world(seed, true);
        let buckets = Buckets::new(from_ms, width_ms, buckets).unwrap();
        let (all, nodes) = (naive(&records, &plan), apart(over, seed));
        prop_assert_eq!(count_apart(&nodes, &plan, buckets), histogram_of(&all, buckets));
        let (plan, even) = staged(&plan);
        let kept: Vec<Shown> = all.iter().filter(|record| Even::keeps(record)).cloned().collect();
        prop_assert_eq!(count_apart(&nodes, &plan, buckets), histogram_of(&kept, buckets));
        even.sorted();
        pass_apart(&nodes, &plan, &even);
        prop_assert_eq!(untopical(&even.sorted()), untopical(&all));
    }
}

#[test]
fn more_suspects_than_fit_are_counted_in_several_goes() {
    let disk = SimDisk::new(1);
    let origin = |from: u64, count: u64| {
        let records =
            (from..from + count).map(|n| (id(n / 10, u128::from(n % 10)), "t".to_owned(), b"x".to_vec()));
        vec![OriginSpec { flagged: false, records: records.collect() }]
    };
    let options = WriterOptions::default();
    let over: Vec<Searchable> = [("a.zst", 0, 400_000), ("b.zst", 200_000, 400_000)]
        .into_iter()
        .map(|(name, from, count)| {
            let path = write(&disk, name, true, &origin(from, count), options);
            SegmentPiece::all(open(&disk, &path)).into()
        })
        .collect();
    let buckets = Buckets::new(0, 10_000, 7).unwrap();
    let (histogram, answer) =
        ENGINE.histogram_over(&crate::memory::plan("x"), buckets, &over, &Cancel::new()).unwrap();
    assert_eq!(answer.stats.records_matched, 600_000);
    let per_bucket: Vec<u64> = histogram.counts().iter().map(|counts| counts.iter().sum()).collect();
    assert_eq!(per_bucket, [100_000, 100_000, 100_000, 100_000, 100_000, 100_000, 0]);
}
