//! Components that others have sent: in memory, by digest, no more than a bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use weir_api::backend::OfferedFilter;
use weir_plugin_runtime::{Digest, Plugin};
use weir_record::limits::{FILTERS_SENT_BYTES_MAX, FILTERS_SENT_MAX};

/// What was sent and has been compiled. What is not asked for goes when there is more than fits; whoever wants it again
/// sends it again, and what was compiled is found on disk.
#[derive(Default)]
pub(super) struct Sent {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    by_digest: BTreeMap<Digest, Component>,
    /// Counts uses, so that it is known which was longest ago.
    uses: u64,
}

/// A component, compiled, and as it goes on to other nodes.
#[derive(Clone)]
pub(super) struct Component {
    plugin: Arc<Plugin>,
    file: Bytes,
    signature: Option<String>,
    used: u64,
}

impl Component {
    /// What other nodes are sent.
    pub(super) fn offer(&self) -> OfferedFilter {
        OfferedFilter {
            name: self.plugin.name().to_owned(),
            component: self.file.clone(),
            signature: self.signature.clone(),
        }
    }

    pub(super) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }
}

impl Sent {
    /// Keeps a component, and drops those that were asked for longest ago while there are too many.
    pub(super) fn keep(&self, plugin: Arc<Plugin>, file: Bytes, signature: Option<String>) {
        let mut held = self.held.lock();
        held.uses += 1;
        let used = held.uses;
        held.by_digest.insert(plugin.digest(), Component { plugin, file, signature, used });
        while held.is_too_much() {
            let oldest = held.by_digest.values().min_by_key(|component| component.used);
            let Some(oldest) = oldest.map(|component| component.plugin.digest()) else { return };
            held.by_digest.remove(&oldest);
        }
    }

    /// A component that was sent, whose turn to go is put off.
    pub(super) fn get(&self, digest: &Digest) -> Option<Component> {
        let mut held = self.held.lock();
        held.uses += 1;
        let uses = held.uses;
        let component = held.by_digest.get_mut(digest)?;
        component.used = uses;
        Some(component.clone())
    }

    /// Forgets all. Queries that run keep what they have.
    pub(super) fn clear(&self) {
        self.held.lock().by_digest.clear();
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Plugin>> {
        self.held.lock().by_digest.values().map(|component| component.plugin.clone()).collect()
    }
}

impl Held {
    fn is_too_much(&self) -> bool {
        let bytes: usize = self.by_digest.values().map(|component| component.file.len()).sum();
        self.by_digest.len() > FILTERS_SENT_MAX || bytes > FILTERS_SENT_BYTES_MAX
    }
}
