//! The standard plugins inside the binary.

use weir_node::EmbeddedPlugin;

/// All of them, sorted by name. `build.rs` says where they are.
pub(crate) const PLUGINS: [EmbeddedPlugin; 13] = [
    EmbeddedPlugin { name: "amqp-source", bytes: include_bytes!(env!("WEIR_PLUGIN_AMQP_SOURCE")) },
    EmbeddedPlugin { name: "count", bytes: include_bytes!(env!("WEIR_PLUGIN_COUNT")) },
    EmbeddedPlugin { name: "dedup", bytes: include_bytes!(env!("WEIR_PLUGIN_DEDUP")) },
    EmbeddedPlugin { name: "fields", bytes: include_bytes!(env!("WEIR_PLUGIN_FIELDS")) },
    EmbeddedPlugin { name: "file-source", bytes: include_bytes!(env!("WEIR_PLUGIN_FILE_SOURCE")) },
    EmbeddedPlugin { name: "grep", bytes: include_bytes!(env!("WEIR_PLUGIN_GREP")) },
    EmbeddedPlugin { name: "patterns", bytes: include_bytes!(env!("WEIR_PLUGIN_PATTERNS")) },
    EmbeddedPlugin { name: "redact", bytes: include_bytes!(env!("WEIR_PLUGIN_REDACT")) },
    EmbeddedPlugin { name: "sample", bytes: include_bytes!(env!("WEIR_PLUGIN_SAMPLE")) },
    EmbeddedPlugin { name: "stats", bytes: include_bytes!(env!("WEIR_PLUGIN_STATS")) },
    EmbeddedPlugin { name: "stdin-source", bytes: include_bytes!(env!("WEIR_PLUGIN_STDIN_SOURCE")) },
    EmbeddedPlugin { name: "top", bytes: include_bytes!(env!("WEIR_PLUGIN_TOP")) },
    EmbeddedPlugin { name: "where", bytes: include_bytes!(env!("WEIR_PLUGIN_WHERE")) },
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    PLUGINS.iter().map(|plugin| plugin.name).collect()
}
