//! Who may do what: bearer tokens with scopes and topics.
//!
//! A token is a secret of 256 random bits. The node has its SHA-256 alone, in a [`Token`] beside what the secret is
//! good for; a request shows the secret in `Authorization: Bearer …`, nowhere else. [`Gate`] decides: it is asked once
//! for each request, before the body is read, and gives a [`Caller`], which restricts what is read to its topics and
//! ends what is under way when the token is taken back or expires.
//!
//! What it must not do: open a file, look at the clock, draw random bits. No error and no log of it holds a secret.

mod caller;
mod gate;
mod pace;
mod scope;
mod secret;
mod tokens;
mod topics;

pub use caller::Caller;
pub use gate::{Gate, GateOptions};
pub use scope::{NotAScope, Scope};
pub use secret::{NotASecret, Secret};
pub use tokens::{Token, TokenChanges};
pub use topics::{Topics, TopicsError};
