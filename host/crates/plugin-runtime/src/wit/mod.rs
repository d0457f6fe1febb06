//! Bindings to the versions of the WIT package that this node speaks.

pub(crate) mod stages;
pub(crate) mod v1;
