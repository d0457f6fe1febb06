//! The trait of sources and what its calls take and give.

use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::failure::Failure;
use crate::receipts::Receipt;

/// A source of records. The host drives it: `open`, `poll` again and again, `close`; calls never overlap.
///
/// State lives in `self`; what must outlive the instance goes into the cursor.
pub trait Source: Sized + 'static {
    /// The plugin's own settings, the `config = { … }` of the operator's file. Give every optional field
    /// a default and say `#[serde(deny_unknown_fields)]`: a key that does nothing is an error.
    type Config: DeserializeOwned;

    /// Who the plugin is, what it takes and what it needs. Must be pure: it runs in a throw-away instance
    /// in which everything but the log is denied.
    fn info() -> Info;

    /// Starts, or goes on behind `cursor`: the bytes that a former instance, perhaps of a former release,
    /// handed over last. `None` on the first start.
    ///
    /// # Errors
    /// [`Failure::bad_config`] for settings that cannot work, [`Failure::retry`] for what may pass.
    fn open(config: Self::Config, cursor: Option<&[u8]>) -> Result<Self, Failure>;

    /// Brings records, within `budget`. Waits in an import (`files::changed`, `stdin::read`,
    /// `timing::sleep_ms`), never by spinning.
    ///
    /// # Errors
    /// The verdict says what the host does next. Records are never handed over with an error, so return
    /// what you have first and fail in the next call.
    fn poll(&mut self, budget: Budget) -> Result<Polled, Failure>;

    /// The last call, on shutdown, on reload and after [`Polled::Finished`]. What it returns is stored.
    fn close(&mut self) -> Option<Taken> {
        None
    }
}

/// What one poll may bring. The host refuses more; [`batch::Builder`](crate::batch::Builder) keeps to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Records, at least 1.
    pub records: usize,
    /// Payload bytes, at least 1 MiB: any record fits an empty batch.
    pub bytes: usize,
    /// Return by then even with nothing; at most 1,000.
    pub wait_ms: u32,
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// Records, or a cursor to be stored by itself.
    Records(Taken),
    /// Nothing. Poll again, at the latest after this long; 0 when the plugin has waited already.
    Idle {
        /// The wait.
        wait_ms: u32,
    },
    /// There will never be more. `close` is called next.
    Finished,
}

/// Records on their way to the host.
#[derive(Debug, Default)]
pub struct Taken {
    /// The records; may be empty when there is a cursor to store.
    pub batch: Batch,
    /// Where to go on after these records, stored with them in one commit. At most 64 KiB; its first byte
    /// should be a version ([`cursor::Writer`](crate::cursor::Writer)). `None`: unchanged.
    pub cursor: Option<Vec<u8>>,
    /// Acknowledged by the host once the records are durable.
    pub receipts: Vec<Receipt>,
    /// They may have been handed over before, by this instance or another (AMQP: redelivered). Those without a
    /// key get the label `_repeat=maybe`.
    pub repeated: bool,
    /// More is ready: poll again at once.
    pub more: bool,
}

/// Who a plugin is, as `weir plugin inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// As the config names it: `plugin = "counter-source"`.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of [`Source::Config`], empty when there are no settings. The host checks the operator's
    /// settings against it and fills in each `default` before `open`.
    pub config_schema: String,
    /// Capabilities to be granted.
    pub needs: Vec<Need>,
}

/// One capability a plugin wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// `amqp`, `files` or `stdin`.
    pub capability: String,
    /// The plugin's own name for it; empty for a capability that there is only one of.
    pub name: String,
    /// Half a sentence for the operator: `reads the log files`.
    pub reason: String,
    /// Without it the source does not start.
    pub required: bool,
}

impl Info {
    /// A plugin without settings and needs. Usually `Info::new(env!("CARGO_PKG_NAME"),
    /// env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))`.
    pub fn new(name: &str, version: &str, summary: &str) -> Info {
        Info {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            config_schema: String::new(),
            needs: Vec::new(),
        }
    }

    /// With the JSON Schema of its settings.
    #[must_use]
    pub fn config_schema(mut self, schema: &str) -> Info {
        self.config_schema = schema.into();
        self
    }

    /// With a capability that it cannot do without.
    #[must_use]
    pub fn needs(mut self, capability: &str, name: &str, reason: &str) -> Info {
        self.needs.push(Need {
            capability: capability.into(),
            name: name.into(),
            reason: reason.into(),
            required: true,
        });
        self
    }
}

/// Settings of a plugin, out of the JSON that the host hands over. Here so that the message is the same in
/// the guest and in tests.
pub(crate) fn parse_config<C: DeserializeOwned>(json: &str) -> Result<C, Failure> {
    serde_json::from_str(json).map_err(|error| {
        // The position is one in the host's JSON, which the operator never sees.
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        Failure::bad_config("config.invalid", format_args!("the plugin's config is wrong: {what}"))
    })
}
