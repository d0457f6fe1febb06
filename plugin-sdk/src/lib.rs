#![doc = include_str!("../README.md")]
#![allow(clippy::test_attr_in_doctest, reason = "the README shows what the tests of a plugin look like")]

#[cfg(target_family = "wasm")]
mod adapter;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::pedantic)]
pub mod bindings;
mod failure;
mod source;
mod sys;

pub mod batch;
pub mod cursor;
pub mod files;
pub mod limits;
pub mod lines;
pub mod log;
pub mod metrics;
pub mod receipts;
pub mod stdin;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod timing;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use adapter::Adapter;
pub use failure::{Failure, Verdict};
/// For `#[derive(Deserialize)]` with `#[serde(crate = "weir_plugin_sdk::serde")]` on settings.
pub use serde;
pub use source::{Budget, Info, Need, Polled, Source, Taken};

/// Makes a crate a source plugin: `export_source!(MySource);`, once, beside the type that implements
/// [`Source`]. Elsewhere than in wasm it only checks that the type does, so that tests run natively.
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        const _: () = {
            const fn is_a_source<S: $crate::Source>() {}
            is_a_source::<$source>();
        };
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type Plugin = $crate::Adapter<$source>;
    $crate::bindings::export_source_plugin!(Plugin with_types_in $crate::bindings);
        };
    };
}
