//! Forwarders and ingest nodes as real processes: killed, cut off, filled up, with wrong clocks. What a
//! forwarder took is found, each line once.

mod clock;
mod keys;
mod kills;
mod spool;
mod world;
