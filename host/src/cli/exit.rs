//! How the process ends: exit codes, and errors as people read them.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use crate::cli::terminal::{Color, paint};

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok = 0,
    /// It failed while running.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// The answer is right as far as it goes, and known to lack records.
    Incomplete = 3,
    /// The configuration is wrong, or asks for what this version cannot do.
    Config = 78,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked. Told on standard error as `weir: <what>: <why>; <what to do>`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Without the name of the program.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Failed, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn config(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Config, message: message.into() }
    }

    /// Says it on standard error.
    pub(crate) fn tell(&self, color: Color) {
        let colored = color.applies_to(std::io::stderr().is_terminal());
        eprintln!("{} {}", paint("weir:", "1;31", colored), self.message);
    }
}

/// A problem that does not end the command.
pub(crate) fn warn(color: Color, message: &str) {
    let colored = color.applies_to(std::io::stderr().is_terminal());
    eprintln!("{} {message}", paint("weir: warning:", "1;33", colored));
}

/// What a write to standard output came to: a reader that has gone (`weir query … | head`) is not an error,
/// it wants no more.
pub(crate) fn wrote(result: std::io::Result<()>) -> Result<Wrote, Failure> {
    match result {
        Ok(()) => Ok(Wrote::All),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Wrote::ReaderGone),
        Err(error) => Err(Failure::failed(format!("write to standard output: {error}"))),
    }
}

/// See [`wrote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    All,
    ReaderGone,
}
