//! Where messages lie between the broker and the log.
//!
//! A message waits until a plugin pulls it, is held under a receipt until the host acknowledges that, and is finished
//! then. What a plugin gives back waits again, here: the broker hears nothing of it, so nothing is requeued in circles
//! and no delivery limit is used up. It comes one message at a time from then on, so that the one that the plugin
//! cannot bear is found. What can never be stored waits for the exchange that takes such messages.
//!
//! A link is one consumer with its channel. When its channel ends, what waited is dropped, since the broker has it
//! still; what is held is finished in its time, and the broker cannot be told. A stream gives nothing twice by
//! itself, so there what waits stays.

use std::collections::{BTreeMap, VecDeque};

use weir_record::limits::AMQP_ATTEMPTS_MAX;

use crate::ledger::{Acknowledged, Ledger, OutOfOrder};
use crate::suspects::Suspects;
use crate::watch::Reject;

/// Where a message is to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) link: usize,
    pub(crate) epoch: u64,
    pub(crate) tag: u64,
}

/// A message with what the desk knows of it.
#[derive(Debug)]
pub(crate) struct Entry<M> {
    pub(crate) message: M,
    pub(crate) bytes: usize,
    pub(crate) place: Place,
    /// It may have been stored already.
    pub(crate) repeated: bool,
    hash: u64,
    /// How often a plugin gave it back while it had nothing else.
    attempts: u32,
    /// A plugin gave it back: it comes alone from now on.
    alone: bool,
}

/// A message that can never be stored, and why.
#[derive(Debug)]
pub(crate) struct Refused<M> {
    pub(crate) entry: Entry<M>,
    pub(crate) why: String,
    pub(crate) reason: Reject,
}

#[derive(Debug)]
pub(crate) struct Desk<M> {
    /// What is waiting of a stream is not dropped with its channel.
    stream: bool,
    /// Whether there is a place for what can never be stored.
    discards: bool,
    links: Vec<Link>,
    epochs: u64,
    waiting: VecDeque<Entry<M>>,
    /// Under receipts. `None` is what was refused out of one.
    held: BTreeMap<u64, Vec<Option<Entry<M>>>>,
    receipts: u64,
    refused: VecDeque<Refused<M>>,
    /// Messages whose channel was gone when they were stored.
    stale: u64,
}

#[derive(Debug)]
struct Link {
    ledger: Ledger,
    suspects: Suspects,
}

impl<M> Desk<M> {
    /// The desk of so many consumers.
    pub(crate) fn new(links: usize, stream: bool, discards: bool) -> Desk<M> {
        let link = || Link { ledger: Ledger::new(0), suspects: Suspects::default() };
        Desk {
            stream,
            discards,
            links: (0..links).map(|_| link()).collect(),
            epochs: 0,
            waiting: VecDeque::new(),
            held: BTreeMap::new(),
            receipts: 0,
            refused: VecDeque::new(),
            stale: 0,
        }
    }

    /// A link has a new channel, or none any more. Its epoch.
    pub(crate) fn begin(&mut self, link: usize) -> u64 {
        self.epochs += 1;
        self.links[link].ledger = Ledger::new(self.epochs);
        self.links[link].suspects.ended();
        if !self.stream {
            self.waiting.retain(|entry| entry.place.link != link);
            self.refused.retain(|refused| refused.entry.place.link != link);
        }
        self.epochs
    }

    /// A message has come. Whether it may have been stored already.
    pub(crate) fn deliver(
        &mut self,
        place: Place,
        message: M,
        arrived: Arrived,
        now_ms: u64,
    ) -> Result<bool, OutOfOrder> {
        let link = &mut self.links[place.link];
        assert_eq!(place.epoch, link.ledger.epoch(), "a message came on a channel that has ended");
        link.ledger.deliver(place.tag, now_ms)?;
        let repeated = arrived.redelivered || link.suspects.knows(arrived.hash);
        let Arrived { bytes, hash, .. } = arrived;
        self.waiting.push_back(Entry { message, bytes, place, repeated, hash, attempts: 0, alone: false });
        Ok(repeated)
    }

