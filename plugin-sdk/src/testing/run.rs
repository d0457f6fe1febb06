//! Drives a source as the host does, and checks what it hands over.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::batch::{Batch, PART_LABEL};
use crate::failure::Failure;
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_RECORDS_MAX, CURSOR_BYTES_MAX, LABELS_MAX, PLUGIN_POLL_WAIT_MS_MAX,
    PLUGIN_STREAMS_MAX, RECORD_BYTES_MAX,
};
use crate::source::{Budget, Info, Polled, Source, Taken, parse_config};
use crate::testing::world::{self, World};

/// One record as the host would store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Labels beside the configured ones.
    pub labels: BTreeMap<String, String>,
    /// The bytes.
    pub payload: Vec<u8>,
    /// Event time, Unix nanoseconds.
    pub time_unix_ns: Option<u64>,
    /// What makes it the same on redelivery.
    pub key: Option<Vec<u8>>,
}

impl Record {
    /// The value of one label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// `first`, `middle` or `last` on the parts of a record that was too long.
    pub fn part(&self) -> Option<&str> {
        self.label(PART_LABEL)
    }
}

/// A source in a [`World`]. Dropping it without [`close`](Run::close) is a crash.
#[derive(Debug)]
pub struct Run<S> {
    source: S,
    budget: Budget,
    cursor: Option<Vec<u8>>,
    /// Held, so that the world outlives the source's handles.
    world: World,
}

impl<S: Source> Run<S> {
    /// Opens the source as the host would: settings (a JSON object) with the schema's defaults filled in.
    ///
    /// # Errors
    /// The source's own, and settings that do not fit its type.
    ///
    /// # Panics
    /// When [`check_info`] finds the description wrong.
    pub fn open(world: &World, config: &str, cursor: Option<Vec<u8>>) -> Result<Run<S>, Failure> {
        let info = S::info();
        check_info(&info);
        let config = parse_config(&with_defaults(config, &info.config_schema)?)?;
        let source = S::open(config, cursor.as_deref())?;
        let budget =
            Budget { records: BATCH_RECORDS_MAX, bytes: BATCH_BYTES_MAX, wait_ms: PLUGIN_POLL_WAIT_MS_MAX };
        Ok(Run { source, budget, cursor, world: world.clone() })
    }

    /// Polls with another budget from now on.
    ///
    /// # Panics
    /// When the host would never give it.
    pub fn set_budget(&mut self, budget: Budget) {
        assert!(budget.records >= 1 && budget.bytes >= RECORD_BYTES_MAX, "the host never gives {budget:?}");
        self.budget = budget;
    }

    /// The last cursor handed over: where a new instance would go on.
    pub fn cursor(&self) -> Option<Vec<u8>> {
        self.cursor.clone()
    }

    /// The world it runs in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// One poll, checked.
    ///
    /// # Errors
    /// The source's own.
    ///
    /// # Panics
    /// When the host would refuse what it got.
    pub fn poll(&mut self) -> Result<Polled, Failure> {
        let polled = self.source.poll(self.budget)?;
        if let Polled::Records(taken) = &polled {
            self.accept(taken);
            assert!(taken.batch.count() <= self.budget.records, "more records than the budget");
            assert!(taken.batch.arena.len() <= self.budget.bytes, "more bytes than the budget");
        }
        Ok(polled)
    }

    /// Receipts are the host's from here on: dropping them gives nothing back any more.
    fn accept(&mut self, taken: &Taken) {
        check_batch(&taken.batch);
        for receipt in &taken.receipts {
            world::with(|state| state.queue(&receipt.0.grant).map(|queue| queue.settle(receipt.0.tag)))
                .unwrap_or_else(|failure| panic!("a receipt of no queue: {failure:?}"));
        }
        if let Some(cursor) = &taken.cursor {
            assert!(cursor.len() <= CURSOR_BYTES_MAX, "a cursor of {} bytes", cursor.len());
            self.cursor = Some(cursor.clone());
        }
    }

    /// One poll, and its records; none when it is idle or finished.
    ///
    /// # Errors
    /// The source's own.
    ///
    /// # Panics
    /// When the host would refuse what it got.
    pub fn step(&mut self) -> Result<Vec<Record>, Failure> {
        Ok(match self.poll()? {
            Polled::Records(taken) => records(&taken.batch),
            Polled::Idle { .. } | Polled::Finished => Vec::new(),
        })
    }

