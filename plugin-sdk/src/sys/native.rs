//! The scripted world instead of a host.

use crate::amqp::Pull;
use crate::failure::Failure;
use crate::files::{Entry, Identity};
use crate::log::Level;
use crate::metrics::Kind;
use crate::testing::{tree, world};

pub(crate) fn log_enabled(_at: Level) -> bool {
    true
}

pub(crate) fn log_write(at: Level, message: &str, fields: &[(&str, &str)]) {
    world::with(|state| state.log(at, message, fields));
}

pub(crate) fn metric_define(name: &str, kind: Kind, _help: &str) -> u32 {
    world::with(|state| state.metric_define(name, kind))
}

pub(crate) fn metric_record(id: u32, value: f64) {
    world::with(|state| state.metric_record(id, value));
}

pub(crate) fn now_unix_ns() -> u64 {
    world::with(|state| state.now_unix_ns())
}

pub(crate) fn monotonic_ns() -> u64 {
    world::with(|state| state.monotonic_ns)
}

pub(crate) fn sleep_ms(ms: u32) {
    world::with(|state| state.wait_ms(ms));
}

pub(crate) fn stopping() -> bool {
    world::with(|state| state.stopping)
}

pub(crate) fn scan(grant: &str) -> Result<Vec<Entry>, Failure> {
    world::with(|state| Ok(state.tree(grant)?.scan()))
}

pub(crate) fn changed(grant: &str, wait_ms: u32) -> Result<bool, Failure> {
    world::with(|state| {
        let changed = std::mem::take(&mut state.tree(grant)?.changed);
        if !changed {
            state.wait_ms(wait_ms);
        }
        Ok(changed)
    })
}

pub(crate) fn stdin_read(bytes_max: u32, wait_ms: u32) -> Result<Option<Vec<u8>>, Failure> {
    world::with(|state| state.stdin_read(bytes_max as usize, wait_ms))
}

#[derive(Debug)]
pub(crate) struct File(tree::OpenFile);

impl File {
    pub(crate) fn open(grant: &str, path: &str) -> Result<File, Failure> {
        world::with(|state| state.tree(grant)?.open(path).map(File))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the host may fail")]
    pub(crate) fn stat(&self) -> Result<Identity, Failure> {
        Ok(self.0.stat())
    }

    pub(crate) fn stat_path(&self) -> Result<Option<Identity>, Failure> {
        let (grant, path) = (self.0.grant(), self.0.path());
        world::with(|state| Ok(state.tree(grant)?.stat_path(path)))
    }

    pub(crate) fn read_at(&self, offset: u64, bytes_max: u32) -> Result<Vec<u8>, Failure> {
        self.0.read_at(offset, bytes_max as usize)
    }
}

/// Given back when dropped, unless the test's host has taken it.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) grant: String,
    pub(crate) tag: u64,
}

impl Receipt {
    pub(crate) fn discard(&self, index: u32, why: &str) -> Result<(), String> {
        world::with(|state| {
            state.queue(&self.grant).map_err(|_| String::new())?.discard(self.tag, index, why)
        })
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        world::with_if_any(|state| {
            if let Ok(queue) = state.queue(&self.grant) {
                queue.give_back(self.tag);
            }
        });
    }
}

#[derive(Debug)]
pub(crate) struct Consumer(String);

impl Consumer {
    pub(crate) fn open(grant: &str, after: Option<u64>) -> Result<Consumer, Failure> {
        world::with(|state| state.queue(grant).map(|queue| queue.open(after)))?;
        Ok(Consumer(grant.into()))
    }

    pub(crate) fn receive(
        &self,
        messages_max: u32,
        bytes_max: u32,
        wait_ms: u32,
    ) -> Result<Option<Pull>, Failure> {
        world::with(|state| {
            let pull = state.queue(&self.0)?.receive(messages_max as usize, bytes_max as usize);
            if pull.is_none() {
                state.wait_ms(wait_ms);
            }
            Ok(pull)
        })
    }

    pub(crate) fn can_discard(&self) -> bool {
        world::with(|state| state.queue(&self.0).is_ok_and(|queue| queue.takes_discarded))
    }
}
