//! What the commands that ask a node share.

use clap::Args;
use weir_api::client::{Client, ClientError, ClientOptions};

use crate::cli::exit::Failure;

/// Which node to ask.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7650")]
    node: String,
}

impl NodeArgs {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.node, ClientOptions::default())
            .map_err(|error| Failure::usage(format!("--node: {error}")))
    }
}

/// Which nodes to ask, one after the other.
#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// A node to ask. May be repeated: the next one is asked when one is lost
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7650")]
    node: Vec<String>,
}

impl NodesArgs {
    /// At least one.
    pub(crate) fn clients(&self) -> Result<Vec<Client>, Failure> {
        let client = |node: &String| {
            Client::new(node, ClientOptions::default())
                .map_err(|error| Failure::usage(format!("--node: {error}")))
        };
        self.node.iter().map(client).collect()
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
