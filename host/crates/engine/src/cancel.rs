//! Ending a query from outside.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::query::Event;

/// Ends the queries it was given to. Clones end the same ones. Once used it stays so: a query that starts
/// later with it ends at once.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    next: AtomicU64,
    waiting: Mutex<Vec<(u64, Sender<Event>)>>,
}

impl Cancel {
    /// A cancel that has not been used.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Ends the queries. They return within the time that a worker takes for a part of a batch.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::SeqCst);
        for (_, query) in self.shared.lock().drain(..) {
            // A query that ended in the meantime does not listen any more, which is fine.
            let _ = query.send(Event::Cancelled);
        }
    }

    /// Whether it was used.
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::SeqCst)
    }

    /// Wakes a query when the cancel is used, until the registration is dropped.
    pub(crate) fn register(&self, query: &Sender<Event>) -> Registration {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.lock().push((number, query.clone()));
        if self.is_cancelled() {
            // It was used between the query's start and here, perhaps before the push.
            let _ = query.send(Event::Cancelled);
        }
        Registration { shared: Arc::clone(&self.shared), number }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Sender<Event>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Registration {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.lock().retain(|(number, _)| *number != self.number);
    }
}
