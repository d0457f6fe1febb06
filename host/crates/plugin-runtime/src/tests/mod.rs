//! Plugins written by hand in WebAssembly text, one for each way to misbehave.

mod evil;
mod guest;
mod hostile;
mod load;
mod source;
mod stage;
