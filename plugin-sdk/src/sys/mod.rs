//! The seam between the SDK and what it runs on: the same functions over the host's imports in a guest, and
//! over the scripted world of [`testing`](crate::testing) elsewhere.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
#[cfg(target_family = "wasm")]
pub(crate) use wasm::*;
