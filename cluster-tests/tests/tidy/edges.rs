//! Which crate may know which.

use std::collections::BTreeSet;

use anyhow::Result;
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use super::tree::Tree;

/// The crates of ours that each crate may depend on. An arrow is for ever: what is below can be
/// tested, simulated and fuzzed without what is above.
const EDGES: [(&str, &[&str]); 16] = [
    ("weir", &["weir-node", "weir-api", "weir-export", "weir-plugin-tool", "weir-segment"]),
    ("weir-plugin-tool", &["weir-plugin-runtime", "weir-query", "weir-record"]),
    ("weir-export", &["weir-api", "weir-query", "weir-segment", "weir-storage", "weir-record"]),
    (
        "weir-node",
        &[
            "weir-api",
            "weir-amqp",
            "weir-engine",
            "weir-storage",
            "weir-plugin-runtime",
            "weir-membership",
            "weir-replication",
            "weir-segment",
            "weir-query",
            "weir-record",
        ],
    ),
    ("weir-api", &["weir-query", "weir-replication", "weir-segment", "weir-record"]),
    ("weir-engine", &["weir-query", "weir-segment", "weir-storage", "weir-record"]),
    ("weir-storage", &["weir-segment", "weir-replication", "weir-record"]),
    ("weir-replication", &["weir-segment", "weir-record"]),
    ("weir-membership", &["weir-record"]),
    ("weir-segment", &["weir-record"]),
    ("weir-amqp", &["weir-plugin-runtime", "weir-record"]),
    ("weir-plugin-runtime", &["weir-record"]),
    ("weir-query", &["weir-fields", "weir-record"]),
    ("weir-record", &[]),
    ("weir-fields", &[]),
    // What a field is, is said once.
    ("weir-plugin-sdk", &["weir-fields"]),
];

/// Plugins meet the host at the WIT alone.
const PLUGIN_EDGES: &[&str] = &["weir-plugin-sdk"];

/// Tools and tests of the whole: anything.
const FREE: [&str; 2] = ["weir-cluster-tests", "xtask"];

/// Libraries that shape everything they touch, and the crates that may know them.
const LIBRARIES: [(&str, &[&str]); 15] = [
    ("wasmtime", &["weir-plugin-runtime"]),
    ("lapin", &["weir-amqp"]),
    ("foca", &["weir-membership"]),
    ("chacha20poly1305", &["weir-membership"]),
    ("axum", &["weir-api"]),
    ("hyper", &["weir-api"]),
    ("hyper-util", &["weir-api"]),
    ("http-body-util", &["weir-api"]),
    ("tokio-rustls", &["weir-api"]),
    ("rustls-native-certs", &["weir-node"]),
    ("wit-bindgen", &["weir-plugin-sdk"]),
    ("parquet", &["weir-export"]),
    ("clap", &["weir"]),
    ("tokio", &["weir", "weir-node", "weir-api", "weir-amqp", "weir-plugin-runtime"]),
    ("anyhow", &["weir"]),
];

/// The packages of the workspace, without resolving anything.
pub(crate) fn packages(tree: &Tree) -> Result<Vec<Package>> {
    let mut command = MetadataCommand::new();
    command.manifest_path(tree.root.join("Cargo.toml")).no_deps();
    Ok(command.exec()?.packages)
}

/// Edges between our crates that the table does not have.
pub(crate) fn between_crates(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| !FREE.contains(&package.name.as_str())) {
        let name = package.name.as_str();
        let Some(allowed) = allowed(package) else {
            problems.push(format!(
                "{}: the crate {name} has no place in the order of crates.\n  \
                 Add its line to EDGES in cluster-tests/tests/tidy/edges.rs and to docs/ARCHITECTURE.md.",
                package.manifest_path
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let to = dependency.name.as_str();
            let fits = match dependency.kind {
                // Tests may look at anything that does not look back.
                DependencyKind::Development => !below(to).contains(name),
                _ => allowed.contains(&to),
            };
            if !fits {
                problems.push(format!(
                    "{}: {name} may not depend on {to}.\n  \
                     The order of crates lets the lower ones be built, tested and simulated without the \
                     upper ones.\n  \
                     Move the code down, or pass a trait in from above. A new edge needs a record in \
                     docs/decisions/ and its line in cluster-tests/tests/tidy/edges.rs.",
                    package.manifest_path
                ));
            }
        }
    }
    problems
}

/// Crates that name a library which is another's to know.
pub(crate) fn to_libraries(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| !FREE.contains(&package.name.as_str())) {
        for dependency in &package.dependencies {
            let owners = LIBRARIES.iter().find(|(library, _)| *library == dependency.name);
            let Some((library, owners)) = owners else { continue };
            let in_tests = *library == "anyhow" && dependency.kind == DependencyKind::Development;
            if !owners.contains(&package.name.as_str()) && !in_tests {
                problems.push(format!(
                    "{}: {} may not know {library}.\n  \
                     Only {} does: it can be replaced there, and the other crates stay quick to build and \
                     to test.\n  \
                     Ask that crate for what you need instead.",
                    package.manifest_path,
                    package.name,
                    owners.join(", ")
                ));
            }
        }
    }
    problems
}

fn allowed(package: &Package) -> Option<&'static [&'static str]> {
    let row = EDGES.iter().find(|(name, _)| *name == package.name.as_str());
    let plugin = package.manifest_path.components().any(|part| part.as_str() == "plugins");
    row.map(|(_, allowed)| *allowed).or_else(|| plugin.then_some(PLUGIN_EDGES))
}

/// The crate and everything that it may reach.
fn below(name: &str) -> BTreeSet<&str> {
    let mut reached = BTreeSet::from([name]);
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let row = EDGES.iter().find(|(from, _)| *from == name);
        for to in row.map_or(&[][..], |(_, allowed)| *allowed) {
            if reached.insert(to) {
                open.push(to);
            }
        }
    }
    reached
}

#[test]
fn the_table_of_edges_has_no_circle_and_no_unknown_name() {
    for (name, allowed) in EDGES {
        for to in allowed {
            assert!(EDGES.iter().any(|(known, _)| known == to), "{name} → {to}: unknown");
            assert!(!below(to).contains(name), "{name} → {to} leads back");
        }
    }
}
