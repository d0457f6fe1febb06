//! Clock, log, metrics, standard input and grants of one test.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use crate::failure::Failure;
use crate::log::Level;
use crate::metrics::Kind;
use crate::testing::queue::{Broker, Queue};
use crate::testing::tree::{Files, Tree};

/// 2023-11-14T22:13:20Z, where every world begins.
const UNIX_NS_START: u64 = 1_700_000_000_000_000_000;

thread_local! {
    static CURRENT: RefCell<Weak<RefCell<State>>> = const { RefCell::new(Weak::new()) };
}

/// The host's side of the imports, for the thread that made it. Nothing passes time but waiting.
#[derive(Debug, Clone)]
pub struct World(Rc<RefCell<State>>);

impl World {
    /// A world without grants, which takes the place of an earlier one on this thread.
    #[expect(clippy::new_without_default, reason = "making one is an act: it replaces the thread's world")]
    pub fn new() -> World {
        let world = World(Rc::new(RefCell::new(State::default())));
        CURRENT.set(Rc::downgrade(&world.0));
        world
    }

    /// The file tree of `grants.files.<name>`, which is granted from now on.
    pub fn files(&self, name: &str) -> Files {
        self.0.borrow_mut().grants.entry(name.into()).or_insert_with(|| Tree::new(name));
        Files::new(self.0.clone(), name)
    }

    /// The queue of `grants.amqp.<name>`, which is granted from now on.
    pub fn queue(&self, name: &str) -> Queue {
        self.0.borrow_mut().queues.entry(name.into()).or_insert_with(|| Broker::new(name));
        Queue::new(self.0.clone(), name)
    }

    /// Grants standard input and adds to it.
    pub fn stdin_push(&self, bytes: &[u8]) {
        self.0.borrow_mut().stdin.get_or_insert_default().bytes.extend(bytes);
    }

    /// Grants standard input and closes it behind what was added.
    pub fn stdin_close(&self) {
        self.0.borrow_mut().stdin.get_or_insert_default().closed = true;
    }

    /// Passes time.
    pub fn advance_ms(&self, ms: u32) {
        self.0.borrow_mut().wait_ms(ms);
    }

    /// Time since the world began.
    pub fn elapsed_ms(&self) -> u64 {
        self.0.borrow().monotonic_ns / 1_000_000
    }

    /// Begins the shutdown.
    pub fn stop(&self) {
        self.0.borrow_mut().stopping = true;
    }

    /// Lines logged so far: `warn file is away path=/a`.
    pub fn log_lines(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// The value of a metric: the sum of a counter, the last value of a gauge, how many observations of a
    /// histogram. `None`: never defined.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.0.borrow().metrics.iter().find(|m| m.name == name).map(|m| m.value)
    }
}

#[derive(Debug)]
struct Metric {
    name: String,
    kind: Kind,
    value: f64,
}

#[derive(Debug, Default)]
struct Stdin {
    bytes: VecDeque<u8>,
    closed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) monotonic_ns: u64,
    pub(crate) stopping: bool,
    log: Vec<String>,
    metrics: Vec<Metric>,
    stdin: Option<Stdin>,
    grants: BTreeMap<String, Tree>,
    queues: BTreeMap<String, Broker>,
}

/// Runs `f` on the world of this thread while there is one, and nobody else is at it: for what is dropped late.
pub(crate) fn with_if_any(f: impl FnOnce(&mut State)) {
    if let Some(state) = CURRENT.with_borrow(Weak::upgrade)
        && let Ok(mut state) = state.try_borrow_mut()
    {
        f(&mut state);
    }
}

/// Runs `f` on the world of this thread.
pub(crate) fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    let current = CURRENT.with_borrow(Weak::upgrade);
    let Some(state) = current else {
        panic!("an import was called without a weir_plugin_sdk::testing::World on this thread");
    };
    let mut state = state.borrow_mut();
    f(&mut state)
}

impl State {
    pub(crate) fn now_unix_ns(&self) -> u64 {
        UNIX_NS_START + self.monotonic_ns
    }

    pub(crate) fn wait_ms(&mut self, ms: u32) {
        self.monotonic_ns += u64::from(ms) * 1_000_000;
    }

    pub(crate) fn log(&mut self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let mut line = format!("{} {message}", format!("{level:?}").to_lowercase());
        for (name, value) in fields {
            line.extend([" ", name, "=", value]);
        }
        self.log.push(line);
    }

    /// Ids count from 1; 0 is the metric that was refused.
    pub(crate) fn metric_define(&mut self, name: &str, kind: Kind) -> u32 {
        let found = self.metrics.iter().position(|m| m.name == name && m.kind == kind);
        let index = found.unwrap_or_else(|| {
            self.metrics.push(Metric { name: name.into(), kind, value: 0.0 });
            self.metrics.len() - 1
        });
        index as u32 + 1
    }

    pub(crate) fn metric_record(&mut self, id: u32, value: f64) {
        let Some(metric) = (id as usize).checked_sub(1).and_then(|i| self.metrics.get_mut(i)) else { return };
        match metric.kind {
            Kind::Counter => metric.value += value,
            Kind::Gauge => metric.value = value,
            Kind::Histogram => metric.value += 1.0,
        }
    }

    pub(crate) fn stdin_read(&mut self, bytes_max: usize, wait_ms: u32) -> Result<Option<Vec<u8>>, Failure> {
        let Some(stdin) = &mut self.stdin else {
            return Err(Failure::bad_config("stdin.not-granted", "the config has no grants.stdin = true"));
        };
        if stdin.bytes.is_empty() {
            if stdin.closed {
                return Ok(None);
            }
            self.wait_ms(wait_ms);
            return Ok(Some(Vec::new()));
        }
        let count = stdin.bytes.len().min(bytes_max);
        Ok(Some(stdin.bytes.drain(..count).collect()))
    }

    pub(crate) fn queue(&mut self, grant: &str) -> Result<&mut Broker, Failure> {
        self.queues.get_mut(grant).ok_or_else(|| {
            Failure::bad_config("amqp.not-granted", format_args!("the config has no grants.amqp.{grant}"))
        })
    }

    pub(crate) fn tree(&mut self, grant: &str) -> Result<&mut Tree, Failure> {
        self.grants.get_mut(grant).ok_or_else(|| {
            Failure::bad_config("files.not-granted", format_args!("the config has no grants.files.{grant}"))
        })
    }
}
