//! The hub over a real log, turn by turn.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_api::backend::{TailEvent, TailRequest};
use weir_query::{Matcher, Rows, parse};
use weir_record::limits::{PIECE_BYTES_MIN, TAIL_CHUNK_BYTES, TAIL_CHUNKS_MAX, TAIL_IDLE_MS};
use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};
use weir_storage::disk::real::RealDisk;
use weir_storage::{Entry, IngestLog, LogOptions, Piece};

use super::Tails;
use super::hub::Hub;
use super::merge::merge;
use super::token::{Place, Token};
use super::window::Bounds;

const NODE: u64 = 7;
const WIDE: Bounds = Bounds { bytes: u64::MAX, pieces: 1000, batches: usize::MAX, age: Duration::MAX };

/// A log and the hub that follows it. Records are numbered from 0 in their payloads.
struct World {
    dir: TempDir,
    log: IngestLog,
    hub: Hub,
    now: Instant,
    written: usize,
    pad: usize,
}

impl World {
    fn new(bounds: Bounds) -> World {
        let dir = tempfile::tempdir().unwrap();
        let log = open(&dir, 1);
        World { dir, log, hub: Hub::new(NODE, 11, bounds), now: Instant::now(), written: 0, pad: 0 }
    }

    /// Commits an entry with batches of so many records each.
    fn write(&mut self, batches: &[usize]) -> Range<usize> {
        let from = self.written;
        let batches = batches.iter().map(|&count| {
            let (mut ends, mut arena) = (Vec::new(), Vec::new());
            for number in self.written..self.written + count {
                arena.extend_from_slice(format!("{number} {}", "x".repeat(self.pad)).as_bytes());
                ends.push(arena.len() as u32);
            }
            let topic = ["even", "odd"][self.written % 2];
            let first = RecordId::from_parts(1_000, self.written as u128);
            self.written += count;
            let runs = vec![IdRun { first, count: count as u32 }];
            let stream = Stream::new(topic, [("", ""); 0]).unwrap();
            Batch::new(stream, BatchFlags::NONE, runs, ends, arena).unwrap()
        });
        let entry = Entry { checkpoint: None, batches: batches.collect() };
        self.log.append(&entry).unwrap();
        self.log.commit().unwrap();
        from..self.written
    }

    fn pieces(&self) -> Vec<Arc<Piece>> {
        self.log.reader().snapshot().pieces
    }

    fn look(&mut self) {
        self.hub.look(&self.pieces(), Vec::new(), self.now);
    }

    /// Looks, and takes turns until there is nothing to do; tells how many.
    fn settle(&mut self) -> usize {
        self.look();
        std::iter::from_fn(|| self.hub.turn(self.now).then_some(())).count()
    }

    /// Looks, and lets the hub and some readers go on until nothing moves.
    fn drain(&mut self, readers: &mut [&mut Reader]) {
        self.look();
        loop {
            let turned = self.hub.turn(self.now);
            let taken = readers.iter_mut().filter_map(|reader| reader.take().then_some(())).count();
            if !turned && taken == 0 {
                break;
            }
        }
    }

    fn join(&mut self, query: &str, resume: Option<&[u8]>) -> Reader {
        let (send, events) = mpsc::channel(TAIL_CHUNKS_MAX);
        let matcher = Matcher::compile(&parse(query).unwrap()).unwrap();
        let resume = resume.map(|bytes| Token::decode(bytes).unwrap());
        self.hub.join(matcher, resume.as_ref(), send);
        self.hub.turn(self.now);
        Reader {
            events,
            numbers: Vec::new(),
            gaps: Vec::new(),
            resume: Vec::new(),
            idles: 0,
            chunk_bytes_max: 0,
        }
    }

    /// Restarts the node: a new run, a new hub, the log as it was left.
    fn restart(&mut self) {
        let gone = open(&tempfile::tempdir().unwrap(), 0);
        drop(std::mem::replace(&mut self.log, gone));
        self.log = open(&self.dir, 2);
        self.hub = Hub::new(NODE, 12, WIDE);
        self.look();
    }

    /// All complete pieces leave the log, said or unsaid.
    fn leave(&mut self, said: bool) {
        self.log.complete_piece().unwrap();
        let left = if said { self.pieces() } else { Vec::new() };
        self.hub.look(&[], left, self.now);
    }
}

