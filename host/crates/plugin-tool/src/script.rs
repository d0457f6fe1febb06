//! Plugins in languages that bring an engine along: JavaScript by componentize-js, Python by componentize-py. Both come from
//! the registry of their language into the folder of the project, at its first build.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml::{Table, Value};

use crate::error::ToolError;

/// What npm puts there when the compiler is installed.
const NODE_COMPILER: &str = "node_modules/@bytecodealliance/componentize-js/package.json";
/// Where Python's compiler is installed.
const PYTHON_ENVIRONMENT: &str = "target/python";
/// The module that is made a component.
const PYTHON_MODULE: &str = "plugin";

/// Builds the project of a `package.json`: its script `build` writes the component.
pub(crate) fn javascript(dir: &Path) -> Result<PathBuf, ToolError> {
    let manifest = dir.join("package.json");
    let text = std::fs::read_to_string(&manifest).map_err(ToolError::file("read", &manifest))?;
    let told: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| ToolError::Build(format!("{}: {error}", manifest.display())))?;
    let component = component(dir, &manifest, told["name"].as_str())?;
    if !dir.join(NODE_COMPILER).is_file() {
        eprintln!("installing what package.json names, by npm");
        run(dir, "npm", ["install", "--no-audit", "--no-fund"], NODE)?;
    }
    run(dir, "npm", ["run", "--silent", "build"], NODE)?;
    made(component, "the script `build` of package.json")
}

/// Builds `plugin.py` beside a `pyproject.toml`.
pub(crate) fn python(dir: &Path) -> Result<PathBuf, ToolError> {
    let manifest = dir.join("pyproject.toml");
    let text = std::fs::read_to_string(&manifest).map_err(ToolError::file("read", &manifest))?;
    let project: Table =
        text.parse().map_err(|error| ToolError::Build(format!("{}: {error}", manifest.display())))?;
    let at = |section: &str, keys: &[&str]| {
        keys.iter().try_fold(project.get(section)?, |value: &Value, key| value.get(*key))
    };
    let component = component(dir, &manifest, at("project", &["name"]).and_then(Value::as_str))?;
    let lacks = |what: &str| ToolError::Build(format!("{}: it needs {what}", manifest.display()));
    let world = at("tool", &["weir", "world"]).and_then(Value::as_str);
    let world = world.ok_or_else(|| lacks("tool.weir.world, such as \"filter-plugin\""))?;
    let wanted = at("dependency-groups", &["build"]).and_then(Value::as_array);
    let wanted: Option<Vec<&str>> = wanted.and_then(|list| list.iter().map(Value::as_str).collect());
    let wanted =
        wanted.ok_or_else(|| lacks("dependency-groups.build, such as [\"componentize-py==0.25.1\"]"))?;

    let environment = dir.join(PYTHON_ENVIRONMENT);
    let compiler = environment.join("bin/componentize-py");
    // What is installed there was asked for by the same words.
    let (note, asked) = (environment.join("installed"), wanted.join("\n"));
    if std::fs::read_to_string(&note).ok().as_ref() != Some(&asked) || !compiler.is_file() {
        eprintln!("installing {} into {PYTHON_ENVIRONMENT}, by pip", wanted.join(", "));
        run(dir, "python3", [OsStr::new("-m"), OsStr::new("venv"), environment.as_os_str()], PYTHON)?;
        let pip = environment.join("bin/pip");
        let quiet = ["install", "--quiet", "--disable-pip-version-check"];
        run(dir, &pip, quiet.into_iter().chain(wanted), PYTHON)?;
        std::fs::write(&note, asked).map_err(ToolError::file("write", &note))?;
    }
    let out = component.as_os_str();
    // Without it the component would import WASI, which a filter must not.
    let args = ["-d", "wit", "-w", world, "componentize", "--stub-wasi", PYTHON_MODULE, "-o"];
    run(dir, &compiler, args.map(OsStr::new).into_iter().chain([out]), PYTHON)?;
    made(component, "componentize-py")
}

/// Where the component of a project lies; what is left of the build before is gone.
fn component(dir: &Path, manifest: &Path, name: Option<&str>) -> Result<PathBuf, ToolError> {
    let name = name.filter(|name| !name.is_empty() && !name.contains(['/', '\\']));
    let name = name.ok_or_else(|| ToolError::Build(format!("{}: it needs a name", manifest.display())))?;
    let out = dir.join("target/weir");
    std::fs::create_dir_all(&out).map_err(ToolError::file("make", &out))?;
    let component = out.join(format!("{name}.wasm"));
    match std::fs::remove_file(&component) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ToolError::file("remove", &component)(error))
        }
        _ => Ok(component),
    }
}

fn made(component: PathBuf, by: &str) -> Result<PathBuf, ToolError> {
    if component.is_file() {
        return Ok(component);
    }
    Err(ToolError::Build(format!("{by} has ended well and left no {}", component.display())))
}

/// What to do where a command is not there.
const NODE: &str = "install Node.js 20 or later with npm; on Debian: apt install nodejs npm";
const PYTHON: &str = "install Python 3.10 or later with venv; on Debian: apt install python3 python3-venv";

fn run<A: AsRef<OsStr>>(
    dir: &Path,
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = A>,
    hint: &str,
) -> Result<(), ToolError> {
    let name = Path::new(program.as_ref()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new(program.as_ref());
    // What the caller reads is ours to say.
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ToolError::Toolchain(format!("there is no {name} here; {hint}")),
        _ => ToolError::Build(format!("start {name}: {error}")),
    })?;
    if status.success() {
        return Ok(());
    }
    Err(ToolError::Build(format!("{name} has failed ({status}), see above")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_lacks_something_is_told_what() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text, words) in [
            ("package.json", "{", "package.json: EOF"),
            ("package.json", "{}", "package.json: it needs a name"),
            ("package.json", "{\"name\": \"../x\"}", "it needs a name"),
            ("pyproject.toml", "[project", "pyproject.toml: TOML"),
            ("pyproject.toml", "", "it needs a name"),
            ("pyproject.toml", "project.name = \"x\"", "it needs tool.weir.world"),
            (
                "pyproject.toml",
                "project.name = \"x\"\ntool.weir.world = \"filter-plugin\"",
                "it needs dependency-groups.build",
            ),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
            let built = if file == "package.json" { javascript(dir.path()) } else { python(dir.path()) };
            let error = built.unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
