//! The standard plugins inside the binary.

use weir_node::EmbeddedPlugin;

/// All of them, sorted by name. `build.rs` says where they are.
pub(crate) const PLUGINS: [EmbeddedPlugin; 2] = [
    EmbeddedPlugin { name: "file-source", bytes: include_bytes!(env!("WEIR_PLUGIN_FILE_SOURCE")) },
    EmbeddedPlugin { name: "stdin-source", bytes: include_bytes!(env!("WEIR_PLUGIN_STDIN_SOURCE")) },
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    PLUGINS.iter().map(|plugin| plugin.name).collect()
}
