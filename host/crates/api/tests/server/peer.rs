//! Nodes that ask each other, over real sockets.

mod admission;
mod answers;
mod cuts;
mod node;

use std::sync::Arc;

use weir_api::ServerOptions;
use weir_api::client::{ClientOptions, PeerClient};
use weir_api::tls::ClientTls;

use crate::backend::Node;
use crate::raw::{Running, run_node};
pub(crate) use node::PeerNode;
use node::{key, signer};

/// A server with a node that has peers and a key, and a client with the same key.
fn run_peer() -> (Running, Arc<PeerNode>, PeerClient) {
    run_with(Some(1))
}

/// The same without a key.
fn run_without_key() -> (Running, Arc<PeerNode>, PeerClient) {
    run_with(None)
}

fn run_with(key_byte: Option<u8>) -> (Running, Arc<PeerNode>, PeerClient) {
    let peer = PeerNode::new(key_byte.map(key));
    let server =
        run_node(Node::new(Some(peer.clone())), ([127, 0, 0, 1], 0).into(), ServerOptions::default());
    let client = client_of(&server, key_byte);
    (server, peer, client)
}

fn client_of(server: &Running, key_byte: Option<u8>) -> PeerClient {
    let url = format!("http://{}", server.address);
    PeerClient::new(&url, key_byte.map(signer), ClientOptions::of_peers(ClientTls::default())).unwrap()
}
