//! Reads what arrives once for all clients that stand at the same place, and hands each what it asked for.
//!
//! Knows no thread and no clock: it is told to look, and takes turns as long as there is something to do.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use weir_api::backend::TailEvent;
use weir_query::Matcher;
use weir_record::limits::QUERY_PORTION_BYTES;
use weir_storage::Piece;

use super::client::Client;
use super::token::Token;
use super::window::{Bounds, Window};

/// Window and clients.
#[derive(Debug)]
pub(crate) struct Hub {
    node: u64,
    window: Window,
    clients: Vec<Client>,
    buffer: Vec<u8>,
}

impl Hub {
    /// A hub without clients. `run` is drawn at random.
    pub(crate) fn new(node: u64, run: u64, bounds: Bounds) -> Hub {
        Hub { node, window: Window::new(run, bounds), clients: Vec::new(), buffer: Vec::new() }
    }

    /// Takes in what the log has now and what has left it, see [`Window::absorb`].
    pub(crate) fn look(&mut self, log: &[Arc<Piece>], left: Vec<Arc<Piece>>, now: Instant) {
        self.window.absorb(log, left, now);
    }

    /// Adds a client. Without a token it gets what arrives from now on: look before.
    pub(crate) fn join(&mut self, matcher: Matcher, resume: Option<&Token>, events: mpsc::Sender<TailEvent>) {
        self.clients.push(Client::new(self.node, matcher, resume, events, &self.window));
    }

    /// Number of clients.
    pub(crate) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Hands one portion to each client that has room. `false` when there was nothing to do: all have seen
    /// everything, or have no room.
    pub(crate) fn turn(&mut self, now: Instant) -> bool {
        self.clients.retain(|client| !client.is_gone());
        let mut wanted: Vec<((usize, usize), usize)> = Vec::new();
        for (number, client) in self.clients.iter_mut().enumerate() {
            if let Some(place) = client.wants(&self.window, now) {
                wanted.push((place, number));
            }
        }
        wanted.sort_unstable();
        for group in wanted.chunk_by(|a, b| a.0 == b.0) {
            self.serve(group, now);
        }
        !wanted.is_empty()
    }

    /// Reads a portion for the clients that want it. One that has no more room goes on from where it came to.
    fn serve(&mut self, group: &[((usize, usize), usize)], now: Instant) {
        let Some(&((index, batch), _)) = group.first() else { return };
        let piece = Arc::clone(&self.window.kept(index).piece);
        let mut served: Vec<usize> = group.iter().map(|(_, number)| *number).collect();
        for view in piece.read(portion(&piece, batch), &mut self.buffer) {
            served.retain(|&number| {
                let client = &mut self.clients[number];
                match &view {
                    Ok((place, view)) => client.offer(&piece, *place, view, now),
                    Err(damage) => client.pass(damage, now),
                }
            });
            if served.is_empty() {
                break;
            }
        }
        for &(_, number) in group {
            self.clients[number].flush(now);
        }
    }
}

/// The batches from one on that are worth one read.
fn portion(piece: &Piece, from: usize) -> Range<usize> {
    let batches = &piece.batches()[from..];
    let Some(first) = batches.first() else { return from..from };
    let count = batches.partition_point(|batch| {
        batch.frame_offset == first.frame_offset
            || batch.frame_end() - first.frame_offset <= QUERY_PORTION_BYTES as u64
    });
    from..from + count
}
