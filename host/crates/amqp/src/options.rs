//! What an operator says about a queue.

use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::uri::AMQPUri;
use weir_record::limits::AMQP_HOSTS_MAX;

/// Everything about one grant.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where to connect: one broker, or several of one cluster that are tried in turn. Not empty.
    pub(crate) uris: Vec<AMQPUri>,
    pub(crate) settings: Settings,
    pub(crate) names: Names,
    pub(crate) tls: Tls,
}

/// What the broker shows of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Of the consumer.
    pub consumer_tag: String,
    /// Of the connection.
    pub connection: String,
}

/// How a queue is consumed, as far as texts and numbers say it. Defaults and bounds are the configuration's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What to consume.
    pub queue: String,
    /// What is done about the queue before it is consumed.
    pub declare: Declare,
    /// Its type; `None` is the broker's choice, a classic queue as a rule.
    pub queue_type: Option<QueueType>,
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Further arguments of its declaration.
    pub arguments: Vec<(String, Argument)>,
    /// What is bound to it when it is declared actively.
    pub bindings: Vec<Binding>,
    /// Only one consumer of the queue gets messages, the next one when that is gone. An argument of the declaration.
    pub single_active_consumer: bool,
    /// The broker refuses other consumers of a classic queue.
    pub exclusive: bool,
    /// Among consumers of the queue; higher ones first.
    pub priority: Option<i32>,
    /// Consumers, each with a connection of its own.
    pub consumers: usize,
    /// Messages that one of them may have unacknowledged.
    pub prefetch: u16,
    /// Bytes that all of them may have unacknowledged, as far as recent messages tell.
    pub prefetch_bytes: u64,
    /// Seconds; the broker may want less.
    pub heartbeat_s: u16,
    /// For connecting and all that comes before the first message.
    pub connect_timeout_ms: u64,
    /// Streams: where to begin without a cursor.
    pub stream_offset: Option<StreamOffset>,
    /// Where messages go that can never be stored.
    pub dead_letter: Option<DeadLetter>,
    /// How long the oldest message may wait to be stored before all are given back.
    pub hold_timeout_ms: u64,
    /// Longer messages cannot be stored.
    pub message_bytes_max: usize,
}

/// What is done about a queue before it is consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declare {
    /// Nothing.
    No,
    /// It must be there.
    Passive,
    /// It is made, with its bindings, if it is not there.
    Active,
}

/// Kinds of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueType {
    /// On one broker.
    Classic,
    /// Replicated.
    Quorum,
    /// A log that keeps what was consumed.
    Stream,
}

impl QueueType {
    /// As brokers call it.
    pub fn name(self) -> &'static str {
        match self {
            QueueType::Classic => "classic",
            QueueType::Quorum => "quorum",
            QueueType::Stream => "stream",
        }
    }
}

/// A value of a queue's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
}

/// One binding of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// To this exchange, which must be there.
    pub exchange: String,
    /// With this key.
    pub routing_key: String,
}

/// PEM texts for `amqps`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates to trust beside those of the system.
    pub ca: Option<String>,
    /// Our own certificate and key.
    pub client: Option<(String, String)>,
    /// The name that the broker's certificate must have; its host when `None`.
    pub server_name: Option<String>,
}

/// Where to begin in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOffset {
    /// At its oldest message.
    First,
    /// At its newest chunk of messages.
    Last,
    /// At what comes from now on.
    Next,
}

/// Where messages go that can never be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// An exchange; empty for the default one.
    pub exchange: String,
    /// With this routing key; the message's own when `None`.
    pub routing_key: Option<String>,
}

/// A URI or host that cannot be used. Does not affect state. The text never has the password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Not a URI of a broker.
    #[error("expected amqp://user:password@host/vhost or amqps://…: {0}")]
    Uri(String),
    /// Not a host and port.
    #[error("expected a host such as mq2, or a host and port such as mq2:5672, got {0:?}")]
    Host(String),
    /// Too many of them.
    #[error("expected at most {AMQP_HOSTS_MAX} hosts")]
    TooMany,
}

/// Checks a URI, and further hosts to which all else in it applies, too.
pub fn check_uri(uri: &str, hosts: &[String]) -> Result<(), UriError> {
    uris(uri, hosts).map(drop)
}

