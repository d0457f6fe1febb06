//! What wit-bindgen makes of `wit/v1`. Nobody but `sys::wasm` and the adapters uses it by hand.
//!
//! The worlds of `wit/v1` all export `about`, and the macros of its exports would have one name several times. So each
//! world comes in two parts, `about` and the rest: a component has both, and is one of the world.

wit_bindgen::generate!({
    path: "wit/v1",
    inline: r#"
        package weir:sdk;
        world source-part {
            import weir:plugin/log@0.1.0;
            import weir:plugin/metrics@0.1.0;
            import weir:plugin/timing@0.1.0;
            import weir:plugin/receipts@0.1.0;
            import weir:plugin/amqp@0.1.0;
            import weir:plugin/files@0.1.0;
            import weir:plugin/stdin@0.1.0;
            export weir:plugin/source@0.1.0;
        }
    "#,
    world: "weir:sdk/source-part",
    pub_export_macro: true,
    export_macro_name: "export_source_part",
    default_bindings_module: "weir_plugin_sdk::bindings",
    generate_all,
});

pub mod about {
    wit_bindgen::generate!({
        path: "wit/v1",
        inline: "package weir:sdk; world about-part { export weir:plugin/about@0.1.0; }",
        world: "weir:sdk/about-part",
        pub_export_macro: true,
        export_macro_name: "export_about_part",
        default_bindings_module: "weir_plugin_sdk::bindings::about",
        generate_all,
        with: { "weir:plugin/types@0.1.0": crate::bindings::weir::plugin::types },
    });
}

pub mod filter {
    wit_bindgen::generate!({
        path: "wit/v1",
        inline: "package weir:sdk; world filter-part { export weir:plugin/filter@0.1.0; }",
        world: "weir:sdk/filter-part",
        pub_export_macro: true,
        export_macro_name: "export_filter_part",
        default_bindings_module: "weir_plugin_sdk::bindings::filter",
        generate_all,
        with: { "weir:plugin/types@0.1.0": crate::bindings::weir::plugin::types },
    });
}

pub mod rewrite {
    wit_bindgen::generate!({
        path: "wit/v1",
        inline: "package weir:sdk; world rewrite-part { export weir:plugin/rewrite@0.1.0; }",
        world: "weir:sdk/rewrite-part",
        pub_export_macro: true,
        export_macro_name: "export_rewrite_part",
        default_bindings_module: "weir_plugin_sdk::bindings::rewrite",
        generate_all,
        with: { "weir:plugin/types@0.1.0": crate::bindings::weir::plugin::types },
    });
}

pub mod aggregate {
    wit_bindgen::generate!({
        path: "wit/v1",
        inline: "package weir:sdk; world aggregate-part { export weir:plugin/aggregate@0.1.0; }",
        world: "weir:sdk/aggregate-part",
        pub_export_macro: true,
        export_macro_name: "export_aggregate_part",
        default_bindings_module: "weir_plugin_sdk::bindings::aggregate",
        generate_all,
        with: { "weir:plugin/types@0.1.0": crate::bindings::weir::plugin::types },
    });
}