fn open(dir: &TempDir, epoch: u64) -> IngestLog {
    let options = LogOptions { piece_bytes: PIECE_BYTES_MIN, ..LogOptions::new(NODE, epoch) };
    IngestLog::open(Arc::new(RealDisk), dir.path(), options).unwrap().0
}

/// A client, and what it was told so far.
struct Reader {
    events: mpsc::Receiver<TailEvent>,
    numbers: Vec<usize>,
    gaps: Vec<Option<u64>>,
    resume: Vec<u8>,
    idles: usize,
    chunk_bytes_max: usize,
}

impl Reader {
    /// Takes one event; `false` when none waits.
    fn take_one(&mut self) -> bool {
        let Ok(event) = self.events.try_recv() else { return false };
        event.resume().clone_into(&mut self.resume);
        match event {
            TailEvent::Rows { rows, .. } => {
                self.chunk_bytes_max = self.chunk_bytes_max.max(rows.bytes());
                self.numbers.extend(numbers(&rows));
            }
            TailEvent::Gap { records, .. } => self.gaps.push(records),
            TailEvent::Idle { .. } => self.idles += 1,
        }
        true
    }

    /// Takes what waits; `false` when nothing did.
    fn take(&mut self) -> bool {
        let mut taken = false;
        while self.take_one() {
            taken = true;
        }
        taken
    }
}

fn take_all(readers: &mut [Reader]) {
    for reader in readers {
        reader.take();
    }
}

