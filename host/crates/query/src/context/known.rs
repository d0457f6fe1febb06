//! What is known of one stream around its hits.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use weir_record::Stream;

/// The records of one key: payloads, ascending, and streams.
type Same = Vec<(Box<[u8]>, Arc<Stream>)>;

/// Records of one stream by their key, and of one key by their payload, each once.
#[derive(Debug, Default)]
pub(super) struct Known {
    records: BTreeMap<u128, Same>,
}

/// A record that is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neighbour<'a> {
    pub(super) key: u128,
    pub(super) stream: &'a Arc<Stream>,
    pub(super) payload: &'a [u8],
}

/// What a record takes beside its payload, roughly, in bytes.
const RECORD_BYTES: usize = 96;

impl Known {
    /// Adds a record; tells how many bytes more are held.
    pub(super) fn insert(&mut self, key: u128, stream: &Arc<Stream>, payload: &[u8]) -> usize {
        let same = self.records.entry(key).or_default();
        match same.binary_search_by(|(known, _)| (**known).cmp(payload)) {
            Ok(at) => {
                // Of repeats that differ in their stream the lowest one is shown, as everywhere.
                if *stream < same[at].1 {
                    same[at].1 = Arc::clone(stream);
                }
                0
            }
            Err(at) => {
                same.insert(at, (payload.into(), Arc::clone(stream)));
                payload.len() + RECORD_BYTES
            }
        }
    }

    /// The records nearest before a key, down to `first`; the nearest comes last.
    pub(super) fn before(&self, key: u128, first: u128, count: usize) -> Vec<Neighbour<'_>> {
        if first >= key {
            return Vec::new();
        }
        let mut nearest: Vec<_> = self.records.range(first..key).rev().flat_map(of_key).take(count).collect();
        nearest.sort_by(|a, b| (a.key, a.payload).cmp(&(b.key, b.payload)));
        nearest
    }

    /// The records nearest after a key, up to `last`; the nearest comes first.
    pub(super) fn after(&self, key: u128, last: u128, count: usize) -> impl Iterator<Item = Neighbour<'_>> {
        let later = key.checked_add(1).filter(|first| *first <= last);
        later.into_iter().flat_map(move |first| self.records.range(first..=last)).flat_map(of_key).take(count)
    }

    /// Forgets what lies before a key; tells how many bytes less are held.
    pub(super) fn forget_before(&mut self, key: u128) -> usize {
        let kept = self.records.split_off(&key);
        let forgotten = core::mem::replace(&mut self.records, kept);
        forgotten.values().flatten().map(|(payload, _)| payload.len() + RECORD_BYTES).sum()
    }
}

fn of_key<'a>((key, same): (&'a u128, &'a Same)) -> impl Iterator<Item = Neighbour<'a>> {
    same.iter().map(|(payload, stream)| Neighbour { key: *key, stream, payload })
}
