//! What authors of plugins have in hand, as a library: [`Project`] begins one, [`build`] makes a component of it,
//! [`check`] tries whether a node would take it and whether its answers hold, [`Cases`] compares them with files,
//! [`bench()`] tells what it costs, and [`Flow`] sends lines through it.
//!
//! Invariants: a component is loaded by the code of the node, so what passes here passes there; no plugin gets more
//! here than in a query; nothing is written but below the folder that was named.

mod bench;
mod build;
mod cases;
mod check;
mod error;
mod flow;
mod hinted;
mod native;
mod project;
mod records;
mod script;
mod sdk;
mod toolchain;
mod trial;

pub use bench::{Figures, Native, bench};
pub use build::build;
pub use cases::{Cases, Outcome, Tried};
pub use check::{Check, Point, Verdict, check};
pub use error::ToolError;
pub use flow::Flow;
pub use project::{Kind, Language, Project};
pub use records::Records;
pub use trial::{Line, Trial};
