//! The SDK of this version, as it is put into a project: a workspace of its own, in a folder that nobody edits.

use std::fmt::Write as _;

/// Files of the SDK, by their path in its folder.
pub(crate) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// The manifest of weir itself, from which the crates of the SDK inherit.
const ROOT: &str = include_str!("../../../../Cargo.toml");

/// The manifest over the crates of the SDK: what they inherit, and no more.
pub(crate) fn manifest() -> String {
    let mut text = String::from(
        "# The plugin SDK of weir, as it belongs to the `weir` that made this project. Another version: put its folder here.\n\
         [workspace]\nresolver = \"3\"\nmembers = [\"plugin-sdk\", \"fields\"]\n\n[workspace.package]\n",
    );
    let mut section = "";
    let mut dependencies = String::new();
    for line in ROOT.lines() {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let Some((name, _)) = line.split_once(" = ") else { continue };
        match section {
            "[workspace.package]" => {
                let _ = writeln!(text, "{line}");
            }
            "[workspace.dependencies]" if name == "weir-fields" => {
                dependencies.push_str("weir-fields = { path = \"fields\" }\n");
            }
            "[workspace.dependencies]" if is_inherited(name) => {
                let _ = writeln!(dependencies, "{line}");
            }
            _ => {}
        }
    }
    // Nobody mends the SDK here, so nobody is warned of it either.
    let _ = write!(
        text,
        "\n[workspace.dependencies]\n{dependencies}\n[workspace.lints.rust]\nwarnings = \"allow\"\n"
    );
    text
}

fn is_inherited(name: &str) -> bool {
    let line = format!("\n{name}.workspace = true");
    let mut manifests = FILES.iter().filter(|(path, _)| path.ends_with("/Cargo.toml"));
    manifests
        .any(|(_, text)| text.contains(&line) || text.contains(&format!("\n{name} = {{ workspace = true")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_crates_inherit_is_in_the_manifest_over_them() {
        let manifest = manifest();
        for (path, text) in FILES.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
            for line in text.lines().filter_map(|line| line.split_once(".workspace = true")) {
                assert!(manifest.contains(&format!("\n{} = ", line.0)), "{path}: {}", line.0);
            }
        }
        assert!(!manifest.contains("wasmtime") && manifest.contains("\nedition = \"2024\""), "{manifest}");
    }

    #[test]
    fn the_files_are_those_that_guests_are_compiled_from() {
        for path in [
            "plugin-sdk/Cargo.toml",
            "plugin-sdk/src/lib.rs",
            "plugin-sdk/README.md",
            "plugin-sdk/wit/v1/guest.wit",
            "fields/src/lib.rs",
        ] {
            assert!(FILES.iter().any(|(known, _)| *known == path), "{path}");
        }
    }
}
