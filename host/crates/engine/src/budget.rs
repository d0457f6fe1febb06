//! The memory that all queries together may take for rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all queries of an engine share.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
}

/// What one query has of it; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget { bytes_max, used: AtomicUsize::new(0) })
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

impl Charge {
    /// Nothing yet.
    pub(crate) fn new(budget: &Arc<Budget>) -> Charge {
        Charge { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Says what the query takes now. May lie above what there is: it has the memory already.
    pub(crate) fn set(&mut self, bytes: usize) {
        // Counts that pass each other in the air only make the sum right a moment later.
        if bytes >= self.bytes {
            self.budget.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// What nobody has taken. Others may take it at the same time, so the sum of all can lie above the bound by
    /// what each of them starts at once.
    pub(crate) fn free(&self) -> usize {
        self.budget.bytes_max.saturating_sub(self.budget.used.load(Ordering::Relaxed))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_takes_others_lack_until_it_is_dropped() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (Charge::new(&budget), Charge::new(&budget));
        one.set(60);
        other.set(50);
        assert_eq!((one.free(), other.free()), (0, 0));
        one.set(20);
        assert_eq!(other.free(), 30);
        drop(other);
        assert_eq!(one.free(), 80);
    }
}
