//! Which acknowledgements of `replicated` are due: who waits for a piece of the log to be handed over.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::held::OriginKey;

/// Somebody's wait, unique in its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// The answer to a wish to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The piece is handed over already: there is nothing to wait for.
    Done,
    /// It is done when this ticket comes back.
    For(Ticket),
}

/// The open pieces of one process's log.
///
/// A piece is open until it is sealed and the last of its origins handed over; how long that takes is the business
/// of whoever waits. It takes memory for who waits, and some 150 bytes per origin of this process that is in the
/// backlog: somebody may ask for its piece after it was sealed.
#[derive(Debug)]
pub struct Ledger {
    /// Pieces below it are sealed.
    unsealed_from: u64,
    /// Sealed ones above it, as far as pieces are not sealed in order.
    sealed_early: BTreeSet<u64>,
    /// What must be handed over yet of pieces that are sealed.
    open: BTreeMap<u64, BTreeSet<OriginKey>>,
    waiting: BTreeMap<u64, Vec<Ticket>>,
    next_ticket: u64,
}

impl Ledger {
    /// The ledger of a process whose first piece has this number. Nobody waits for those of an earlier process.
    pub fn new(first_piece: u64) -> Ledger {
        Ledger {
            unsealed_from: first_piece,
            sealed_early: BTreeSet::new(),
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// Waits until all of a piece is handed over.
    pub fn wait(&mut self, piece: u64) -> Waiting {
        let is_sealed = piece < self.unsealed_from || self.sealed_early.contains(&piece);
        if is_sealed && !self.open.contains_key(&piece) {
            return Waiting::Done;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.entry(piece).or_default().push(ticket);
        Waiting::For(ticket)
    }

    /// Waits no more; nothing happens when the ticket has come back.
    pub fn cancel(&mut self, piece: u64, ticket: Ticket) {
        let Some(tickets) = self.waiting.get_mut(&piece) else { return };
        tickets.retain(|other| *other != ticket);
        if tickets.is_empty() {
            self.waiting.remove(&piece);
        }
    }

    /// A piece is sealed into these origins, perhaps none; gives the tickets that are done by it. A piece that is
    /// said to be sealed twice has the origins of the first time.
    pub fn sealed(&mut self, piece: u64, origins: impl IntoIterator<Item = OriginKey>) -> Vec<Ticket> {
        if piece < self.unsealed_from || !self.sealed_early.insert(piece) {
            return Vec::new();
        }
        while self.sealed_early.remove(&self.unsealed_from) {
            self.unsealed_from += 1;
        }
        let origins: BTreeSet<OriginKey> = origins.into_iter().collect();
        assert!(
            origins.iter().all(|key| key.name.piece == piece),
            "an origin is of the piece it was sealed from"
        );
        if origins.is_empty() {
            return self.waiting.remove(&piece).unwrap_or_default();
        }
        self.open.insert(piece, origins);
        Vec::new()
    }

    /// Enough stores have confirmed an origin; gives the tickets that are done by it. Origins of earlier
    /// processes and repeats of the message are nothing to it.
    pub fn confirmed(&mut self, origin: &OriginKey) -> Vec<Ticket> {
        let piece = origin.name.piece;
        let Some(open) = self.open.get_mut(&piece) else { return Vec::new() };
        if !open.remove(origin) || !open.is_empty() {
            return Vec::new();
        }
        self.open.remove(&piece);
        self.waiting.remove(&piece).unwrap_or_default()
    }

    /// The lowest piece that somebody waits for and that is not sealed: it should be soon.
    pub fn wanted_piece(&self) -> Option<u64> {
        let mut waited = self.waiting.range(self.unsealed_from..).map(|(piece, _)| *piece);
        waited.find(|piece| !self.sealed_early.contains(piece))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests;
