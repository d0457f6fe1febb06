//! HTTP in and out of a node. The only crate that knows HTTP.
//!
//! [`Server`] answers the routes of [`routes`] from a [`Backend`], which the node is; [`client::Client`]
//! asks them. [`wire`] holds what goes over the line, [`format`](mod@format) writes records.
//!
//! Who may do what is decided in one place, [`access`], for all routes and ports.
//!
//! What it must not do: open a file, run a query, decide what is durable. Everything that comes in is
//! hostile until a type says otherwise: heads, bodies, waits and connections have bounds, all of them in
//! [`weir_record::limits`].

#![forbid(unsafe_code)]

pub mod access;
mod auth;
pub mod backend;
pub mod client;
mod error;
pub mod format;
pub mod oklog;
mod params;
mod routes;
mod server;
pub mod wire;

/// Times as users write them.
pub use weir_query::time;

pub use auth::{ClusterKey, ClusterKeyError, GossipKey, Signer, Stamp};
pub use backend::Backend;
pub use error::{ApiError, ErrorBody, ErrorEnvelope, ErrorKind};
pub use routes::{Needs, guards, routes};
pub use server::{
    BindError, Connections, Drained, Held, Refusal, Server, ServerOptions, Tally, listen, pause_after,
};
