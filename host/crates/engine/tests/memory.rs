//! Pieces in memory, and queries over them.

use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_engine::{
    BatchSummary, Cancel, Engine, EngineError, EngineOptions, Piece, Plan, Searchable, Unreadable, Views,
};
use weir_query::{Matcher, Order, Rows, Stats, parse};
use weir_record::codec::{Reader, encode_batch};
use weir_record::{Batch, BatchFlags, BatchView, RecordId, Stream};

/// What is done at each read, before it.
type OnRead = Box<dyn Fn() + Send + Sync>;

/// A piece of batches in memory, some of which can be made unreadable.
#[derive(Default)]
pub(crate) struct MemoryPiece {
    batches: Vec<Batch>,
    encoded: Vec<Vec<u8>>,
    streams: Vec<Arc<Stream>>,
    pub(crate) unreadable: Vec<usize>,
    pub(crate) lost: Option<String>,
    pub(crate) on_read: Option<OnRead>,
    pub(crate) batches_read: AtomicU64,
}

impl fmt::Debug for MemoryPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} batches", self.batches.len())
    }
}

impl MemoryPiece {
    pub(crate) fn new(batches: Vec<Batch>) -> MemoryPiece {
        let mut piece = MemoryPiece::default();
        for batch in &batches {
            let mut bytes = Vec::new();
            encode_batch(&mut bytes, batch);
            piece.encoded.push(bytes);
            if !piece.streams.iter().any(|stream| **stream == *batch.stream()) {
                piece.streams.push(Arc::new(batch.stream().clone()));
            }
        }
        piece.batches = batches;
        piece
    }
}

impl Piece for MemoryPiece {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn id_range(&self) -> (RecordId, RecordId) {
        let ranges = self.batches.iter().map(Batch::id_range);
        ranges
            .fold((RecordId::MAX, RecordId::MIN), |(low, high), range| (low.min(range.0), high.max(range.1)))
    }

    fn stream_count(&self) -> usize {
        self.streams.len()
    }

    fn stream(&self, number: usize) -> &Arc<Stream> {
        &self.streams[number]
    }

    fn batch_count(&self) -> usize {
        self.batches.len()
    }

    fn batch(&self, place: usize) -> BatchSummary {
        let batch = &self.batches[place];
        let (low, high) = batch.id_range();
        let stream = self.streams.iter().position(|stream| **stream == *batch.stream()).unwrap() as u32;
        let (records, payload_bytes) = (batch.count() as u32, batch.payload_bytes() as u32);
        BatchSummary { low, high, stream, records, payload_bytes, group: place as u64 / 2 }
    }

    fn read(&self, places: Range<usize>, _: &mut Vec<u8>, each: Views<'_>) {
        if let Some(on_read) = &self.on_read {
            on_read();
        }
        for place in places {
            self.batches_read.fetch_add(1, Ordering::Relaxed);
            if self.unreadable.contains(&place) {
                let (at, why) = (format!("memory, batch {place}"), "made so".to_owned());
                each(Err(Unreadable { first: place, batches: 1, place: at, why }));
                continue;
            }
            let view = BatchView::read(&mut Reader::new(&self.encoded[place])).unwrap();
            each(Ok((place, view)));
        }
    }

    fn lost(&self) -> Option<String> {
        self.lost.clone()
    }
}

/// A batch of records with the ids given.
pub(crate) fn batch(topic: &str, records: &[(u128, &[u8])]) -> Batch {
    let none: [(&str, &str); 0] = [];
    let (mut runs, mut ends, mut arena) = (Vec::new(), Vec::new(), Vec::new());
    for (id, payload) in records {
        weir_record::mint::push_id(&mut runs, RecordId::from_u128(*id));
        arena.extend_from_slice(payload);
        ends.push(arena.len() as u32);
    }
    Batch::new(Stream::new(topic, none).unwrap(), BatchFlags::NONE, runs, ends, arena).unwrap()
}

pub(crate) fn engine(workers: usize, memory_bytes_max: usize) -> Engine {
    Engine::new(EngineOptions { workers, memory_bytes_max, memory_bytes_all_max: usize::MAX }).unwrap()
}

/// Everything that matches, oldest first.
pub(crate) fn plan(query: &str) -> Plan {
    Plan {
        matcher: Matcher::compile(&parse(query).unwrap()).unwrap(),
        from: RecordId::MIN,
        to: RecordId::MAX,
        limit: None,
        order: Order::Asc,
        whole: false,
        stages: None,
    }
}

pub(crate) fn pieces(pieces: &[Arc<MemoryPiece>]) -> Vec<Searchable> {
    pieces.iter().map(|piece| Searchable::Log(Arc::clone(piece) as Arc<dyn Piece>)).collect()
}

/// A record as the tests compare them.
pub(crate) type Shown = (u128, String, Vec<u8>);

pub(crate) fn shown(rows: &Rows) -> impl Iterator<Item = Shown> {
    rows.iter().map(|row| (row.id.to_u128(), row.stream.topic().to_owned(), row.payload.to_vec()))
}

/// The whole answer.
pub(crate) fn ask(
    engine: &Engine,
    plan: &Plan,
    over: &[Arc<MemoryPiece>],
) -> Result<(Vec<Shown>, Stats), EngineError> {
    let mut answer = Vec::new();
    let outcome = engine.run_over(plan, &pieces(over), &Cancel::new(), &mut |rows| {
        answer.extend(shown(&rows));
        ControlFlow::Continue(())
    })?;
    Ok((answer, outcome.stats))
}
