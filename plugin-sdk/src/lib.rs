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
mod stage;
#[cfg(target_family = "wasm")]
mod stage_adapter;
mod sys;

pub mod amqp;
pub mod batch;
pub mod cursor;
pub mod files;
pub mod group;
pub mod limits;
pub mod lines;
pub mod log;
pub mod mask;
pub mod metrics;
pub mod receipts;
pub mod stdin;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod time;
pub mod timing;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use adapter::Adapter;
pub use failure::{Failure, Verdict};
/// For `#[derive(Deserialize)]` with `#[serde(crate = "weir_plugin_sdk::serde")]` on settings.
pub use serde;
pub use source::{Budget, Info, Need, Polled, Source, Taken};
pub use stage::{Aggregate, Answer, Filter, Hints, NoParams, Record, Rewrite};
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use stage_adapter::{AggregateAdapter, FilterAdapter, RewriteAdapter};
/// Fields of payloads, read as queries read them.
pub use weir_fields as fields;

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
            type WeirExported = $crate::Adapter<$source>;
    $crate::bindings::about::export_about_part!(WeirExported with_types_in $crate::bindings::about);
    $crate::bindings::export_source_part!(WeirExported with_types_in $crate::bindings);
        };
    };
}

/// Makes a crate a filter: `export_filter!(MyFilter);`, once, beside the type that implements [`Filter`]. Elsewhere than in wasm
/// it only checks that the type does, so that tests run natively.
#[macro_export]
macro_rules! export_filter {
    ($plugin:ty) => {
        const _: () = {
            const fn is_a_filter<T: $crate::Filter>() {}
            is_a_filter::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type WeirExported = $crate::FilterAdapter<$plugin>;
            $crate::bindings::about::export_about_part!(WeirExported with_types_in $crate::bindings::about);
            $crate::bindings::filter::export_filter_part!(WeirExported with_types_in $crate::bindings::filter);
        };
    };
}

/// Makes a crate a rewrite: `export_rewrite!(MyRewrite);`, once, beside the type that implements [`Rewrite`]. Elsewhere than in wasm
/// it only checks that the type does, so that tests run natively.
#[macro_export]
macro_rules! export_rewrite {
    ($plugin:ty) => {
        const _: () = {
            const fn is_a_rewrite<T: $crate::Rewrite>() {}
            is_a_rewrite::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type WeirExported = $crate::RewriteAdapter<$plugin>;
            $crate::bindings::about::export_about_part!(WeirExported with_types_in $crate::bindings::about);
            $crate::bindings::rewrite::export_rewrite_part!(WeirExported with_types_in $crate::bindings::rewrite);
        };
    };
}

/// Makes a crate an aggregate: `export_aggregate!(MyAggregate);`, once, beside the type that implements [`Aggregate`]. Elsewhere than in wasm
/// it only checks that the type does, so that tests run natively.
#[macro_export]
macro_rules! export_aggregate {
    ($plugin:ty) => {
        const _: () = {
            const fn is_an_aggregate<T: $crate::Aggregate>() {}
            is_an_aggregate::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            type WeirExported = $crate::AggregateAdapter<$plugin>;
            $crate::bindings::about::export_about_part!(WeirExported with_types_in $crate::bindings::about);
            $crate::bindings::aggregate::export_aggregate_part!(WeirExported with_types_in $crate::bindings::aggregate);
        };
    };
}
