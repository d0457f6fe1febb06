//! Bindings of the WIT package, one module per version. A released version is never edited.

pub(crate) mod v1;
