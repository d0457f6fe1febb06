//! Answers to requests with an `Idempotency-Key`, so that a repeat stores nothing.
//!
//! Kept in memory: a repeat after a restart is stored again, unless its key carries a time (ULID, UUIDv7) and
//! its records therefore have the same ids.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Gate, OwnedMutexGuard};
use weir_api::backend::Ingested;
use weir_record::limits::{IDEMPOTENCY_KEY_AGE_MS_MAX, IDEMPOTENCY_KEYS_MAX};

/// The answer behind a gate: a repeat that comes while the first is under way waits for it.
type Slot = Arc<Gate<Option<Ingested>>>;

/// The answers of the last day, bounded in number.
#[derive(Default)]
pub(crate) struct Answers {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    slots: HashMap<Box<str>, Slot>,
    ages: VecDeque<(u64, Box<str>)>,
}

/// Whose turn it is.
pub(crate) enum Turn {
    /// The request was answered before.
    Repeat(Ingested),
    /// Nobody has been answered yet: store, then [`FirstTurn::finish`]. Dropped unfinished, the next repeat is first.
    First(FirstTurn),
}

/// The right to store for a key.
pub(crate) struct FirstTurn(OwnedMutexGuard<Option<Ingested>>);

impl FirstTurn {
    /// Keeps the answer for repeats.
    pub(crate) fn finish(mut self, answer: Ingested) {
        *self.0 = Some(answer);
    }
}

impl Answers {
    /// Waits until no other request with this key is under way.
    pub(crate) async fn begin(&self, key: &str, now_ms: u64) -> Turn {
        let slot = self.slot(key, now_ms);
        let guard = slot.lock_owned().await;
        match *guard {
            Some(answer) => Turn::Repeat(answer),
            None => Turn::First(FirstTurn(guard)),
        }
    }

    fn slot(&self, key: &str, now_ms: u64) -> Slot {
        let mut kept = self.kept.lock();
        while kept.ages.len() >= IDEMPOTENCY_KEYS_MAX
            || kept
                .ages
                .front()
                .is_some_and(|(at, _)| now_ms.saturating_sub(*at) > IDEMPOTENCY_KEY_AGE_MS_MAX)
        {
            let Some((_, oldest)) = kept.ages.pop_front() else { break };
            kept.slots.remove(&oldest);
        }
        if let Some(slot) = kept.slots.get(key) {
            return slot.clone();
        }
        let slot = Slot::default();
        kept.slots.insert(key.into(), slot.clone());
        kept.ages.push_back((now_ms, key.into()));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::backend::Durability;

    fn answer(records: u64) -> Ingested {
        Ingested { records, ids: None, durability: Durability::Stored }
    }

    async fn first(answers: &Answers, key: &str, now_ms: u64) -> bool {
        match answers.begin(key, now_ms).await {
            Turn::First(turn) => {
                turn.finish(answer(now_ms));
                true
            }
            Turn::Repeat(_) => false,
        }
    }

    #[tokio::test]
    async fn a_repeat_gets_the_first_answer_until_it_is_too_old() {
        let answers = Answers::default();
        assert!(first(&answers, "a", 1).await);
        assert!(first(&answers, "b", 2).await);
        let Turn::Repeat(again) = answers.begin("a", 3).await else { panic!("stored twice") };
        assert_eq!(again, answer(1));
        assert!(first(&answers, "a", 2 + IDEMPOTENCY_KEY_AGE_MS_MAX).await);
    }

    #[tokio::test]
    async fn a_first_that_failed_leaves_the_turn_to_the_next() {
        let answers = Answers::default();
        let Turn::First(turn) = answers.begin("a", 1).await else { panic!("nobody was first") };
        drop(turn);
        assert!(first(&answers, "a", 2).await);
    }

    #[tokio::test]
    async fn the_number_of_keys_is_bounded() {
        let answers = Answers::default();
        for key in 0..IDEMPOTENCY_KEYS_MAX + 10 {
            assert!(first(&answers, &key.to_string(), 1).await);
        }
        assert_eq!(answers.kept.lock().slots.len(), IDEMPOTENCY_KEYS_MAX);
        assert!(first(&answers, "0", 1).await, "the oldest was let go");
    }
}
