//! What moves between this store and others: who may still count on its copies, what it has moved, and what is left.

use parking_lot::Mutex;
use tokio::sync::Notify;
use weir_api::backend::WorkInfo;
use weir_replication::{Amount, Dropper};

use crate::clock;
use crate::jobs::Wanted;
use crate::progress::Progress;

/// Shared by those who move, and those who tell of it.
pub(crate) struct Moving {
    /// Never locked for longer than a look: others wait for its answers.
    pub(crate) dropper: Mutex<Dropper>,
    /// An operator wants lacking copies made now.
    pub(crate) hurry: Notify,
    pub(crate) come: Mutex<Progress>,
    pub(crate) gone: Mutex<Progress>,
    work: Mutex<Vec<WorkInfo>>,
}

/// What is left.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Left {
    /// To be fetched.
    pub(crate) come: Amount,
    /// To be given away.
    pub(crate) go: Amount,
}

impl Moving {
    /// Of a node where nothing moves.
    pub(crate) fn new(replication: usize, wanted: Wanted) -> Moving {
        Moving {
            dropper: Mutex::new(Dropper::new(replication, wanted.draining)),
            hurry: Notify::new(),
            come: Mutex::default(),
            gone: Mutex::default(),
            work: Mutex::default(),
        }
    }

    /// What is moving, as it was seen last.
    pub(crate) fn work(&self) -> Vec<WorkInfo> {
        self.work.lock().clone()
    }

    /// Takes note of what is left. What is wanted is told although there is nothing left of it.
    pub(crate) fn see(&self, left: Left, wanted: Wanted) {
        let now_ms = clock::now_ms();
        let of = |progress: &Mutex<Progress>, what: Option<&str>, left| {
            let mut progress = progress.lock();
            if what.is_none() {
                progress.over();
            }
            what.map(|what| progress.look(what, left, now_ms))
        };
        let come = match (wanted.rebalancing, left.come.origins) {
            (true, _) => Some("fill"),
            (false, 0) => None,
            (false, _) => Some("repair"),
        };
        let go = match wanted {
            Wanted { draining: true, .. } => Some("drain"),
            Wanted { rebalancing: true, .. } => Some("give"),
            Wanted { .. } => None,
        };
        let work = [of(&self.come, come, left.come), of(&self.gone, go, left.go)];
        *self.work.lock() = work.into_iter().flatten().collect();
    }
}
