//! Requests with an `Idempotency-Key`: a repeat gets the first answer and stores nothing, also after a restart.
//!
//! What is known of a key is the business of [`KeyFile`]; here it is decided whose turn it is. Two requests
//! with one key at the same time: one stores, the other waits for its answer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Gate, OwnedMutexGuard, watch};
use weir_api::backend::{Durability, Ingested};
use weir_storage::key_file::{KeyAnswer, KeyState, Promise};
use weir_storage::{KeyFile, KeyFileError};

/// Gates that nobody holds are removed when there are so many.
const GATES_IDLE_MAX: usize = 1024;

/// The keys of the last day, bounded in number.
pub(crate) struct Answers {
    keys: Arc<KeyFile>,
    gates: Mutex<HashMap<Box<str>, Arc<Gate<()>>>>,
    /// Told when the file of keys has failed: the node must stop.
    failed: watch::Sender<Option<String>>,
}

/// Whose turn it is.
pub(crate) enum Turn {
    /// The request was answered before.
    Repeat(Ingested),
    /// Nobody has been answered yet: store, then [`FirstTurn::finish`]. Dropped unfinished, the next repeat is first.
    First(FirstTurn),
}

/// The right to store for a key.
pub(crate) struct FirstTurn {
    keys: Arc<KeyFile>,
    key: Box<str>,
    promised: Option<Promise>,
    failed: watch::Sender<Option<String>>,
    _gate: OwnedMutexGuard<()>,
}

impl Answers {
    /// Turns over a file of keys; `failed` is told when it can promise nothing any more.
    pub(crate) fn new(keys: KeyFile, failed: watch::Sender<Option<String>>) -> Answers {
        Answers { keys: Arc::new(keys), gates: Mutex::default(), failed }
    }

    /// Waits until no other request with this key is under way.
    pub(crate) async fn begin(&self, key: &str, now_ms: u64) -> Turn {
        let gate = self.gate(key).lock_owned().await;
        let promised = match self.keys.get(key, now_ms) {
            Some(KeyState::Answered(answer)) => return Turn::Repeat(ingested(answer)),
            Some(KeyState::Promised(promise)) => Some(promise),
            None => None,
        };
        let (keys, failed) = (self.keys.clone(), self.failed.clone());
        Turn::First(FirstTurn { keys, key: key.into(), promised, failed, _gate: gate })
    }

    fn gate(&self, key: &str) -> Arc<Gate<()>> {
        let mut gates = self.gates.lock();
        if gates.len() >= GATES_IDLE_MAX {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        gates.entry(key.into()).or_default().clone()
    }
}

impl FirstTurn {
    /// What an earlier request with this key was promised that got no answer: its records may be stored.
    pub(crate) fn promised(&self) -> Option<Promise> {
        self.promised
    }

    /// Makes a promise durable, before anything is stored.
    pub(crate) async fn promise(self, promise: Promise, now_ms: u64) -> Result<FirstTurn, KeyFileError> {
        // The turn goes along: whoever comes next sees the promise, also when this request's client has gone.
        let turn = self.blocking(move |turn| turn.keys.promise(&turn.key, now_ms, promise)).await;
        let (turn, promised) = turn?;
        if let Err(KeyFileError::Poisoned(reason)) = &promised {
            turn.failed.send_replace(Some(reason.to_string()));
        }
        promised.map(|()| turn)
    }

    /// Keeps the answer for repeats.
    pub(crate) async fn finish(self, answer: Ingested, now_ms: u64) {
        let answer = KeyAnswer {
            records: answer.records,
            ids: answer.ids,
            durability: Durability::ALL.iter().position(|known| *known == answer.durability).unwrap_or(0)
                as u8,
        };
        let written = self.blocking(move |turn| turn.keys.answer(&turn.key, now_ms, answer)).await;
        if let Ok((_, Err(error))) | Err(error) = written {
            tracing::warn!(%error, "an answer is known to this process alone; its records have a promise");
        }
    }

    async fn blocking(
        self,
        work: impl FnOnce(&FirstTurn) -> Result<(), KeyFileError> + Send + 'static,
    ) -> Result<(FirstTurn, Result<(), KeyFileError>), KeyFileError> {
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&self);
            (self, done)
        });
        working.await.map_err(|error| KeyFileError::Poisoned(format!("a thread ended: {error}").into()))
    }
}

fn ingested(answer: KeyAnswer) -> Ingested {
    Ingested {
        records: answer.records,
        ids: answer.ids,
        durability: Durability::ALL.get(usize::from(answer.durability)).copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_record::RecordId;
    use weir_record::limits::IDEMPOTENCY_KEY_AGE_MS_MAX;
    use weir_storage::disk::real::RealDisk;

    fn answers(dir: &std::path::Path) -> Answers {
        let (keys, _) = KeyFile::open(Arc::new(RealDisk), dir, 1).unwrap();
        Answers::new(keys, watch::Sender::new(None))
    }

    fn answer(records: u64) -> Ingested {
        let id = RecordId::from_parts(records, 5);
        Ingested { records, ids: Some((id, id)), durability: Durability::Stored }
    }

    async fn first(answers: &Answers, key: &str, now_ms: u64) -> FirstTurn {
        match answers.begin(key, now_ms).await {
            Turn::First(turn) => turn,
            Turn::Repeat(answer) => panic!("{key} was answered {answer:?}"),
        }
    }

    async fn repeat(answers: &Answers, key: &str, now_ms: u64) -> Ingested {
        match answers.begin(key, now_ms).await {
            Turn::Repeat(answer) => answer,
            Turn::First(_) => panic!("{key} would be stored twice"),
        }
    }

    #[tokio::test]
    async fn a_repeat_gets_the_first_answer_until_it_is_too_old_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let before = answers(dir.path());
        first(&before, "a", 1).await.finish(answer(3), 1).await;
        assert_eq!(repeat(&before, "a", 2).await, answer(3));
        drop(before);
        let after = answers(dir.path());
        assert_eq!(repeat(&after, "a", 2).await, answer(3));
        first(&after, "a", 2 + IDEMPOTENCY_KEY_AGE_MS_MAX).await;
    }

    #[tokio::test]
    async fn a_first_that_was_cut_off_leaves_its_promise_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let promise = Promise { first: RecordId::from_parts(9, 9), count: 2, sum: 1 };
        let before = answers(dir.path());
        let turn = first(&before, "a", 1).await.promise(promise, 1).await.unwrap();
        drop(turn);
        assert_eq!(first(&before, "a", 1).await.promised(), Some(promise));
        drop(before);
        let after = answers(dir.path());
        assert_eq!(first(&after, "a", 2).await.promised(), Some(promise));
        assert_eq!(first(&after, "b", 2).await.promised(), None);
    }

    #[tokio::test]
    async fn of_two_at_once_one_stores_and_the_other_waits() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Arc::new(answers(dir.path()));
        let turn = first(&answers, "a", 1).await;
        let other = tokio::spawn({
            let answers = answers.clone();
            async move { repeat(&answers, "a", 1).await }
        });
        // It has begun, and waits.
        while Arc::strong_count(&answers.gate("a")) < 4 {
            tokio::task::yield_now().await;
        }
        turn.finish(answer(7), 1).await;
        assert_eq!(other.await.unwrap(), answer(7));
        for key in 0..GATES_IDLE_MAX * 2 {
            first(&answers, &key.to_string(), 1).await;
        }
        assert!(answers.gates.lock().len() <= GATES_IDLE_MAX);
    }
}
