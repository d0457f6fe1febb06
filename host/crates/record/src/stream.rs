//! A stream: a topic plus labels, said once per batch and not per record.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::limits::{
    LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, STREAM_BYTES_MAX, TOPIC_BYTES_MAX,
};

/// Label that weir sets on the parts of a record that was longer than a record may be:
/// `first`, `middle` or `last`. The parts have consecutive ids.
pub const PART_LABEL: &str = "_part";
/// Label that weir sets on a record whose event time was out of bounds: `arrival`.
pub const TIME_LABEL: &str = "_time";
/// Label that weir sets on a record that may have been stored before under another id: `maybe`.
pub const REPEAT_LABEL: &str = "_repeat";
/// The topic of records that came without one.
pub const DEFAULT_TOPIC: &str = "default";

/// Where records come from. Labels are sorted by name and unique; equality is that of the content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    topic: Box<str>,
    labels: Vec<(Box<str>, Box<str>)>,
}

/// A topic or label that cannot be. Does not affect state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Empty or longer than [`TOPIC_BYTES_MAX`].
    #[error("a topic has 1 to {TOPIC_BYTES_MAX} bytes, got {0}")]
    TopicLength(usize),
    /// Control characters in a topic or a label value.
    #[error("control characters are not allowed in {0}")]
    Control(&'static str),
    /// Not `[A-Za-z_][A-Za-z0-9_.-]*`, or longer than [`LABEL_NAME_BYTES_MAX`].
    #[error(
        "label name {0:?} is not a letter or _ followed by letters, digits, _, - or ., at most {LABEL_NAME_BYTES_MAX} in all"
    )]
    LabelName(String),
    /// Names with a leading underscore are set by weir alone.
    #[error("label name {0:?} begins with _, which is kept for weir's own labels")]
    Reserved(String),
    /// Longer than [`LABEL_VALUE_BYTES_MAX`].
    #[error("the value of label {0:?} is longer than {LABEL_VALUE_BYTES_MAX} bytes")]
    LabelValue(String),
    /// The same name twice.
    #[error("label {0:?} is given twice")]
    Twice(String),
    /// More than [`LABELS_MAX`] labels, or more than [`STREAM_BYTES_MAX`] bytes in all.
    #[error("a stream has at most {LABELS_MAX} labels and {STREAM_BYTES_MAX} bytes in all")]
    TooLarge,
}

impl Stream {
    /// A stream as users may name it: reserved label names are refused.
    pub fn new<K: AsRef<str>, V: AsRef<str>>(
        topic: &str,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Stream, StreamError> {
        let stream = Stream::with_reserved(topic, labels)?;
        match stream.labels.iter().find(|(name, _)| name.starts_with('_')) {
            Some((name, _)) => Err(StreamError::Reserved(name.as_ref().into())),
            None => Ok(stream),
        }
    }

    /// A stream that may carry weir's own labels, for what is read back from disk or a peer.
    pub fn with_reserved<K: AsRef<str>, V: AsRef<str>>(
        topic: &str,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Stream, StreamError> {
        if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX {
            return Err(StreamError::TopicLength(topic.len()));
        }
        if topic.chars().any(char::is_control) {
            return Err(StreamError::Control("a topic"));
        }
        let mut sorted: Vec<(Box<str>, Box<str>)> = Vec::new();
        let mut bytes = topic.len();
        for (name, value) in labels {
            let (name, value) = (name.as_ref(), value.as_ref());
            check_label(name, value)?;
            bytes += name.len() + value.len() + 8;
            if sorted.len() >= LABELS_MAX || bytes > STREAM_BYTES_MAX {
                return Err(StreamError::TooLarge);
            }
            match sorted.binary_search_by(|(other, _)| other.as_ref().cmp(name)) {
                Ok(_) => return Err(StreamError::Twice(name.into())),
                Err(at) => sorted.insert(at, (name.into(), value.into())),
            }
        }
        Ok(Stream { topic: topic.into(), labels: sorted })
    }

    /// This stream with one of weir's own labels added.
    ///
    /// # Panics
    /// When `name` is not one of weir's own: a programming error.
    #[must_use]
    pub fn marked(&self, name: &'static str, value: &'static str) -> Stream {
        assert!(name.starts_with('_'), "only weir's own labels are set this way");
        let mut labels = self.labels.clone();
        match labels.binary_search_by(|(other, _)| other.as_ref().cmp(name)) {
            Ok(at) => labels[at].1 = value.into(),
            Err(at) => labels.insert(at, (name.into(), value.into())),
        }
        Stream { topic: self.topic.clone(), labels }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Labels, sorted by name.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The value of one label.
    pub fn label(&self, name: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(other, _)| other.as_ref().cmp(name)).ok()?;
        Some(&self.labels[at].1)
    }
}

fn check_label(name: &str, value: &str) -> Result<(), StreamError> {
    let mut chars = name.bytes();
    let first_fits = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
    let rest_fits = chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'));
    if !first_fits || !rest_fits || name.len() > LABEL_NAME_BYTES_MAX {
        return Err(StreamError::LabelName(name.chars().take(80).collect()));
    }
    if value.len() > LABEL_VALUE_BYTES_MAX {
        return Err(StreamError::LabelValue(name.into()));
    }
    if value.chars().any(char::is_control) {
        return Err(StreamError::Control("a label value"));
    }
    Ok(())
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic={}", self.topic)?;
        self.labels.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};

    #[test]
    fn labels_are_sorted_and_found() {
        let stream = Stream::new("orders", [("host", "web1"), ("env", "prod")]).unwrap();
        assert_eq!(format!("{stream:?}"), "topic=orders env=prod host=web1");
        assert_eq!(stream.label("host"), Some("web1"));
        assert_eq!(stream.label("no"), None);
        assert_eq!(stream.marked(PART_LABEL, "first").label(PART_LABEL), Some("first"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let none: [(&str, &str); 0] = [];
        assert_eq!(Stream::new("", none), Err(StreamError::TopicLength(0)));
        assert_eq!(Stream::new(&"x".repeat(256), none), Err(StreamError::TopicLength(256)));
        assert_eq!(Stream::new("a\nb", none), Err(StreamError::Control("a topic")));
        assert_eq!(Stream::new("t", [("1a", "")]), Err(StreamError::LabelName("1a".into())));
        assert_eq!(Stream::new("t", [("a b", "")]), Err(StreamError::LabelName("a b".into())));
        assert_eq!(Stream::new("t", [("_part", "x")]), Err(StreamError::Reserved("_part".into())));
        assert_eq!(Stream::new("t", [("a", "1"), ("a", "2")]), Err(StreamError::Twice("a".into())));
        let many: Vec<_> = (0..33).map(|i| (format!("l{i}"), "v")).collect();
        assert_eq!(Stream::new("t", many), Err(StreamError::TooLarge));
        let long = vec![("a", "x".repeat(4097))];
        assert_eq!(Stream::new("t", long), Err(StreamError::LabelValue("a".into())));
    }
}
