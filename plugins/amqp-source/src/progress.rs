//! How far a pull has become records.
//!
//! A pull may be more than one batch takes. Its receipt goes with the last of its records, so that nothing of it
//! is acknowledged before all of it is stored.

use std::borrow::Cow;

use weir_plugin_sdk::Failure;
use weir_plugin_sdk::amqp::{Envelope, Message, Pull};
use weir_plugin_sdk::batch::{Builder, Part};
use weir_plugin_sdk::limits::{LABEL_VALUE_BYTES_MAX, RECORD_BYTES_MAX};

use crate::config::{Format, From, Rules, Split};

/// The label of a body that is not what it should be.
const DECODE_ERROR: &str = "decode_error";

/// A pull on its way into batches.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) pull: Pull,
    /// Labels of each envelope; the last one is `decode_error` of bodies that need it.
    labels: Vec<Vec<(String, String)>>,
    message: usize,
    within: Within,
}

/// A place inside of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Within {
    /// Bytes of the body that are records already.
    at: usize,
    /// Records made of the message.
    records: u32,
    /// The record at hand is longer than one may be, and its first parts are records already.
    inside: bool,
    /// What the body is not, if it was looked at.
    broken: Option<&'static str>,
    checked: bool,
}

impl Progress {
    pub(crate) fn new(pull: Pull, rules: &Rules) -> Progress {
        let labels = pull.envelopes().iter().map(|envelope| labels(envelope, rules)).collect();
        Progress { pull, labels, message: 0, within: Within::default() }
    }

    /// Fills the batch. Whether the whole pull has become records.
    pub(crate) fn fill(&mut self, batch: &mut Builder, rules: &Rules) -> Result<bool, Failure> {
        while let Some(message) = self.pull.message(self.message) {
            if !self.within.checked {
                self.within.checked = true;
                self.within.broken = broken(message.body, rules.format);
                if let Some(what) = self.within.broken.filter(|_| rules.strict) {
                    self.pull
                        .receipt
                        .discard(self.message, &format!("its body is not {what}"))
                        .map_err(|why| Failure::bad_config("amqp.discard", why))?;
                    self.next_message();
                    continue;
                }
            }
            let labels = &self.labels[message.envelope_index];
            if !records(&message, labels, &mut self.within, batch, rules)? {
                return Ok(false);
            }
            self.next_message();
        }
        Ok(true)
    }

    /// The offset of the last message, if this is a stream.
    pub(crate) fn last_offset(&self) -> Option<u64> {
        self.pull.message(self.pull.count().checked_sub(1)?)?.offset
    }

    fn next_message(&mut self) {
        self.message += 1;
        self.within = Within::default();
    }
}

/// What a body is not.
fn broken(body: &[u8], format: Format) -> Option<&'static str> {
    let fits = match format {
        Format::Bytes => true,
        Format::Text => std::str::from_utf8(body).is_ok(),
        Format::Json => serde_json::from_slice::<weir_plugin_sdk::serde::de::IgnoredAny>(body).is_ok(),
    };
    (!fits).then_some(if format == Format::Json { "JSON" } else { "UTF-8" })
}

/// Moves what fits of a message into the batch. Whether it was all.
fn records(
    message: &Message<'_>,
    labels: &[(String, String)],
    within: &mut Within,
    batch: &mut Builder,
    rules: &Rules,
) -> Result<bool, Failure> {
    let mut pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    pairs.extend(within.broken.map(|what| (DECODE_ERROR, what)));
    let body = message.body;
    loop {
        let newline = match rules.split {
            Split::Lines => memchr::memchr(b'\n', &body[within.at..]).map(|at| within.at + at),
            Split::Message => None,
        };
        let end = newline.unwrap_or(body.len());
        let head: &[u8] = if within.inside { &[] } else { &rules.prefix };
        let room = RECORD_BYTES_MAX - head.len();
        let rest = &body[within.at..end];
        let (piece, part) = match (rest.len() <= room, within.inside) {
            (true, false) => (rest, Part::Whole),
            (true, true) => (rest, Part::Last),
            (false, false) => (&rest[..room], Part::First),
            (false, true) => (&rest[..room], Part::Middle),
        };
        if !batch.fits(head.len() + piece.len()) {
            return Ok(false);
        }
        let stream = match batch.stream_of(&pairs, part) {
            Ok(stream) => stream,
            Err(weir_plugin_sdk::batch::BuildError::Full) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let payload = if head.is_empty() { Cow::Borrowed(piece) } else { Cow::Owned([head, piece].concat()) };
        batch.push(stream, &payload)?;
        name(message, within.records, batch, rules)?;
        within.records += 1;
        within.inside = matches!(part, Part::First | Part::Middle);
        within.at += piece.len();
        if within.inside {
            continue;
        }
        match newline {
            Some(newline) if newline + 1 < body.len() => within.at = newline + 1,
            _ => return Ok(true),
        }
    }
}

/// Time and key of the record added last.
fn name(message: &Message<'_>, index: u32, batch: &mut Builder, rules: &Rules) -> Result<(), Failure> {
    let Some(time_ms) = message.time_ms.filter(|_| rules.event_time) else { return Ok(()) };
    batch.set_time(time_ms.saturating_mul(1_000_000));
    if message.message_id.is_empty() {
        return Ok(());
    }
    // The body is hashed with it by the host; the index tells equal lines of one message apart.
    let mut key = Vec::with_capacity(message.message_id.len() + 5);
    key.extend_from_slice(message.message_id);
    key.push(0);
    key.extend_from_slice(&index.to_be_bytes());
    Ok(batch.set_key(&key)?)
}

fn labels(envelope: &Envelope, rules: &Rules) -> Vec<(String, String)> {
    let value = |from: &From| match from {
        From::Exchange => Some(envelope.exchange.as_str()),
        From::RoutingKey => Some(envelope.routing_key.as_str()),
        From::Header(name) => envelope.header(name),
        From::Property(name) => envelope.property(name),
    };
    let pairs = rules.labels.iter().filter_map(|(name, from)| Some((name.clone(), clean(value(from)?)?)));
    pairs.collect()
}

/// A text as a label may be; `None` when nothing is left of it.
fn clean(value: &str) -> Option<String> {
    let mut clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.len() > LABEL_VALUE_BYTES_MAX {
        let cut = (0..=LABEL_VALUE_BYTES_MAX).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
        clean.truncate(cut);
    }
    (!clean.is_empty()).then_some(clean)
}
