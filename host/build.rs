//! Finds the standard plugins that become part of the binary.

use std::path::PathBuf;

/// Each is embedded by `src/embedded.rs` under its name.
const PLUGINS: [&str; 13] = [
    "amqp-source",
    "count",
    "dedup",
    "fields",
    "file-source",
    "grep",
    "patterns",
    "redact",
    "sample",
    "stats",
    "stdin-source",
    "top",
    "where",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=WEIR_PLUGINS");
    let dir = std::env::var_os("WEIR_PLUGINS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/plugins"), PathBuf::from);
    // `include_bytes!` takes relative paths from the source file.
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    let mut missing = Vec::new();
    for name in PLUGINS {
        let file = dir.join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", file.display());
        if file.is_file() {
            let variable = format!("WEIR_PLUGIN_{}", name.replace('-', "_").to_uppercase());
            println!("cargo::rustc-env={variable}={}", file.display());
        } else {
            missing.push(name);
        }
    }
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        println!("cargo::error={missing} not found in {}: run `cargo xtask plugins` first", dir.display());
    }
}
