//! The ingest node's side of the transfer: what it offers, who fetches it, who has it.
//!
//! Nothing of this is on disk. After a restart everything in the backlog is offered anew, and the stores, which
//! find that they hold it, confirm again.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use weir_record::limits::{
    CLAIM_MS, OFFERS_DONE_MAX, POISON_FAILURES, REPLICATION_MAX, TRANSFER_BACKOFF_MS_MAX,
    TRANSFER_BACKOFF_MS_MIN, TRANSFER_WHY_BYTES_MAX,
};
use weir_segment::RecordDigest;

use crate::held::{Gone, Held, OriginKey};

/// How a store stands to an origin that it confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It is fsynced there.
    Held,
    /// It lies below the store's watermark: its retention is over. It counts like a copy.
    Expired,
}

/// A store may fetch an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it will get.
    pub held: Held,
    /// When the claim ends and others may fetch it in its place.
    pub until_ms: u64,
}

/// A store may not fetch an origin. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not offered: handed over, or never here.
    #[error("this origin is not offered here, it may have been handed over")]
    Unknown,
    /// As many stores as are still needed fetch it already, or the store has failed with it of late.
    #[error("this origin is being fetched by others or has just failed, ask again in {retry_ms} ms")]
    Busy {
        /// When to ask again.
        retry_ms: u64,
    },
}

/// What a confirmation has brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// It was this store's first, and more are needed.
    First,
    /// This store had confirmed it.
    Again,
    /// Enough stores have confirmed: the origin may be deleted here.
    Complete(Completed),
    /// It is handed over and deleted; the answer to an earlier confirmation was lost.
    AlreadyComplete,
}

/// An origin that enough stores have confirmed, and that is offered no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Which one.
    pub held: Held,
    /// The stores that hold it.
    pub stores: Vec<u64>,
    /// How many said that its retention is over.
    pub expired: usize,
}

impl Completed {
    /// What to announce about it.
    pub fn gone(&self) -> Gone {
        if self.stores.is_empty() { Gone::Expired } else { Gone::HandedOver(self.stores.clone()) }
    }
}

/// A confirmation that counts for nothing. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// The store holds other records under this name: its copy or ours is wrong.
    #[error("the store confirms records {got}, the origin has {expected}")]
    Digest {
        /// What is offered.
        expected: RecordDigest,
        /// What the store holds.
        got: RecordDigest,
    },
    /// It is not offered, and not among those handed over of late.
    #[error("this origin is not offered here")]
    Unknown,
}

/// An origin with which a store fails again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Which one.
    pub key: OriginKey,
    /// The store.
    pub store: u64,
    /// How often it has failed, one time after the other.
    pub failures: u32,
    /// What it said last.
    pub why: String,
}

#[derive(Debug)]
struct Failed {
    times: u32,
    until_ms: u64,
    why: String,
}

#[derive(Debug)]
struct Offer {
    held: Held,
    offered_ms: u64,
    /// Until when each store may take.
    claims: BTreeMap<u64, u64>,
    confirmed: BTreeMap<u64, Confirmation>,
    failed: BTreeMap<u64, Failed>,
}

/// The origins that wait for R stores to confirm them. As large as the backlog, some 300 bytes for each.
#[derive(Debug)]
pub struct Offers {
    replication: usize,
    open: BTreeMap<OriginKey, Offer>,
    done: BTreeMap<OriginKey, RecordDigest>,
    done_order: VecDeque<OriginKey>,
}

impl Offers {
    /// None yet. `replication` is R, 1 to [`REPLICATION_MAX`].
    pub fn new(replication: usize) -> Offers {
        let replication = replication.clamp(1, REPLICATION_MAX);
        Offers { replication, open: BTreeMap::new(), done: BTreeMap::new(), done_order: VecDeque::new() }
    }

    /// How many origins wait.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How long the oldest one has waited.
    pub fn oldest_age_ms(&self, now_ms: u64) -> Option<u64> {
        self.open.values().map(|offer| now_ms.saturating_sub(offer.offered_ms)).max()
    }

    /// Whether an origin waits.
    pub fn contains(&self, key: &OriginKey) -> bool {
        self.open.contains_key(key)
    }

    /// Offers an origin; `false` when it was offered.
    pub fn offer(&mut self, held: Held, now_ms: u64) -> bool {
        let key = held.key();
        if self.open.contains_key(&key) {
            return false;
        }
        let offer = Offer {
            held,
            offered_ms: now_ms,
            claims: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            failed: BTreeMap::new(),
        };
        // What is here again is handed over no more.
        self.done.remove(&key);
        self.open.insert(key, offer);
        true
    }

    /// A store wants to fetch an origin. It may when fewer others fetch it than are still needed; claiming again
    /// prolongs its claim.
    pub fn claim(&mut self, store: u64, key: &OriginKey, now_ms: u64) -> Result<Claim, Refused> {
        let offer = self.open.get_mut(key).ok_or(Refused::Unknown)?;
        if let Some(failed) = offer.failed.get(&store).filter(|failed| now_ms < failed.until_ms) {
            return Err(Refused::Busy { retry_ms: failed.until_ms - now_ms });
        }
        offer.claims.retain(|_, until_ms| *until_ms > now_ms);
        // Complete offers are not open, so at least one is needed.
        let needed = self.replication - offer.confirmed.len();
        let others = offer.claims.iter().filter(|(other, _)| **other != store);
        if !offer.confirmed.contains_key(&store) && others.clone().count() >= needed {
            let ends_ms = others.map(|(_, until_ms)| *until_ms).min().unwrap_or(now_ms);
            return Err(Refused::Busy { retry_ms: (ends_ms - now_ms).max(1) });
        }
        let until_ms = now_ms.saturating_add(CLAIM_MS);
        if !offer.confirmed.contains_key(&store) {
            offer.claims.insert(store, until_ms);
        }
        Ok(Claim { held: offer.held.clone(), until_ms })
    }

