//! Crate → core module for wasm → component.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::ToolError;
use crate::script;
use crate::toolchain::{TARGET, Toolchain};

/// The cargo profile of plugins.
const PROFILE: &str = "guest";

/// What is in it: small, and a panic is a trap. Said here and not in a manifest, so that a crate needs to say nothing.
const PROFILE_SETTINGS: [&str; 7] = [
    "profile.guest.inherits='release'",
    "profile.guest.opt-level=3",
    "profile.guest.lto=true",
    "profile.guest.codegen-units=1",
    "profile.guest.panic='abort'",
    "profile.guest.debug=false",
    "profile.guest.strip='debuginfo'",
];

/// A package as cargo tells of it.
struct Package {
    name: String,
    /// Name of its library, as files have it.
    library: String,
    target_dir: PathBuf,
}

/// Builds the project in a folder: that of a `Cargo.toml`, a `package.json` or a `pyproject.toml`. The component lies in `target/weir/<name>.wasm` below it. What cargo has to say goes to
/// standard error.
pub fn build(dir: &Path) -> Result<PathBuf, ToolError> {
    let dir = dir.canonicalize().map_err(ToolError::file("find", dir))?;
    let has = |manifest: &str| dir.join(manifest).is_file();
    if has("Cargo.toml") {
        rust(&dir)
    } else if has("package.json") {
        script::javascript(&dir)
    } else if has("pyproject.toml") {
        script::python(&dir)
    } else {
        let told = format!(
            "{} has no Cargo.toml, package.json or pyproject.toml: go to the folder of a plugin, or begin one with \
             `weir plugin new`",
            dir.display()
        );
        Err(ToolError::Project(told))
    }
}

fn rust(dir: &Path) -> Result<PathBuf, ToolError> {
    let toolchain = Toolchain::find()?;
    let package = package(toolchain, dir)?;
    let out = dir.join("target/weir");
    let component = out.join(format!("{}.wasm", package.name));
    // What is left of the build before must not be taken for what is built now.
    match std::fs::remove_file(&component) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ToolError::file("remove", &component)(error));
        }
        _ => {}
    }
    let mut cargo = toolchain.cargo();
    // A plugin is an `rlib` too, for its tests on the host. Here it must not be: cargo optimises across crates only
    // where no `rlib` is asked for.
    cargo.args(["rustc", "--lib", "--crate-type", "cdylib", "--target", TARGET, "--profile", PROFILE]);
    cargo.args(toolchain.build_std());
    for setting in PROFILE_SETTINGS {
        cargo.args(["--config", setting]);
    }
    // What the caller reads is ours to say.
    let status = cargo.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.map_err(|error| ToolError::Build(format!("start cargo: {error}")))?;
    if !status.success() {
        return Err(ToolError::Build(format!("{} is not built, see above", package.name)));
    }
    let module = package.target_dir.join(TARGET).join(PROFILE).join(format!("{}.wasm", package.library));
    let bytes = std::fs::read(&module).map_err(ToolError::file("read", &module))?;
    let bytes = weir_plugin_runtime::component(bytes)
        .map_err(|fault| ToolError::Module { module, fault: Box::new(fault) })?;
    std::fs::create_dir_all(&out).map_err(ToolError::file("make", &out))?;
    std::fs::write(&component, bytes).map_err(ToolError::file("write", &component))?;
    Ok(component)
}

fn package(toolchain: Toolchain, dir: &Path) -> Result<Package, ToolError> {
    let mut cargo: Command = toolchain.cargo();
    let cargo = cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(dir);
    let output = cargo.output().map_err(|error| ToolError::Build(format!("start cargo: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(ToolError::Build(format!("{}: {}", dir.join("Cargo.toml").display(), said.trim())));
    }
    let told: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let found = told.as_ref().and_then(|told| package_of(told, &dir.join("Cargo.toml")));
    found.ok_or_else(|| {
        let path = dir.join("Cargo.toml");
        ToolError::Build(format!(
            "{}: a plugin is a package with a library; add [lib] with crate-type = [\"cdylib\"], and src/lib.rs",
            path.display()
        ))
    })
}

fn package_of(told: &Value, manifest: &Path) -> Option<Package> {
    let mut packages = told.get("packages")?.as_array()?.iter();
    let package =
        packages.find(|package| package["manifest_path"].as_str().map(Path::new) == Some(manifest))?;
    let is_library = |target: &&Value| {
        let kinds = target["crate_types"].as_array();
        kinds.is_some_and(|kinds| {
            kinds.iter().any(|kind| matches!(kind.as_str(), Some("cdylib" | "lib" | "rlib")))
        })
    };
    let library = package.get("targets")?.as_array()?.iter().find(is_library)?;
    Some(Package {
        name: package["name"].as_str()?.to_owned(),
        library: library["name"].as_str()?.replace('-', "_"),
        target_dir: PathBuf::from(told["target_directory"].as_str()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_package_is_told_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path()).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("weir plugin new"), "{error}");
        assert!(build(&dir.path().join("none")).unwrap_err().to_string().starts_with("find "));
    }

    #[test]
    fn the_package_of_a_folder_is_found_among_others() {
        let told = serde_json::json!({
            "packages": [
                { "name": "other", "manifest_path": "/x/y/Cargo.toml", "targets": [] },
                { "name": "my-plugin", "manifest_path": "/x/Cargo.toml", "targets": [
                    { "name": "build-script-build", "crate_types": ["bin"] },
                    { "name": "my-plugin", "crate_types": ["cdylib", "rlib"] },
                ] },
            ],
            "target_directory": "/t",
        });
        let package = package_of(&told, Path::new("/x/Cargo.toml")).unwrap();
        assert_eq!((package.name.as_str(), package.library.as_str()), ("my-plugin", "my_plugin"));
        assert!(package_of(&told, Path::new("/x/y/Cargo.toml")).is_none());
    }
}
