//! The one wasmtime engine of the process, and the clock that interrupts what runs in it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};
use weir_record::limits::{
    PLUGIN_EPOCH_TICK_MS, PLUGIN_FIBER_BYTES, PLUGIN_INSTANCES_ALIVE_MAX, PLUGIN_MEMORIES_MAX,
    PLUGIN_MEMORY_BYTES_MAX, PLUGIN_STACK_BYTES_MAX, PLUGIN_TABLE_ELEMENTS_MAX, PLUGIN_TABLES_MAX,
};

use crate::digest::Digest;

/// Memories that keep their pages after their plugin is gone, so that the next instance starts warm.
const WARM_SLOTS_MAX: u32 = 8;

/// The engine and its ticker. Dropping it ends the ticker's thread.
pub(crate) struct Engine {
    wasm: wasmtime::Engine,
    ticker: Ticker,
    fingerprint: Digest,
}

impl Engine {
    /// An engine with instances from a pool, or, where the address space for the pool cannot be had,
    /// with instances made one by one (15 µs instead of 5 µs each).
    pub(crate) fn new() -> wasmtime::Result<Engine> {
        let wasm = match wasmtime::Engine::new(&config(true)) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(%error, "no address space for a pool of plugin instances; making them one by one");
                wasmtime::Engine::new(&config(false))?
            }
        };
        let mut hasher = Sha256Hasher(Sha256::new());
        wasm.precompile_compatibility_hash().hash(&mut hasher);
        let fingerprint = Digest::from_bytes(hasher.0.finalize().into());
        let ticker = Ticker::start(wasm.weak())?;
        Ok(Engine { wasm, ticker, fingerprint })
    }

    /// The engine itself.
    pub(crate) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// What an artifact depends on beside the component: version, target, settings.
    pub(crate) fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// Says that a plugin runs on this thread until the guard is dropped: epochs go on only then.
    pub(crate) fn running(&self) -> Running<'_> {
        if self.ticker.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.ticker.thread.unpark();
        }
        Running { shared: &self.ticker.shared }
    }
}

/// Ticks needed for an interruption at least `ms` from now.
pub(crate) fn ticks(ms: u64) -> u64 {
    ms.div_ceil(PLUGIN_EPOCH_TICK_MS) + 1
}

fn config(pooled: bool) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .max_wasm_stack(PLUGIN_STACK_BYTES_MAX)
        .async_stack_size(PLUGIN_FIBER_BYTES);
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    }
    config
}

fn pool() -> PoolingAllocationConfig {
    let alive = PLUGIN_INSTANCES_ALIVE_MAX;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(alive)
        // A component is a handful of core instances: the module, its shims and fix-ups.
        .total_core_instances(alive * 8)
        .total_memories(alive * 2)
        .total_tables(alive * 4)
        .total_stacks(alive)
        .max_memories_per_module(PLUGIN_MEMORIES_MAX as u32)
        .max_memories_per_component(PLUGIN_MEMORIES_MAX as u32)
        .max_tables_per_module(PLUGIN_TABLES_MAX as u32)
        .max_tables_per_component(PLUGIN_TABLES_MAX as u32)
        .table_elements(PLUGIN_TABLE_ELEMENTS_MAX)
        .max_memory_size(PLUGIN_MEMORY_BYTES_MAX)
        .max_unused_warm_slots(WARM_SLOTS_MAX);
    pool
}

/// Proof that a plugin runs.
pub(crate) struct Running<'a> {
    shared: &'a Shared,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Shared {
    running: AtomicUsize,
    ended: AtomicBool,
}

/// A thread of its own, since a plugin that hogs every worker thread must still be interrupted. It
/// sleeps for good while no plugin runs: an idle node does not wake a hundred times a second.
struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: EngineWeak) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared { running: AtomicUsize::new(0), ended: AtomicBool::new(false) });
        let ours = Arc::clone(&shared);
        let handle = thread::Builder::new().name("weir-epoch".into()).spawn(move || tick(&engine, &ours))?;
        Ok(Ticker { shared, thread: handle.thread().clone(), handle: Some(handle) })
    }
}

fn tick(engine: &EngineWeak, shared: &Shared) {
    while !shared.ended.load(Ordering::Acquire) {
        if shared.running.load(Ordering::Acquire) == 0 {
            thread::park();
            continue;
        }
        thread::sleep(Duration::from_millis(PLUGIN_EPOCH_TICK_MS));
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread cannot have panicked, and there is nobody to tell.
            let _ = handle.join();
        }
    }
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Only the digest is used.
        0
    }
}
