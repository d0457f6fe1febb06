//! Consumes queues of AMQP 0-9-1 brokers: the only crate that knows lapin.
//!
//! A [`Queue`] is what a grant gives: messages for whichever instance of a plugin asks, acknowledged when the host
//! says that they are stored, and connections that are made again for as long as it lives. What is decided about them
//! (what is acknowledged, how many may come, who is tried next, what comes again) is decided by state machines without
//! clock, socket or randomness: [`desk`], [`ledger`], [`window`], [`back_off`], [`suspects`]. The rest is lapin.
//!
//! Invariants: nothing is acknowledged before its receipt was; no message is dropped, a broker is only ever told to
//! forget what is stored or what an exchange for such messages has confirmed; a password is in no text.

mod back_off;
mod broker;
mod dead_letters;
mod desk;
mod ledger;
mod link;
mod message;
mod options;
mod queue;
mod suspects;
mod watch;
mod window;

pub use options::{
    Argument, Binding, DeadLetter, Declare, Names, Options, QueueType, Settings, StreamOffset, Tls, UriError,
    check_uri,
};
pub use queue::Queue;
pub use watch::{Count, Level, Reject, Watch};
