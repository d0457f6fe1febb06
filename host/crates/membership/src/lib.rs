//! Who is there: gossip between the nodes of a cluster, as a state machine.
//!
//! [`Membership`] wraps foca (SWIM: probing, suspicion, rumours) and adds what it leaves out: datagrams are sealed with
//! the key of the cluster and taken once; every address that ought to be a member is asked again and again, for ever;
//! what nodes say of themselves goes around and is made good where it was lost; members that are away stay expected
//! until they leave cleanly or an operator forgets them.
//!
//! Nothing here knows a clock, a socket or a task, and chance comes from a seed: the node above passes in datagrams and
//! times, and carries out what comes back. Membership is a hint: it says whom to ask, and never what may be deleted.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod codec;
mod envelope;
mod identity;
mod membership;
mod memory;
mod notice;
mod rate;
mod record;
mod reject;
mod replay;
mod rounds;
mod spread;
mod swim;
mod view;

pub use envelope::Key;
pub use identity::Identity;
pub use membership::{Datagram, ForgetError, Membership, Now, Setup};
pub use memory::{Memory, MemoryError};
pub use notice::Notice;
pub use record::{About, Why};
pub use reject::Reason;
pub use view::{Gone, Member, State};
