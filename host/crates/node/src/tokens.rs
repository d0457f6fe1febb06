//! The file of tokens: read, checked like the configuration, written to; and the gate that is made of it.
//!
//! It holds hashes, so it tells nobody a secret. It is read at the start and on reload; one that is wrong changes
//! nothing.

mod entry;
mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_api::access::{Gate, GateOptions, Token, TokenChanges};

use crate::config::AuthConfig;
pub use entry::{draw_secret, entry_of};
pub use file::{FileOfTokens, is_name, read_secret, read_tokens};

/// The tokens of a process that asks for some.
pub(crate) struct Tokens {
    path: PathBuf,
    gate: Arc<Gate>,
}

impl Tokens {
    /// Those of the configuration; `None` where nobody is asked for one. The error has a line for all that is wrong.
    pub(crate) fn open(config: Option<&AuthConfig>) -> Result<Option<Tokens>, Vec<String>> {
        let Some(config) = config else { return Ok(None) };
        let AuthConfig { tokens_file: path, requests_per_s, queries_max } = config;
        let options = GateOptions { requests_per_s: *requests_per_s, queries_max: *queries_max };
        let tokens = read(path)?;
        tracing::info!(tokens = tokens.len(), file = %path.display(), "requests must show a token");
        Ok(Some(Tokens { path: path.clone(), gate: Arc::new(Gate::new(tokens, options)) }))
    }

    /// What lets requests in.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Reads the file again, and changes nothing.
    pub(crate) fn reread(&self) -> Result<Vec<Token>, Vec<String>> {
        read(&self.path)
    }

    /// Puts what was read in force.
    pub(crate) fn replace(&self, tokens: Vec<Token>) -> TokenChanges {
        self.gate.replace(tokens)
    }
}

fn read(path: &Path) -> Result<Vec<Token>, Vec<String>> {
    let FileOfTokens { tokens, problems } = read_tokens(path).map_err(|why| vec![why])?;
    if problems.is_empty() { Ok(tokens) } else { Err(problems) }
}
