//! Load on whole clusters: batches are written and questions asked without end, and every answer is held against what
//! was acknowledged before the question.

pub(crate) mod asker;
pub(crate) mod oracle;
pub(crate) mod traffic;
pub(crate) mod worker;
pub(crate) mod writer;
