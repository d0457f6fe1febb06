//! What the commands that ask a node share.

use std::path::PathBuf;

use clap::Args;
use weir_api::access::Secret;
use weir_api::client::{Client, ClientError, ClientOptions};
use weir_node::tokens::read_secret;

use crate::cli::exit::Failure;

/// Where a secret comes from that no file holds.
const TOKEN_VARIABLE: &str = "WEIR_TOKEN";

/// What is shown to a node that asks for it.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// File with the token to show, where nodes ask for one; else WEIR_TOKEN counts
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Refused: whoever is on the machine would see it. Not shown in the help, and in no error
    #[arg(long, hide = true, value_name = "SECRET")]
    token: Option<String>,
}

impl TokenArgs {
    /// Refuses a secret in the command line.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.token.is_none() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "--token: whoever is on this machine sees the arguments of its processes; write the token to a file and \
             name that with --token-file, or set {TOKEN_VARIABLE}. Have this one taken back"
        )))
    }

    /// The secret in the environment, if nothing is named.
    pub(crate) fn of_environment(&self) -> Option<String> {
        let secret = std::env::var(TOKEN_VARIABLE).ok().filter(|text| !text.is_empty());
        secret.filter(|_| self.token_file.is_none())
    }

    fn secret(&self) -> Result<Option<Secret>, Failure> {
        self.check()?;
        if let Some(path) = &self.token_file {
            return read_secret(path)
                .map(Some)
                .map_err(|why| Failure::failed(format!("--token-file: {why}")));
        }
        let parsed = self.of_environment().map(|text| text.parse::<Secret>()).transpose();
        parsed.map_err(|error| Failure::failed(format!("{TOKEN_VARIABLE}: {error}")))
    }

    fn client(&self, url: &str) -> Result<Client, Failure> {
        let client = Client::new(url, ClientOptions::default())
            .map_err(|error| Failure::usage(format!("--node: {error}")))?;
        Ok(match self.secret()? {
            Some(secret) => client.with_token(&secret),
            None => client,
        })
    }
}

/// Which node to ask.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7650")]
    node: String,
    #[command(flatten)]
    token: TokenArgs,
}

impl NodeArgs {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.token.client(&self.node)
    }
}

/// Which nodes to ask, one after the other.
#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// A node to ask. May be repeated: the next one is asked when one is lost
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7650")]
    node: Vec<String>,
    #[command(flatten)]
    token: TokenArgs,
}

impl NodesArgs {
    /// At least one.
    pub(crate) fn clients(&self) -> Result<Vec<Client>, Failure> {
        self.node.iter().map(|node| self.token.client(node)).collect()
    }
}

/// Runs one conversation with a node to its end, on this thread; one more listens for Ctrl-C.
pub(crate) fn block_on<T>(conversation: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("start the client: {error}")))?
        .block_on(conversation)
}

/// A request without success. What the node calls a bad request was typed here.
pub(crate) fn failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Refused { status: 400, error, .. } => {
            let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            Failure::usage(format!("{}{hint}", error.message))
        }
        other => Failure::failed(other.to_string()),
    }
}
