//! Finds the files of the SDK that become part of the tool, so that a project needs no checkout of weir.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What guests are made of: its name in a project, and where it lies from here.
const CRATES: [(&str, &str); 2] = [("plugin-sdk", "../../../plugin-sdk"), ("fields", "../fields")];
/// What of a crate is needed to compile it.
const PARTS: [&str; 4] = ["Cargo.toml", "README.md", "src", "wit"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    for (name, dir) in CRATES {
        for part in PARTS {
            let path = here.join(dir).join(part);
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
                collect(&path, &format!("{name}/{part}"), &mut files);
            }
        }
    }
    files.sort();
    let mut code = String::from("&[\n");
    for (name, path) in &files {
        let _ = writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string());
    }
    code.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("sdk_files.rs");
    if let Err(error) = std::fs::write(&out, code) {
        println!("cargo::error=write {}: {error}", out.display());
    }
}

fn collect(path: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    if path.is_file() {
        files.push((name.to_owned(), path.to_path_buf()));
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        collect(&entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()), files);
    }
}
