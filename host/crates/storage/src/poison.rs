//! After a failed fsync nothing is acknowledged any more.
//!
//! Linux marks the pages of a failed fsync clean: asking again succeeds although the data is gone. So the
//! first failure is final for this process; what is on disk is found out at the next start.

use std::sync::{Arc, OnceLock};

/// A flag that is set once, with its reason. Clones are the same flag.
#[derive(Debug, Clone, Default)]
pub struct Poison(Arc<OnceLock<Arc<str>>>);

impl Poison {
    /// Why nothing is accepted any more, or `None` while it is sound.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.0.get().cloned()
    }

    /// Poisons. The first reason stays; it is returned.
    pub(crate) fn set(&self, reason: &str) -> Arc<str> {
        let reason = self.0.get_or_init(|| {
            tracing::error!(reason, "poisoned: nothing is acknowledged from now on");
            reason.into()
        });
        Arc::clone(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let poison = Poison::default();
        assert_eq!(poison.reason(), None);
        poison.set("first");
        assert_eq!(&*poison.clone().set("second"), "first");
        assert_eq!(poison.reason().as_deref(), Some("first"));
    }
}
