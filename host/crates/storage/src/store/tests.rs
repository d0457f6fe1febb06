//! The store against a simulated disk.

mod accept;
mod compact;
mod corpus;
mod damage;
mod drop;
mod expire;
mod open;
