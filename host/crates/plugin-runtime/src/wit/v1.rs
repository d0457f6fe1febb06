//! `weir:plugin` 0.1 as Rust: what a source exports and what the host answers to it.
//!
//! Only imports that may wait are `async`; the others are answered on the plugin's own stack.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../../plugin-sdk/wit/v1",
    world: "source-plugin",
    imports: {
        "weir:plugin/timing.sleep-ms": async,
        "weir:plugin/files": async | trappable,
        "weir:plugin/stdin": async,
        "weir:plugin/receipts": trappable,
        "weir:plugin/amqp.[method]consumer.receive": async | trappable,
        "weir:plugin/amqp": trappable,
    },
    exports: { default: async },
    with: {
        "weir:plugin/receipts.receipt": crate::capability::receipts::Receipt,
        "weir:plugin/amqp.consumer": crate::capability::amqp::Consumer,
        "weir:plugin/files.file": crate::capability::files::OpenFile,
    },
});
