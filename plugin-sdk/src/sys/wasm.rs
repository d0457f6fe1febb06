//! The host's imports. Conversions move; only strings of log lines are copied.

use crate::amqp::{Envelope, Pull};
use crate::bindings::weir::plugin as host;
use crate::failure::{Failure, Verdict};
use crate::files::{Entry, Identity};
use crate::log::Level;
use crate::metrics::Kind;

fn level(level: Level) -> host::log::Level {
    match level {
        Level::Trace => host::log::Level::Trace,
        Level::Debug => host::log::Level::Debug,
        Level::Info => host::log::Level::Info,
        Level::Warn => host::log::Level::Warn,
        Level::Error => host::log::Level::Error,
    }
}

pub(crate) fn log_enabled(at: Level) -> bool {
    host::log::enabled(level(at))
}

pub(crate) fn log_write(at: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<(String, String)> = fields.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    host::log::write(level(at), message, &fields);
}

pub(crate) fn metric_define(name: &str, kind: Kind, help: &str) -> u32 {
    let kind = match kind {
        Kind::Counter => host::metrics::Kind::Counter,
        Kind::Gauge => host::metrics::Kind::Gauge,
        Kind::Histogram => host::metrics::Kind::Histogram,
    };
    host::metrics::define(name, kind, help)
}

pub(crate) fn metric_record(id: u32, value: f64) {
    host::metrics::record_value(id, value);
}

pub(crate) fn now_unix_ns() -> u64 {
    host::timing::now_unix_ns()
}

pub(crate) fn monotonic_ns() -> u64 {
    host::timing::monotonic_ns()
}

pub(crate) fn sleep_ms(ms: u32) {
    host::timing::sleep_ms(ms);
}

pub(crate) fn stopping() -> bool {
    host::timing::stopping()
}

fn failure(from: host::types::Failure) -> Failure {
    let verdict = match from.verdict {
        host::types::Verdict::Retry => Verdict::Retry,
        host::types::Verdict::BadConfig => Verdict::BadConfig,
        host::types::Verdict::Restart => Verdict::Restart,
        host::types::Verdict::Fatal => Verdict::Fatal,
    };
    Failure { verdict, code: from.code, message: from.message, retry_after_ms: from.retry_after_ms }
}

fn identity(from: host::files::Identity) -> Identity {
    Identity { id: from.id, size: from.size, modified_unix_ns: from.modified_unix_ns }
}

pub(crate) fn scan(grant: &str) -> Result<Vec<Entry>, Failure> {
    let entries = host::files::scan(grant).map_err(failure)?;
    Ok(entries.into_iter().map(|e| Entry { path: e.path, identity: identity(e.identity) }).collect())
}

pub(crate) fn changed(grant: &str, wait_ms: u32) -> Result<bool, Failure> {
    host::files::changed(grant, wait_ms).map_err(failure)
}

pub(crate) fn stdin_read(bytes_max: u32, wait_ms: u32) -> Result<Option<Vec<u8>>, Failure> {
    host::stdin::read(bytes_max, wait_ms).map_err(failure)
}

#[derive(Debug)]
pub(crate) struct File(host::files::File);

impl File {
    pub(crate) fn open(grant: &str, path: &str) -> Result<File, Failure> {
        host::files::File::open(grant, path).map(File).map_err(failure)
    }

    pub(crate) fn stat(&self) -> Result<Identity, Failure> {
        self.0.stat().map(identity).map_err(failure)
    }

    pub(crate) fn stat_path(&self) -> Result<Option<Identity>, Failure> {
        Ok(self.0.stat_path().map_err(failure)?.map(identity))
    }

    pub(crate) fn read_at(&self, offset: u64, bytes_max: u32) -> Result<Vec<u8>, Failure> {
        self.0.read_at(offset, bytes_max).map_err(failure)
    }
}

#[derive(Debug)]
pub(crate) struct Receipt(pub(crate) host::receipts::Receipt);

impl Receipt {
    pub(crate) fn discard(&self, index: u32, why: &str) -> Result<(), String> {
        self.0.discard(index, why)
    }
}

#[derive(Debug)]
pub(crate) struct Consumer(host::amqp::Consumer);

impl Consumer {
    pub(crate) fn open(grant: &str, after: Option<u64>) -> Result<Consumer, Failure> {
        host::amqp::Consumer::open(grant, after).map(Consumer).map_err(failure)
    }

    pub(crate) fn receive(
        &self,
        messages_max: u32,
        bytes_max: u32,
        wait_ms: u32,
    ) -> Result<Option<Pull>, Failure> {
        let pull = self.0.receive(messages_max, bytes_max, wait_ms).map_err(failure)?;
        Ok(pull.map(|from| Pull {
            bodies: from.bodies,
            ends: from.ends,
            envelope_of: from.envelope_of,
            envelopes: from.envelopes.into_iter().map(envelope).collect(),
            times_ms: from.times_ms,
            message_ids: from.message_ids,
            message_id_ends: from.message_id_ends,
            offsets: from.offsets,
            redelivered: from.redelivered,
            receipt: crate::receipts::Receipt(Receipt(from.receipt)),
        }))
    }

    pub(crate) fn can_discard(&self) -> bool {
        self.0.can_discard()
    }
}

fn envelope(from: host::amqp::Envelope) -> Envelope {
    let host::amqp::Envelope { exchange, routing_key, properties, headers } = from;
    Envelope { exchange, routing_key, properties, headers }
}