fn uris(uri: &str, hosts: &[String]) -> Result<Vec<AMQPUri>, UriError> {
    let first: AMQPUri = uri.parse().map_err(UriError::Uri)?;
    if hosts.len() >= AMQP_HOSTS_MAX {
        return Err(UriError::TooMany);
    }
    let mut uris = vec![first.clone()];
    for host in hosts {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().ok()),
            None => (host.as_str(), Some(first.authority.port)),
        };
        let Some(port) = port.filter(|_| !name.is_empty()) else { return Err(UriError::Host(host.clone())) };
        let mut next = first.clone();
        name.clone_into(&mut next.authority.host);
        next.authority.port = port;
        uris.push(next);
    }
    Ok(uris)
}

impl Options {
    /// A queue of the broker at a URI, and at further hosts to which all else in it applies, too.
    pub fn new(
        uri: &str,
        hosts: &[String],
        settings: Settings,
        names: Names,
        tls: Tls,
    ) -> Result<Options, UriError> {
        Ok(Options { uris: uris(uri, hosts)?, settings, names, tls })
    }
}

impl Settings {
    /// Whether what was consumed stays in the queue.
    pub(crate) fn is_stream(&self) -> bool {
        self.queue_type == Some(QueueType::Stream)
    }

    /// Arguments of the declaration.
    pub(crate) fn queue_arguments(&self) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in &self.arguments {
            let value = match value {
                Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
                Argument::Number(number) => AMQPValue::LongLongInt(*number),
                Argument::Bool(yes) => AMQPValue::Boolean(*yes),
            };
            table.insert(short(name), value);
        }
        if let Some(of) = self.queue_type {
            table.insert("x-queue-type".into(), AMQPValue::LongString(of.name().into()));
        }
        if self.single_active_consumer {
            table.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        }
        table
    }

    /// Arguments of a consumer that goes on behind the message at `after`.
    pub(crate) fn consume_arguments(&self, after: Option<u64>) -> FieldTable {
        let mut table = FieldTable::default();
        if let Some(priority) = self.priority {
            table.insert("x-priority".into(), AMQPValue::LongInt(priority));
        }
        if self.is_stream() {
            let text = |text: &str| AMQPValue::LongString(LongString::from(text));
            let offset = match (after, self.stream_offset) {
                (Some(after), _) => {
                    AMQPValue::LongLongInt(i64::try_from(after.saturating_add(1)).unwrap_or(i64::MAX))
                }
                (None, Some(StreamOffset::Last)) => text("last"),
                (None, Some(StreamOffset::Next)) => text("next"),
                (None, Some(StreamOffset::First) | None) => text("first"),
            };
            table.insert("x-stream-offset".into(), offset);
        }
        table
    }
}

/// A short string of the protocol, cut where a longer one comes.
pub(crate) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::try_new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_what_the_uri_says() {
        let hosts = ["mq2".to_owned(), "mq3:5673".to_owned(), "[::1]:1".to_owned()];
        let uris = uris("amqp://u:p%40ss@mq1:5600/prod?heartbeat=15", &hosts).unwrap();
        let seen: Vec<_> = uris.iter().map(|uri| (uri.authority.host.as_str(), uri.authority.port)).collect();
        assert_eq!(seen, [("mq1", 5600), ("mq2", 5600), ("mq3", 5673), ("[::1]", 1)]);
        assert!(uris.iter().all(|uri| uri.vhost == "prod" && uri.authority.userinfo.password == "p@ss"));
    }

    #[test]
    fn what_is_no_broker_is_told_without_the_password() {
        for (uri, hosts) in [
            ("http://u:secret@h", vec![]),
            ("secret", vec![]),
            ("amqp://u:secret@h:99999", vec![]),
            ("amqp://u:secret@h", vec!["a:b"]),
            ("amqp://u:secret@h", vec![":1"]),
            ("amqp://u:secret@h", vec!["a"; AMQP_HOSTS_MAX]),
        ] {
            let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
            let error = check_uri(uri, &hosts).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{uri}: {error}");
        }
    }

    #[test]
    fn short_strings_are_cut_between_characters() {
        assert_eq!(short("abc").as_str(), "abc");
        assert_eq!(short(&"ä".repeat(200)).as_str().len(), 254);
    }
}
