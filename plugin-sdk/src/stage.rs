//! The traits of plugins that run in queries: [`Filter`] keeps or drops records, [`Rewrite`] changes them,
//! [`Aggregate`] sums them up.
//!
//! They are pure: no clock, no randomness, no files. The same records give the same answer on every node.

use serde::de::DeserializeOwned;
use weir_fields::Value;

use crate::failure::Failure;
use crate::limits::{BATCH_BYTES_MAX, RECORD_BYTES_MAX};
use crate::source::Info;

/// A record of a query.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// The bytes.
    pub payload: &'a [u8],
    /// Unix nanoseconds; 0 unless [`Hints::times`] was said.
    pub time_unix_ns: u64,
    /// The id, big-endian; zeros unless [`Hints::ids`] was said.
    pub id: [u8; 16],
    /// Labels, the topic as `_topic`; empty unless [`Hints::streams`] was said.
    pub labels: &'a [(String, String)],
}

impl<'a> Record<'a> {
    /// The topic, if streams are read.
    pub fn topic(&self) -> Option<&'a str> {
        self.label("_topic")
    }

    /// A label, if streams are read.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Tells `visit` the values of a field of the payload, JSON or logfmt, until it answers `false`. What a field is,
    /// is what it is in a query.
    pub fn visit(&self, field: &str, mut visit: impl FnMut(Value<'a>) -> bool) {
        weir_fields::visit(self.payload, field.as_bytes(), &mut visit);
    }

    /// The first value of a name, as in a query: a field of the payload, or else the label of that name; `field.x` and
    /// `label.x` say which, and `topic` is the topic.
    pub fn value(&self, name: &str) -> Option<Value<'a>> {
        let label = |name: &str| self.label(name).map(|value| Value::Whole(value.as_bytes()));
        if let Some(name) = name.strip_prefix("label.") {
            return label(name);
        }
        if name == "topic" {
            return label("_topic");
        }
        let (field, is_field) = name.strip_prefix("field.").map_or((name, false), |name| (name, true));
        let mut first = None;
        self.visit(field, |value| {
            first = Some(value);
            false
        });
        if is_field { first } else { first.or_else(|| label(name)) }
    }
}

/// What a plugin says of itself for its parameters. Words and literals are a necessary condition that the host tests
/// first, on whole segments: they must hold for every record that is kept or summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the contract, each for itself")]
pub struct Hints {
    /// At least one of each inner list occurs as a whole word: letters, digits, `_` and bytes from 0x80 up.
    pub words: Vec<Vec<String>>,
    /// At least one of each inner list occurs in the bytes.
    pub literals: Vec<Vec<Vec<u8>>>,
    /// It reads [`Record::time_unix_ns`].
    pub times: bool,
    /// It reads [`Record::labels`].
    pub streams: bool,
    /// It reads [`Record::id`].
    pub ids: bool,
    /// Rewrites: what becomes of a record depends on those before it.
    pub in_order: bool,
}

/// Keeps or drops records.
///
/// ```
/// use weir_plugin_sdk::{Failure, Filter, Info, Record, testing};
///
/// struct Short;
///
/// impl Filter for Short {
///     type Params = weir_plugin_sdk::NoParams;
///     fn info() -> Info {
///         Info::new("short", "1.0.0", "Keeps short lines.")
///     }
///     fn open(_: Self::Params) -> Result<Self, Failure> {
///         Ok(Short)
///     }
///     fn keep(&mut self, record: Record<'_>) -> bool {
///         record.payload.len() < 5
///     }
/// }
///
/// let kept = testing::filter::<Short>("{}", &["a", "a long one"]).unwrap();
/// assert_eq!(kept, ["a"]);
/// ```
pub trait Filter: Sized + 'static {
    /// Parameters, with `#[serde(deny_unknown_fields)]`; [`NoParams`] for none.
    type Params: DeserializeOwned;

    /// Who the plugin is, and the schema of its parameters.
    fn info() -> Info;

    /// Starts with the parameters of a query.
    ///
    /// # Errors
    /// [`Failure::bad_config`] for parameters that cannot work.
    fn open(params: Self::Params) -> Result<Self, Failure>;

    /// What it reads, and what a record must have to be kept.
    fn hints(&self) -> Hints {
        Hints::default()
    }

    /// Whether a record is kept. Must not depend on the records before.
    fn keep(&mut self, record: Record<'_>) -> bool;
}

