//! What wit-bindgen makes of `wit/v1`. Nobody but `sys::wasm` and `adapter` uses it by hand.

wit_bindgen::generate!({
    path: "wit/v1",
    world: "source-plugin",
    pub_export_macro: true,
    export_macro_name: "export_source_plugin",
    default_bindings_module: "weir_plugin_sdk::bindings",
});