/// The numbers of rows; their ids must be those that were written.
fn numbers(rows: &Rows) -> Vec<usize> {
    let number = |payload: &[u8]| {
        let text = std::str::from_utf8(payload).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    rows.iter()
        .map(|row| {
            let number: usize = number(row.payload);
            assert_eq!(row.id, RecordId::from_parts(1_000, number as u128));
            number
        })
        .collect()
}

#[test]
fn who_keeps_up_gets_every_record_once_in_order_over_many_pieces() {
    let mut world = World::new(WIDE);
    let old = world.write(&[3]);
    world.look();
    let (mut all, mut odd) = (world.join("", None), world.join("topic:odd", None));
    world.pad = 500;
    for round in 0..200 {
        world.write(&[1 + round % 3, 1, 2]);
        if round % 4 == 0 {
            world.drain(&mut [&mut all, &mut odd]);
        }
        if round % 50 == 49 {
            world.settle();
            world.leave(true);
        }
    }
    world.drain(&mut [&mut all, &mut odd]);
    assert_eq!(all.numbers, (old.end..world.written).collect::<Vec<_>>());
    assert!(odd.numbers.is_sorted() && odd.numbers.len() > 100 && odd.numbers.len() < all.numbers.len());
    assert_eq!((all.gaps, odd.gaps), (vec![], vec![]));
}

#[test]
fn clients_at_the_same_place_are_served_by_one_read_and_a_stalled_one_by_none() {
    let mut world = World::new(WIDE);
    let mut readers: Vec<Reader> = (0..20).map(|_| world.join("", None)).collect();
    world.pad = TAIL_CHUNK_BYTES;
    for _ in 0..TAIL_CHUNKS_MAX {
        world.write(&[1]);
    }
    take_all(&mut readers);
    assert_eq!(world.settle(), TAIL_CHUNKS_MAX, "each piece is read once for all");
    world.write(&[1]);
    assert_eq!(world.settle(), 0, "nobody has room");
    readers[4].take();
    assert_eq!(world.settle(), 1);
    take_all(&mut readers);
    world.settle();
    take_all(&mut readers);
    for reader in &readers {
        assert_eq!(reader.numbers, [0, 1, 2]);
    }
    drop(readers);
    world.settle();
    assert_eq!(world.hub.clients(), 0);
}

#[test]
fn a_slow_client_is_told_exactly_how_much_it_missed_and_goes_on_live() {
    let mut world = World::new(Bounds { pieces: 2, ..WIDE });
    world.pad = TAIL_CHUNK_BYTES / 2;
    let mut slow = world.join("", None);
    let mut fast = world.join("", None);
    for _ in 0..40 {
        world.write(&[1, 1]);
        world.drain(&mut [&mut fast]);
    }
    world.drain(&mut [&mut slow, &mut fast]);
    let seen = slow.numbers.len();
    assert_eq!(slow.numbers, (0..seen).collect::<Vec<_>>(), "what it got before has no hole");
    assert_eq!(slow.gaps, [Some((world.written - seen) as u64)]);
    let live = world.write(&[2]);
    world.drain(&mut [&mut slow, &mut fast]);
    assert_eq!(slow.numbers[seen..], live.collect::<Vec<_>>());
    assert_eq!((fast.numbers.len(), fast.gaps.len()), (world.written, 0));
}

#[test]
fn a_large_batch_comes_in_chunks_and_a_token_between_them_loses_and_repeats_nothing() {
    let mut world = World::new(WIDE);
    let mut reader = world.join("", None);
    reader.take();
    world.pad = 1_000;
    let all = world.write(&[3_000]);
    let mut tokens = Vec::new();
    loop {
        world.settle();
        if !reader.take_one() {
            break;
        }
        tokens.push((reader.resume.clone(), reader.numbers.len()));
    }
    assert_eq!(reader.numbers, all.collect::<Vec<_>>());
    assert!(tokens.len() > 5 && reader.chunk_bytes_max < 4 * TAIL_CHUNK_BYTES);
    for (token, from) in tokens {
        let mut again = world.join("", Some(&token));
        world.drain(&mut [&mut again]);
        assert_eq!(again.numbers, (from..3_000).collect::<Vec<_>>());
        assert_eq!(again.gaps, []);
    }
}

#[test]
fn a_token_goes_on_after_a_restart_and_after_its_piece_has_left_the_log() {
    for (left, restarted) in [(false, false), (true, false), (false, true)] {
        let mut world = World::new(WIDE);
        world.write(&[5]);
        world.look();
        let mut reader = world.join("", None);
        world.write(&[4, 1]);
        world.settle();
        reader.take();
        assert_eq!(reader.numbers, [5, 6, 7, 8, 9]);
        let token = reader.resume.clone();
        drop(reader);
        world.write(&[2]);
        world.look();
        if left {
            world.leave(true);
        }
        if restarted {
            world.restart();
        }
        let mut reader = world.join("", Some(&token));
        reader.take();
        let missed = reader.numbers.clone();
        assert_eq!((missed, reader.gaps.len()), (vec![10, 11], 0), "left {left}, restarted {restarted}");
    }
}

#[test]
fn what_cannot_be_known_is_a_gap_and_never_silent() {
    // A token of a place that is not kept any more, of another log, of no place here, of an earlier empty log.
    let other = Place { epoch: 99, piece: 1, byte: 0, row: 0 };
    for token in [Token::of(NODE, other), Token::of(NODE + 1, other), Token::of(NODE, Place::origin(5))] {
        let mut world = World::new(WIDE);
        world.write(&[3]);
        world.look();
        let mut reader = world.join("", Some(&token.encode()));
        world.write(&[1]);
        world.drain(&mut [&mut reader]);
        assert_eq!((reader.gaps, reader.numbers), (vec![None], vec![3]));
    }
    // A piece that left the log without a word, perhaps after it had grown.
    let mut world = World::new(WIDE);
    let mut reader = world.join("", None);
    world.write(&[2]);
    world.settle();
    reader.take();
    world.leave(false);
    let newer = world.write(&[1]);
    let pieces = world.pieces().split_off(1);
    world.hub.look(&pieces, Vec::new(), world.now);
    while world.hub.turn(world.now) || reader.take_one() {}
    assert_eq!((reader.gaps, reader.numbers), (vec![None], vec![0, 1, newer.start]));
}

#[test]
fn an_empty_log_has_a_place_to_come_back_to() {
    let mut world = World::new(WIDE);
    let mut reader = world.join("", None);
    reader.take();
    assert_eq!((reader.idles, reader.numbers.len()), (1, 0));
    let token = reader.resume.clone();
    world.write(&[2]);
    world.look();
    let mut again = world.join("", Some(&token));
    again.take();
    assert_eq!((again.numbers, again.gaps), (vec![0, 1], vec![]));
}

#[test]
fn a_client_whose_query_matches_nothing_gets_a_new_place_now_and_then() {
    let mut world = World::new(WIDE);
    let mut reader = world.join("nothing", None);
    reader.take();
    let first = reader.resume.clone();
    world.write(&[2]);
    world.settle();
    reader.take();
    assert_eq!(reader.idles, 1, "too soon");
    world.now += Duration::from_millis(TAIL_IDLE_MS);
    world.settle();
    reader.take();
    assert_eq!(reader.idles, 2);
    assert_ne!(reader.resume, first);
    world.now += Duration::from_millis(TAIL_IDLE_MS);
    world.settle();
    reader.take();
    assert_eq!(reader.idles, 2, "it stands where it stood");
}

#[test]
fn pieces_are_let_go_when_they_are_old() {
    let mut world = World::new(Bounds { age: Duration::from_mins(1), ..WIDE });
    world.write(&[2]);
    world.look();
    let mut reader = world.join("", None);
    reader.take();
    let token = reader.resume.clone();
    drop(reader);
    world.write(&[1]);
    world.leave(true);
    world.now += Duration::from_secs(61);
    world.hub.look(&[], Vec::new(), world.now);
    let mut late = world.join("", Some(&token));
    late.take();
    assert_eq!((late.gaps, late.numbers), (vec![None], vec![]));
    let mut at_end = world.join("", Some(&late.resume));
    at_end.take();
    assert_eq!(at_end.gaps, [], "nothing came after that place");
}

#[test]
fn damage_is_a_gap_of_the_records_in_it() {
    let mut world = World::new(WIDE);
    let mut reader = world.join("", None);
    reader.take();
    world.write(&[2]);
    world.write(&[3]);
    world.write(&[1]);
    let frame = world.pieces()[0].batches()[1].frame_offset;
    let file = std::fs::read_dir(world.dir.path().join("log")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[frame as usize + 30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    world.drain(&mut [&mut reader]);
    assert_eq!((reader.numbers, reader.gaps), (vec![0, 1, 5], vec![Some(3)]));
}

#[tokio::test]
async fn tails_of_several_nodes_become_one_whose_token_holds_all_their_places() {
    use futures_util::StreamExt as _;
    use futures_util::stream::iter;
    let at = |byte| Place { epoch: 1, piece: 1, byte, row: 0 };
    let idle = |node, byte| TailEvent::Idle { resume: Token::of(node, at(byte)).encode() };
    let one = iter([idle(1, 10), idle(1, 20)]).boxed();
    let two = iter([idle(2, 30), TailEvent::Idle { resume: vec![9] }]).boxed();
    let mut earlier = Token::of(2, at(0));
    earlier.update(&Token::of(3, at(7)));
    let events: Vec<TailEvent> =
        merge(Arc::new(Mutex::new(earlier)), vec![one], iter([two]).boxed()).collect().await;
    assert_eq!(events.len(), 4);
    let last = Token::decode(events[3].resume()).unwrap();
    assert_eq!([1, 2, 3].map(|node| last.place(node)), [Some(at(20)), Some(at(30)), Some(at(7))]);
}

#[tokio::test]
async fn the_thread_hands_over_what_is_committed_until_it_is_dropped() {
    use futures_util::StreamExt as _;
    let mut world = World::new(WIDE);
    world.write(&[2]);
    let tails = Tails::start(NODE, 11, world.log.reader()).unwrap();
    let request = |resume: Option<Vec<u8>>, cancel: &CancellationToken| TailRequest {
        text: String::new(),
        expr: parse("").unwrap(),
        stages: Vec::new(),
        resume,
        cancel: cancel.clone(),
    };
    let (here, gone) = (CancellationToken::new(), CancellationToken::new());
    let mut tail = tails.tail(request(None, &here)).await.unwrap().events;
    let first = tail.next().await.unwrap();
    assert!(matches!(first, TailEvent::Idle { .. }), "{first:?}");
    world.write(&[1, 1]);
    tails.committed();
    let mut found = Vec::new();
    while found.len() < 2 {
        let Some(TailEvent::Rows { rows, .. }) = tail.next().await else { panic!("no rows") };
        found.extend(numbers(&rows));
    }
    assert_eq!(found, [2, 3]);
    let mut again = tails.tail(request(Some(first.resume().to_owned()), &gone)).await.unwrap().events;
    let Some(TailEvent::Rows { rows, .. }) = again.next().await else { panic!("no rows") };
    assert_eq!(numbers(&rows), [2, 3]);
    gone.cancel();
    // An idle event may have come before the end.
    while again.next().await.is_some() {}
    let refused = tails.tail(request(Some(vec![9]), &here)).await.unwrap_err();
    assert_eq!(refused.code(), "bad_resume_token");
    drop(tails);
    while tail.next().await.is_some() {}
}
