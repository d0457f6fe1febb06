//! What nodes owe each other, as pure state machines: time and randomness are passed in.
//!
//! An ingest node seals origins and [`Offers`] them; stores follow what it announces ([`Holdings`] →
//! [`Changes`] → [`Mirror`]), decide by [`placement`] which origins are theirs ([`Puller`]), fetch, keep and
//! confirm. An origin is deleted where it was sealed after R stores have confirmed it; the [`Ledger`] says
//! which acknowledgements that sets free. Stores follow each other, too: copies that were lost are made again
//! ([`Repairer`]), and those that are too many go, never so that fewer than R are left ([`Dropper`]). A query is planned over mirrors ([`assign()`]), and [`Knowledge`]
//! says what it lacks ([`completeness`]).
//!
//! Nothing here knows a clock, a disk, a socket or a task: the node above feeds events in and carries out
//! what comes back. That is what lets `tests/` drive whole clusters through loss, repetition and restarts in
//! seconds.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod assign;
pub mod catalog;
pub mod changes;
pub mod completeness;
pub mod dropper;
pub mod error;
pub mod forms;
mod hash;
pub mod held;
pub mod holdings;
pub mod ledger;
pub mod mirror;
pub mod offers;
pub mod origin_set;
pub mod owed;
pub mod placement;
pub mod puller;
pub mod quiet;
pub mod ranges;
pub mod repair;
pub mod sets;

pub use assign::{Answering, Assignment, LogPart, Part, Read, Reading, Which, assign, assign_owed};
pub use catalog::{Catalog, UnitOrigins};
pub use changes::{Changes, Event, Place, Position, Step};
pub use completeness::{Contact, Knowledge, Missing, MissingRange, Who, Why};
pub use dropper::Dropper;
pub use error::WireError;
pub use forms::{named, settle, wanted, wanted_of};
pub use held::{Gone, Held, HeldError, NotAnOriginKey, OriginKey};
pub use holdings::Holdings;
pub use ledger::{Ledger, Ticket, Waiting};
pub use mirror::{Applied, ListSize, Mirror, MirrorError, QuietUnit};
pub use offers::{Claim, Completed, ConfirmError, Confirmation, Confirmed, Offers, Poison, Refused};
pub use origin_set::OriginSet;
pub use owed::Owed;
pub use placement::{StoreNode, keyed_partition, partition_of, partitions_for, rank};
pub use puller::{Confirm, Failure, Pull, Puller, Stuck, Work};
pub use quiet::{Quiet, SetDigest, Whole};
pub use ranges::TimeRange;
pub use repair::{Amount, Fetch, RepairState, Repairer, Surplus};
pub use sets::{Sets, Told};
