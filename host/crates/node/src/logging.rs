//! The node's own log: lines on standard error, and in a topic of the node where that is wanted.
//!
//! What is wanted is said by `log.level`; `WEIR_LOG` wins over it, and may name modules as `RUST_LOG` does, which counts
//! where `WEIR_LOG` is not set.

mod fields;
mod kept;
mod lines;

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogConfig, LogFormat};

pub(crate) use kept::{Dropped, Kept, keep};
use lines::Lines;

/// The levels, loudest first, with the lines that were told of each.
static TOLD: [(tracing::Level, &str, AtomicU64); 5] = [
    (tracing::Level::ERROR, "error", AtomicU64::new(0)),
    (tracing::Level::WARN, "warn", AtomicU64::new(0)),
    (tracing::Level::INFO, "info", AtomicU64::new(0)),
    (tracing::Level::DEBUG, "debug", AtomicU64::new(0)),
    (tracing::Level::TRACE, "trace", AtomicU64::new(0)),
];

/// Lines that were told so far, by level.
pub(crate) fn told() -> impl Iterator<Item = (&'static str, u64)> {
    TOLD.iter().map(|(_, name, count)| (*name, count.load(Ordering::Relaxed)))
}

/// Starts the log of the process; a second call changes nothing. Gives the lines that are to be kept, if any are.
pub(crate) fn start(config: &LogConfig, usual_level: &'static str) -> Option<Kept> {
    let (filter, wrong) = filter(config.level.unwrap_or(usual_level));
    let (keeping, kept) = match &config.topic {
        Some(topic) => {
            let (layer, kept) = kept::channel(topic, config.format);
            (Some(layer), Some(kept))
        }
        None => (None, None),
    };
    let color =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(color);
    let lines = match config.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Logfmt | LogFormat::Json => lines.event_format(Lines(config.format)).boxed(),
    };
    let all = tracing_subscriber::registry().with(filter).with(Counting).with(lines).with(keeping);
    // Fails when a log is running already, which then goes on.
    let _ = all.try_init();
    if let Some(wrong) = wrong {
        tracing::warn!("{wrong}");
    }
    kept
}

/// The filter, and what is wrong with the variable that should have said it.
fn filter(level: &str) -> (EnvFilter, Option<String>) {
    let of = |name: &'static str| {
        let text = std::env::var(name).ok().filter(|text| !text.trim().is_empty())?;
        Some((name, text))
    };
    let Some((name, text)) = of("WEIR_LOG").or_else(|| of("RUST_LOG")) else {
        return (EnvFilter::new(level), None);
    };
    match EnvFilter::builder().parse(&text) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let wrong = format!(
                "{name}={text:?} is not heeded: {error}; write a level such as debug, or modules and levels such as info,weir_node=debug"
            );
            (EnvFilter::new(level), Some(wrong))
        }
    }
}

/// Counts lines by level.
struct Counting;

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = event.metadata().level();
        if let Some((_, _, count)) = TOLD.iter().find(|(other, _, _)| other == level) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
