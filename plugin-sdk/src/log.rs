//! Lines for the operator. The host adds the names of source and plugin, cuts a line at 4 KiB, and drops
//! (and counts) what comes faster than 50 lines a second.

use std::fmt;

use crate::sys;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever looks into a problem.
    Debug,
    /// Worth knowing in normal operation.
    Info,
    /// Something is wrong and the plugin goes on.
    Warn,
    /// Something is lost or the plugin stops.
    Error,
}

/// Whether a line of this level would go anywhere.
pub fn enabled(level: Level) -> bool {
    sys::log_enabled(level)
}

/// Writes one line; the macros of this module are the shorter way.
pub fn write(level: Level, message: fmt::Arguments<'_>, fields: &[(&str, &str)]) {
    if enabled(level) {
        sys::log_write(level, &message.to_string(), fields);
    }
}

/// `trace!`, `debug!`, … with fields after a semicolon: `warn!("file is away"; "path" => &path)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $format:literal $(, $arg:expr)* $(; $($name:expr => $value:expr),+)? $(,)?) => {
        $crate::log::write($crate::log::Level::$level, format_args!($format $(, $arg)*), &[$($(($name, $value)),+)?])
    };
}

macro_rules! levels {
    ($d:tt $($(#[$doc:meta])* $name:ident $hidden:ident $level:ident;)*) => {
        $(
            $(#[$doc])*
            #[macro_export]
            #[doc(hidden)]
            macro_rules! $hidden { ($d($d rest:tt)*) => { $crate::__log!($level, $d($d rest)*) }; }
            #[doc(inline)]
            pub use $hidden as $name;
        )*
    };
}

levels! { $
    /// Writes a line of [`Level::Trace`].
    trace __trace Trace;
    /// Writes a line of [`Level::Debug`].
    debug __debug Debug;
    /// Writes a line of [`Level::Info`]: `info!("opened {n} files"; "grant" => "logs")`.
    info __info Info;
    /// Writes a line of [`Level::Warn`].
    warn __warn Warn;
    /// Writes a line of [`Level::Error`].
    error __error Error;
}
