//! What nodes say to each other under `/api/v1/node/`: short things in JSON, long ones in [frames](frame).

#[cfg(test)]
mod arbitrary;
mod around;
mod counts;
mod end;
pub mod frame;
mod handover;
mod hashes;
mod info;
mod moving;
pub(crate) mod part;
mod plan;
pub mod rows;
pub mod search;
mod tail;
pub(crate) mod text;

pub use counts::Counts;
pub use end::SearchEnd;
pub use handover::{
    ChangesRequest, ConfirmAnswer, ConfirmRequest, Confirmation, Confirmed, FailedRequest, Kept,
    NamesRequest, OriginRequest,
};
pub use hashes::HashedRows;
pub use info::{NodeInfo, PROTOCOL, Role};
pub use moving::{CountedOn, HoldsAnswer, HoldsRequest, Job, JobRequest};
pub use part::{Failure, Part, PartError, SearchPart};
pub use plan::{LogStart, PlanAnswer, PlanRequest, ReleaseRequest};
pub use search::{
    Buckets, Origins, SearchCodecError, SearchMode, SearchRequest, SnapshotToken, StageSpec, Syntax,
    UnitOrigins,
};
pub use tail::{Gap, TailEvent, TailRequest};
