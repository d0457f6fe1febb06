//! The store against a simulated disk.

mod accept;
mod compact;
mod corpus;
mod damage;
mod expire;
mod open;
