//! What one instance may take: memory and tables summed over the store, calls, copies, handles.

use wasmtime::{ResourceLimiter, Store};
use weir_record::limits::{
    PLUGIN_CALL_MS_DEFAULT, PLUGIN_COPY_BYTES_MAX, PLUGIN_HANDLES_MAX, PLUGIN_INSTANCES_MAX,
    PLUGIN_MEMORIES_MAX, PLUGIN_MEMORY_BYTES_DEFAULT, PLUGIN_MEMORY_BYTES_MAX, PLUGIN_TABLE_ELEMENTS_MAX,
    PLUGIN_TABLES_MAX,
};

/// Handles wasmtime may hold beyond those the capabilities count, for its own book-keeping: the
/// capability's `too-many` comes before wasmtime's trap.
const HANDLES_SPARE: usize = 64;

/// The limits that an operator sets per plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory in bytes, summed over all memories. Default 64 MiB; more than
    /// [`PLUGIN_MEMORY_BYTES_MAX`] counts as that.
    pub memory_bytes: usize,
    /// Milliseconds that a call may take beyond the wait it was given. Default 2 s.
    pub call_ms: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes: PLUGIN_MEMORY_BYTES_DEFAULT, call_ms: PLUGIN_CALL_MS_DEFAULT }
    }
}

/// A plugin that wanted more than its limit: a trap, since a guest that is merely told so often
/// aborts without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// More memory than [`Limits::memory_bytes`].
    #[error(
        "needs {wanted} bytes of memory, its limit is {max}; if it is right to, raise `limits.memory` of the plugin"
    )]
    Memory {
        /// What all memories would have taken.
        wanted: usize,
        /// The limit.
        max: usize,
    },
    /// More table elements than [`PLUGIN_TABLE_ELEMENTS_MAX`].
    #[error("needs {wanted} table elements, at most {max} are given")]
    Table {
        /// What all tables would have held.
        wanted: usize,
        /// The limit.
        max: usize,
    },
}

/// Counts what all memories and tables of a store take together. wasmtime's own `StoreLimits` is per
/// memory: a component with many of them walks past it.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Limiter {
        Limiter {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes.min(PLUGIN_MEMORY_BYTES_MAX),
            table_elements: 0,
        }
    }

    /// What the memories take now.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_bytes_max {
            return Err(LimitError::Memory { wanted, max: self.memory_bytes_max }.into());
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Ends the store, so the sum need not be taken back.
        Err(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.table_elements.saturating_add(desired.saturating_sub(current));
        if wanted > PLUGIN_TABLE_ELEMENTS_MAX {
            return Err(LimitError::Table { wanted, max: PLUGIN_TABLE_ELEMENTS_MAX }.into());
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        PLUGIN_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        PLUGIN_TABLES_MAX
    }

    fn memories(&self) -> usize {
        PLUGIN_MEMORIES_MAX
    }
}

/// Puts the limits of a store in force.
pub(crate) fn apply<T: 'static>(
    store: &mut Store<T>,
    copy_bytes_max: usize,
    limiter: fn(&mut T) -> &mut Limiter,
) {
    assert!(copy_bytes_max <= PLUGIN_COPY_BYTES_MAX, "no call copies more than a batch");
    store.limiter(move |data| limiter(data));
    store.set_hostcall_fuel(copy_bytes_max);
    store.set_max_component_handles(PLUGIN_HANDLES_MAX + HANDLES_SPARE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed() {
        let mut limiter = Limiter::new(&Limits { memory_bytes: 100, ..Limits::default() });
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 30, None).unwrap());
        assert!(limiter.memory_growing(30, 40, None).unwrap());
        let error = limiter.memory_growing(60, 61, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&LimitError::Memory { wanted: 101, max: 100 }));
        assert_eq!(limiter.memory_bytes(), 100);
    }

    #[test]
    fn tables_are_summed() {
        let mut limiter = Limiter::new(&Limits::default());
        assert!(limiter.table_growing(0, PLUGIN_TABLE_ELEMENTS_MAX - 1, None).unwrap());
        assert!(limiter.table_growing(0, 1, None).unwrap());
        assert!(limiter.table_growing(0, 1, None).is_err());
        assert!(limiter.table_growing(0, usize::MAX, None).is_err());
    }
}