    /// Takes what waits, under a receipt: at most `messages_max` of at most `bytes_max`, but one at least; all of them
    /// may have been stored before, or none.
    pub(crate) fn pull(
        &mut self,
        messages_max: usize,
        bytes_max: usize,
    ) -> Option<(u64, &[Option<Entry<M>>])> {
        let mut taken: Vec<Option<Entry<M>>> = Vec::new();
        let mut bytes = 0_usize;
        while let Some(next) = self.waiting.front() {
            let first = taken.first().and_then(Option::as_ref);
            let fits = first.is_none_or(|first| {
                taken.len() < messages_max
                    && bytes + next.bytes <= bytes_max
                    && next.repeated == first.repeated
                    && !next.alone
                    && !first.alone
            });
            if !fits {
                break;
            }
            bytes += next.bytes;
            let entry = self.waiting.pop_front();
            if let Some(entry) = &entry {
                self.links[entry.place.link].suspects.taken(entry.hash);
            }
            taken.push(entry);
        }
        if taken.is_empty() {
            return None;
        }
        self.receipts += 1;
        let held = self.held.entry(self.receipts).or_insert(taken);
        Some((self.receipts, held))
    }

    /// All messages of a receipt are stored.
    pub(crate) fn acknowledge(&mut self, receipt: u64) {
        for entry in self.held.remove(&receipt).into_iter().flatten().flatten() {
            self.finish(entry.place);
        }
    }

    /// The messages of a receipt were not stored: they wait again, in front of all others.
    pub(crate) fn give_back(&mut self, receipt: u64) {
        let held: Vec<_> = self.held.remove(&receipt).into_iter().flatten().flatten().collect();
        let alone = held.len() == 1;
        for mut entry in held.into_iter().rev() {
            let link = &self.links[entry.place.link];
            if !self.stream && link.ledger.epoch() != entry.place.epoch {
                // The broker gives it again.
                continue;
            }
            entry.alone = true;
            // A part of it may have been handed over.
            entry.repeated = true;
            entry.attempts += u32::from(alone);
            if entry.attempts >= AMQP_ATTEMPTS_MAX && self.discards {
                let why = format!("the plugin gave it back {} times", entry.attempts);
                self.refused.push_back(Refused { entry, why, reason: Reject::Failing });
            } else {
                self.waiting.push_front(entry);
            }
        }
    }

    /// One message of a receipt can never be stored.
    pub(crate) fn refuse(&mut self, receipt: u64, index: usize, why: &str) -> Result<(), String> {
        if !self.discards {
            return Err(
                "the grant names no exchange for messages that cannot be stored; add dead_letter to it"
                    .into(),
            );
        }
        let held = self.held.get_mut(&receipt).and_then(|held| held.get_mut(index));
        let entry = held.and_then(Option::take).ok_or("the receipt has no such message")?;
        self.refused.push_back(Refused { entry, why: why.into(), reason: Reject::Refused });
        Ok(())
    }

    /// The newest message that waits can never be stored.
    pub(crate) fn refuse_last(&mut self, why: &str) {
        let refused = self.waiting.pop_back();
        let refused = refused.map(|entry| Refused { entry, why: why.into(), reason: Reject::TooLong });
        self.refused.extend(refused);
    }

    /// A message for the exchange that takes what can never be stored.
    pub(crate) fn next_refused(&mut self) -> Option<Refused<M>> {
        self.refused.pop_front()
    }

    /// Whether there is one.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// It could not be put there.
    pub(crate) fn refused_again(&mut self, refused: Refused<M>) {
        let current = self.links[refused.entry.place.link].ledger.epoch() == refused.entry.place.epoch;
        if current || self.stream {
            self.refused.push_front(refused);
        }
    }

    /// What was delivered need not come again.
    pub(crate) fn finish(&mut self, place: Place) {
        if !self.links[place.link].ledger.finish(place.epoch, place.tag) {
            self.stale += 1;
        }
    }

    /// What the broker can be told on a link now.
    pub(crate) fn acknowledged(&mut self, link: usize) -> Option<Acknowledged> {
        self.links[link].ledger.acknowledge()
    }

    /// When the oldest message came that a link has not acknowledged.
    pub(crate) fn oldest_at_ms(&self, link: usize) -> Option<u64> {
        self.links[link].ledger.oldest_at_ms()
    }

    /// Messages that the broker has not been told to forget.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.links.iter().map(|link| link.ledger.unacknowledged()).sum()
    }

    /// Messages of a link's channel that are not finished.
    pub(crate) fn unfinished(&self, link: usize) -> u64 {
        self.links[link].ledger.unfinished()
    }

    /// Whether anything is under a receipt, or on its way to the exchange for what cannot be stored.
    pub(crate) fn is_busy(&self) -> bool {
        !self.held.is_empty() || !self.refused.is_empty()
    }

    /// How many messages were stored whose channel was gone by then, since this was last asked.
    pub(crate) fn take_stale(&mut self) -> u64 {
        std::mem::take(&mut self.stale)
    }
}

/// What is known of a message besides itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) bytes: usize,
    /// Of all that makes it this message.
    pub(crate) hash: u64,
    /// As the broker says.
    pub(crate) redelivered: bool,
}

#[cfg(test)]
mod tests;
