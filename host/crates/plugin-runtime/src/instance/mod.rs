//! Living plugins: sources, and the stages of queries.

pub(crate) mod busy;
pub(crate) mod source;
pub(crate) mod stage;
pub(crate) mod state;
