//! The real server on a real socket, with a node behind it that keeps its records in a list.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod backend;
mod client;
mod hostile;
mod ingest;
mod lifecycle;
mod oklog;
mod peer;
mod query;
mod raw;
mod table;
mod tail;
mod tls;
