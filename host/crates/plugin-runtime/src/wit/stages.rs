//! The worlds of plugins that run in queries: their exports as calls that block, for they wait for nothing.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]

pub(crate) mod filter {
    wasmtime::component::bindgen!({
        path: "../../../plugin-sdk/wit/v1",
        world: "filter-plugin",
        with: {
            "weir:plugin/types": crate::wit::v1::weir::plugin::types,
            "weir:plugin/log": crate::wit::v1::weir::plugin::log,
        },
    });
}

pub(crate) mod rewrite {
    wasmtime::component::bindgen!({
        path: "../../../plugin-sdk/wit/v1",
        world: "rewrite-plugin",
        with: {
            "weir:plugin/types": crate::wit::v1::weir::plugin::types,
            "weir:plugin/log": crate::wit::v1::weir::plugin::log,
        },
    });
}

pub(crate) mod aggregate {
    wasmtime::component::bindgen!({
        path: "../../../plugin-sdk/wit/v1",
        world: "aggregate-plugin",
        with: {
            "weir:plugin/types": crate::wit::v1::weir::plugin::types,
            "weir:plugin/log": crate::wit::v1::weir::plugin::log,
        },
    });
}