    /// A store confirms an origin. Once so many have that the origin is complete, it is offered no more, and the
    /// caller may delete it. A repeat changes nothing, also after that.
    pub fn confirm(
        &mut self,
        store: u64,
        key: &OriginKey,
        digest: RecordDigest,
        confirmation: Confirmation,
    ) -> Result<Confirmed, ConfirmError> {
        let differs = |expected| ConfirmError::Digest { expected, got: digest };
        // A store that let it expire may have no copy to take a digest of.
        let fits = |expected| digest == expected || confirmation == Confirmation::Expired;
        let Some(offer) = self.open.get_mut(key) else {
            return match self.done.get(key) {
                Some(expected) if !fits(*expected) => Err(differs(*expected)),
                Some(_) => Ok(Confirmed::AlreadyComplete),
                None => Err(ConfirmError::Unknown),
            };
        };
        if !fits(offer.held.digest) {
            return Err(differs(offer.held.digest));
        }
        offer.claims.remove(&store);
        offer.failed.remove(&store);
        let is_new = offer.confirmed.insert(store, confirmation).is_none();
        match self.complete(key) {
            Some(completed) => Ok(Confirmed::Complete(completed)),
            None if is_new => Ok(Confirmed::First),
            None => Ok(Confirmed::Again),
        }
    }

    /// A store could not fetch, verify or keep an origin, or we could not read it. The store's claim ends, and it
    /// may try again after a pause that grows with each failure; other stores and other origins go on.
    pub fn failed(&mut self, store: u64, key: &OriginKey, why: &str, now_ms: u64) {
        let Some(offer) = self.open.get_mut(key) else { return };
        offer.claims.remove(&store);
        if offer.confirmed.contains_key(&store) {
            return;
        }
        let failed =
            offer.failed.entry(store).or_insert(Failed { times: 0, until_ms: 0, why: String::new() });
        failed.times = failed.times.saturating_add(1);
        failed.until_ms = now_ms.saturating_add(backoff_ms(failed.times));
        failed.why = cut(why);
    }

    /// Ends the claims that are over; how many did. Claims look at the clock by themselves: this is for memory.
    pub fn tick(&mut self, now_ms: u64) -> usize {
        let mut ended = 0;
        for offer in self.open.values_mut() {
            let before = offer.claims.len();
            offer.claims.retain(|_, until_ms| *until_ms > now_ms);
            ended += before - offer.claims.len();
        }
        ended
    }

    /// Sets R, 1 to [`REPLICATION_MAX`], and gives what is complete by it.
    pub fn set_replication(&mut self, replication: usize) -> Vec<Completed> {
        self.replication = replication.clamp(1, REPLICATION_MAX);
        let keys: Vec<OriginKey> = self.open.keys().cloned().collect();
        keys.iter().filter_map(|key| self.complete(key)).collect()
    }

    /// Takes an origin back, as when its file is damaged; `None` when it was not offered.
    pub fn withdraw(&mut self, key: &OriginKey) -> Option<Held> {
        self.open.remove(key).map(|offer| offer.held)
    }

    /// The stores that have confirmed an origin that is still offered.
    pub fn confirmed_by(&self, key: &OriginKey) -> Vec<u64> {
        self.open.get(key).map_or(Vec::new(), |offer| offer.confirmed.keys().copied().collect())
    }

    /// Origins that a store has failed with [`POISON_FAILURES`] times or more.
    pub fn poisoned(&self) -> impl Iterator<Item = Poison> {
        self.open.iter().flat_map(|(key, offer)| {
            let poison = |(&store, failed): (&u64, &Failed)| Poison {
                key: key.clone(),
                store,
                failures: failed.times,
                why: failed.why.clone(),
            };
            offer.failed.iter().filter(|(_, failed)| failed.times >= POISON_FAILURES).map(poison)
        })
    }

    fn complete(&mut self, key: &OriginKey) -> Option<Completed> {
        if self.open.get(key)?.confirmed.len() < self.replication {
            return None;
        }
        let offer = self.open.remove(key)?;
        if self.done_order.len() == OFFERS_DONE_MAX
            && let Some(oldest) = self.done_order.pop_front()
        {
            self.done.remove(&oldest);
        }
        self.done_order.push_back(key.clone());
        self.done.insert(key.clone(), offer.held.digest);
        let with = |wanted| {
            let of = move |(store, confirmation): (&u64, &Confirmation)| {
                (*confirmation == wanted).then_some(*store)
            };
            offer.confirmed.iter().filter_map(of)
        };
        let stores = with(Confirmation::Held).collect();
        let expired = with(Confirmation::Expired).count();
        Some(Completed { stores, expired, held: offer.held })
    }
}

/// The pause after so many failures, one time after the other.
pub(crate) fn backoff_ms(failures: u32) -> u64 {
    let doubled = failures.saturating_sub(1).min(20);
    (TRANSFER_BACKOFF_MS_MIN << doubled).min(TRANSFER_BACKOFF_MS_MAX)
}

/// What was said, as far as it is kept.
pub(crate) fn cut(why: &str) -> String {
    why.get(..why.floor_char_boundary(TRANSFER_WHY_BYTES_MAX)).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
