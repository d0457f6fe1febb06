//! Living plugins. Today sources; the kinds of plugins that run in queries come beside them.

pub(crate) mod busy;
pub(crate) mod source;
pub(crate) mod state;
