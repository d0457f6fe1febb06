//! What the commands that ask a node share.

use clap::Args;
use weir_api::client::{Client, ClientError, ClientOptions};
use weir_api::tls::ClientTls;

use crate::cli::exit::Failure;
use crate::cli::tls::TlsArgs;

/// Which node to ask.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7650")]
    node: String,
    #[command(flatten)]
    tls: TlsArgs,
}

impl NodeArgs {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let tls = self.tls.client(std::iter::once(&self.node))?;
        client(&self.node, &tls)
    }
}

/// Which nodes to ask, one after the other.
#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// A node to ask. May be repeated: the next one is asked when one is lost
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7650")]
    node: Vec<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

impl NodesArgs {
    /// At least one.
    pub(crate) fn clients(&self) -> Result<Vec<Client>, Failure> {
        let tls = self.tls.client(self.node.iter())?;
        self.node.iter().map(|node| client(node, &tls)).collect()
    }
}

fn client(node: &str, tls: &ClientTls) -> Result<Client, Failure> {
    let options = ClientOptions { tls: tls.clone(), ..ClientOptions::default() };
    Client::new(node, options).map_err(|error| Failure::usage(format!("--node: {error}")))
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