    /// Polls until the source is idle or finished, and returns all records.
    ///
    /// # Errors
    /// The source's own; records of this call are lost.
    ///
    /// # Panics
    /// When the host would refuse what it got.
    pub fn drain(&mut self) -> Result<Vec<Record>, Failure> {
        let mut records = Vec::new();
        while let Polled::Records(taken) = self.poll()? {
            records.extend(self::records(&taken.batch));
        }
        Ok(records)
    }

    /// Closes the source: its last records and the cursor to go on from.
    pub fn close(mut self) -> (Vec<Record>, Option<Vec<u8>>) {
        let taken = self.source.close();
        if let Some(taken) = &taken {
            self.accept(taken);
        }
        (taken.map_or_else(Vec::new, |taken| records(&taken.batch)), self.cursor)
    }
}

/// The records of a batch that passed [`check_batch`].
fn records(batch: &Batch) -> Vec<Record> {
    let none = Vec::new();
    let mut start = 0;
    let ends = batch.ends.iter().enumerate();
    ends.map(|(i, &end)| {
        let stream = batch.stream_of.get(i).map_or(0, |s| usize::from(*s));
        let payload = batch.arena[start..end as usize].to_vec();
        start = end as usize;
        Record {
            labels: batch.streams.get(stream).unwrap_or(&none).iter().cloned().collect(),
            payload,
            time_unix_ns: batch.times.get(i).copied().filter(|time| *time != 0),
            key: batch.keys.get(i).filter(|key| !key.is_empty()).cloned(),
        }
    })
    .collect()
}

/// Checks a batch by the host's rules.
///
/// # Panics
/// When it breaks one, with which.
pub fn check_batch(batch: &Batch) {
    let count = batch.count();
    assert!(count <= BATCH_RECORDS_MAX, "{count} records in a batch");
    assert!(batch.arena.len() <= BATCH_BYTES_MAX, "{} bytes in a batch", batch.arena.len());
    assert!(batch.streams.len() <= PLUGIN_STREAMS_MAX, "{} streams in a batch", batch.streams.len());
    let mut start = 0;
    for end in &batch.ends {
        assert!(*end >= start, "ends go down");
        assert!((end - start) as usize <= RECORD_BYTES_MAX, "a record of {} bytes", end - start);
        start = *end;
    }
    assert_eq!(start as usize, batch.arena.len(), "the last end is not the length of the arena");
    let sides =
        [("times", batch.times.len()), ("stream-of", batch.stream_of.len()), ("keys", batch.keys.len())];
    for (name, length) in sides {
        assert!(length == 0 || length == count, "{name} has {length} items for {count} records");
    }
    assert!(
        batch.stream_of.iter().all(|s| usize::from(*s) < batch.streams.len()),
        "stream-of names a stream that is not there"
    );
    for labels in &batch.streams {
        assert!(labels.len() <= LABELS_MAX, "{} labels in a stream", labels.len());
        for (name, value) in labels {
            let known = name != PART_LABEL || matches!(&**value, "first" | "middle" | "last");
            assert!(
                known && (name == PART_LABEL || !name.starts_with('_')),
                "label {name}={value} is weir's own"
            );
            assert!(!value.chars().any(char::is_control), "control characters in label {name}");
        }
    }
}

/// Checks a plugin's description by the host's rules.
///
/// # Panics
/// When it breaks one, with which.
pub fn check_info(info: &Info) {
    let name_fits = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    assert!(!info.name.is_empty() && name_fits(&info.name), "{:?} is no name for a plugin", info.name);
    assert!(!info.version.is_empty(), "the plugin has no version");
    if !info.config_schema.is_empty() {
        let schema: Result<Value, _> = serde_json::from_str(&info.config_schema);
        assert!(schema.as_ref().is_ok_and(Value::is_object), "the schema is not a JSON object: {schema:?}");
    }
    for need in &info.needs {
        assert!(
            matches!(&*need.capability, "files" | "stdin" | "amqp"),
            "no capability {:?}",
            need.capability
        );
    }
}

/// The settings as the host hands them over: with the default of each property that is not given.
fn with_defaults(config: &str, schema: &str) -> Result<String, Failure> {
    let wrong = |error: serde_json::Error| Failure::bad_config("config.invalid", error);
    let mut config: Value = serde_json::from_str(config).map_err(wrong)?;
    if schema.is_empty() {
        return Ok(config.to_string());
    }
    let schema: Value = serde_json::from_str(schema).map_err(wrong)?;
    if let (Some(config), Some(properties)) = (config.as_object_mut(), schema["properties"].as_object()) {
        for (name, property) in properties {
            if let Some(default) = property.get("default") {
                config.entry(name.clone()).or_insert_with(|| default.clone());
            }
        }
    }
    Ok(config.to_string())
}
