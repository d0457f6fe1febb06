//! The rows that one search of a piece finds: the first ones in the order of the answer, within a bound.

use std::cmp::Ordering;
use std::sync::Arc;

use weir_query::{Order, Rows};
use weir_record::merge::{Place, Run};
use weir_record::{RecordId, Stream};

/// Rows with one id that do not fit the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// What bounds a collector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The direction of the answer.
    pub(crate) order: Order,
    /// The last key wanted. See [`Order::key`].
    pub(crate) last: u128,
    /// How many different records are wanted.
    pub(crate) limit: Option<usize>,
    /// Bytes that may be in use, while rows are put in order included.
    pub(crate) bytes_max: usize,
}

/// Takes rows in any order and keeps the first ones.
#[derive(Debug)]
pub(crate) struct Collector {
    bounds: Bounds,
    rows: Rows,
    // Per stream its number in `rows`, `u32::MAX` before its first row; grows as streams come.
    streams: Vec<u32>,
    cut: Option<u128>,
    reached: Option<u128>,
}

/// Rows in the order of the answer.
#[derive(Debug)]
pub(crate) struct SortedRows {
    rows: Rows,
    // The rows' numbers in order; `None` when they lie in order.
    order: Option<Vec<u32>>,
}

/// What a collector kept.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) rows: SortedRows,
    /// The key from which on rows were left out because of the bytes. The piece must be searched again
    /// from there.
    pub(crate) cut: Option<u128>,
    /// The key of the last row within the limit, if that was reached: no row of the answer lies behind it.
    pub(crate) reached: Option<u128>,
}

/// Rows beyond the limit that are kept before they are sorted out: so that sorting is rare.
const LIMIT_SLACK: usize = 1024;

impl Collector {
    /// A collector without rows.
    pub(crate) fn new(bounds: Bounds) -> Collector {
        Collector { bounds, rows: Rows::new(), streams: Vec::new(), cut: None, reached: None }
    }

    /// Makes room for rows that are certain to come, so that it need not grow twofold again and again.
    pub(crate) fn expect(&mut self, records: usize, payload_bytes: usize) {
        if payload_bytes + records * Rows::ROW_BYTES <= self.bounds.bytes_max / 2 {
            self.rows.reserve(records, payload_bytes);
        }
    }

    pub(crate) fn has_no_limit(&self) -> bool {
        self.bounds.limit.is_none()
    }

    /// The last key that is still of interest. It goes down as the limit is reached.
    pub(crate) fn last(&self) -> u128 {
        self.bounds.last
    }

    /// Adds a row, unless it lies behind the last one of interest. An error spoils the collector.
    pub(crate) fn push(
        &mut self,
        id: RecordId,
        number: u32,
        stream: &Arc<Stream>,
        payload: &[u8],
    ) -> Result<(), TooLarge> {
        if self.bounds.order.key(id) > self.bounds.last {
            return Ok(());
        }
        if self.streams.len() <= number as usize {
            self.streams.resize(number as usize + 1, u32::MAX);
        }
        let place = &mut self.streams[number as usize];
        if *place == u32::MAX {
            *place = self.rows.add_stream(Arc::clone(stream));
        }
        self.rows.push(id, *place, payload);
        let many = self.bounds.limit.is_some_and(|limit| self.rows.count() >= 2 * limit + LIMIT_SLACK);
        // Half is for the rows, half for putting them in order.
        if many || self.rows.bytes() > self.bounds.bytes_max / 2 { self.shrink() } else { Ok(()) }
    }

    /// Finds the last row of interest, if the limit was reached since it was found last.
    pub(crate) fn tighten(&mut self) -> Result<(), TooLarge> {
        match self.bounds.limit {
            Some(limit) if self.rows.count() > limit => self.shrink(),
            _ => Ok(()),
        }
    }

    /// The rows in order.
    pub(crate) fn finish(mut self) -> Result<Collected, TooLarge> {
        self.tighten()?;
        let order = sorted(&self.rows, self.bounds.order);
        Ok(Collected { rows: SortedRows { rows: self.rows, order }, cut: self.cut, reached: self.reached })
    }

    /// Drops the rows that lie behind the limit, and those that take more than half of the room for rows.
    fn shrink(&mut self) -> Result<(), TooLarge> {
        let order = self.bounds.order;
        let mut kept = sorted(&self.rows, order).unwrap_or_else(|| (0..self.rows.count() as u32).collect());
        let key = |row: &u32| order.key(self.rows.ids()[*row as usize]);
        if let Some(limit) = self.bounds.limit {
            kept.dedup_by(|b, a| place(&self.rows, *a).repeats(&place(&self.rows, *b)));
            kept.truncate(limit);
            if kept.len() == limit
                && let Some(last) = kept.last()
            {
                // Equal ids stay of interest: their place depends on their payloads.
                self.bounds.last = key(last);
                self.reached = Some(key(last));
            }
        }
        let mut bytes = 0;
        let room = self.bounds.bytes_max / 4;
        let fitting = kept.iter().take_while(|row| {
            bytes += self.rows.payload(**row as usize).len() + Rows::ROW_BYTES;
            bytes <= room
        });
        let fitting = fitting.count();
        if let Some(first_out) = kept.get(fitting) {
            // Rows with one id stay together: the cut is a key.
            let cut = key(first_out);
            let before = kept.partition_point(|row| key(row) < cut);
            if before == 0 {
                return Err(TooLarge);
            }
            kept.truncate(before);
            self.cut = Some(cut);
            self.bounds.last = cut - 1;
        }
        let mut rows = Rows::new();
        for stream in self.rows.streams() {
            rows.add_stream(Arc::clone(stream));
        }
        for &row in &kept {
            let row = row as usize;
            rows.push(self.rows.ids()[row], self.rows.stream_of()[row], self.rows.payload(row));
        }
        self.rows = rows;
        Ok(())
    }
}

fn place(rows: &Rows, row: u32) -> Place<'_> {
    let row = row as usize;
    Place {
        id: rows.ids()[row],
        payload: rows.payload(row),
        stream: &rows.streams()[rows.stream_of()[row] as usize],
    }
}

/// The numbers of the rows in order, `None` when they lie in order.
fn sorted(rows: &Rows, order: Order) -> Option<Vec<u32>> {
    let ids = rows.ids();
    let compare = |a: u32, b: u32| match order.key(ids[a as usize]).cmp(&order.key(ids[b as usize])) {
        Ordering::Equal => place(rows, a).compare(&place(rows, b), order),
        unequal => unequal,
    };
    let count = rows.count() as u32;
    if (1..count).all(|row| compare(row - 1, row).is_le()) {
        return None;
    }
    let mut numbers: Vec<u32> = (0..count).collect();
    // The stable sort uses that batches are sorted in themselves.
    numbers.sort_by(|a, b| compare(*a, *b));
    Some(numbers)
}

impl SortedRows {
    /// What the rows take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.order.as_ref().map_or(0, |order| order.len() * size_of::<u32>())
    }

    /// The rows, and which of them is at a place in the order.
    pub(crate) fn row(&self, index: usize) -> (&Rows, usize) {
        (&self.rows, self.number(index) as usize)
    }

    fn number(&self, index: usize) -> u32 {
        self.order.as_ref().map_or(index as u32, |order| order[index])
    }
}

impl Run for SortedRows {
    fn count(&self) -> usize {
        self.rows.count()
    }

    fn id(&self, index: usize) -> RecordId {
        self.rows.ids()[self.number(index) as usize]
    }

    fn place(&self, index: usize) -> Place<'_> {
        place(&self.rows, self.number(index))
    }
}