/// Changes records, or drops them.
pub trait Rewrite: Sized + 'static {
    /// See [`Filter::Params`].
    type Params: DeserializeOwned;

    /// See [`Filter::info`].
    fn info() -> Info;

    /// See [`Filter::open`].
    ///
    /// # Errors
    /// [`Failure::bad_config`] for parameters that cannot work.
    fn open(params: Self::Params) -> Result<Self, Failure>;

    /// What it reads, and what a record must have not to be dropped.
    fn hints(&self) -> Hints {
        Hints::default()
    }

    /// Appends what becomes of a record to `out`, or answers `false` to drop it. At most 1 MiB.
    fn rewrite(&mut self, record: Record<'_>, out: &mut Vec<u8>) -> bool;
}

/// Sums records up. [`update`](Aggregate::update) and [`partial`](Aggregate::partial) run beside the data, in as many
/// instances as there is work for; [`merge`](Aggregate::merge) and [`finish`](Aggregate::finish) on the node that was
/// asked. Merging must be associative and commutative: which records an instance gets is nobody's to know.
pub trait Aggregate: Sized + 'static {
    /// See [`Filter::Params`].
    type Params: DeserializeOwned;

    /// See [`Filter::info`].
    fn info() -> Info;

    /// See [`Filter::open`].
    ///
    /// # Errors
    /// [`Failure::bad_config`] for parameters that cannot work.
    fn open(params: Self::Params) -> Result<Self, Failure>;

    /// What it reads, and what a record must have to count.
    fn hints(&self) -> Hints {
        Hints::default()
    }

    /// Takes a record into the state.
    ///
    /// # Errors
    /// When the state would grow beyond its bounds: the query fails with that.
    fn update(&mut self, record: Record<'_>) -> Result<(), Failure>;

    /// The state so far, at most 16 MiB, and start over.
    ///
    /// # Errors
    /// When it is larger than that.
    fn partial(&mut self) -> Result<Vec<u8>, Failure>;

    /// Takes the state of another instance into this one.
    ///
    /// # Errors
    /// When it is no state, or grows beyond its bounds.
    fn merge(&mut self, partial: &[u8]) -> Result<(), Failure>;

    /// The answer, in the order to show it.
    ///
    /// # Errors
    /// When it is larger than a batch.
    fn finish(self) -> Result<Answer, Failure>;
}

/// Parameters of a plugin that takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The answer of an aggregate: JSON objects, one member per column, unless lines are what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub(crate) arena: Vec<u8>,
    pub(crate) ends: Vec<u32>,
    pub(crate) times: Vec<u64>,
}

impl Answer {
    /// No rows.
    pub fn new() -> Answer {
        Answer::default()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it is longer than a record may be, or the answer longer than a batch.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.push_at(0, payload)
    }

    /// Adds a row with a time, in Unix nanoseconds; 0 for none.
    ///
    /// # Errors
    /// As [`Answer::push`].
    pub fn push_at(&mut self, time_unix_ns: u64, payload: &[u8]) -> Result<(), Failure> {
        if payload.len() > RECORD_BYTES_MAX || self.arena.len() + payload.len() > BATCH_BYTES_MAX {
            return Err(Failure::fatal(
                "answer.too-large",
                format_args!("the answer has more than {BATCH_BYTES_MAX} bytes; ask for fewer groups"),
            ));
        }
        self.arena.extend_from_slice(payload);
        self.ends.push(self.arena.len() as u32);
        self.times.push(time_unix_ns);
        Ok(())
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| *end as usize));
        starts.zip(&self.ends).map(|(from, end)| &self.arena[from..*end as usize])
    }
}
