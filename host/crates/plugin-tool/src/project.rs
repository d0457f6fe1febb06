//! A new project: a plugin that builds and passes its cases as it stands, with the SDK beside it.

use std::path::{Path, PathBuf};

use crate::error::ToolError;
use crate::sdk;

/// What is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Brings records.
    Source,
    /// Keeps or drops records of a query.
    Filter,
    /// Changes records of a query.
    Rewrite,
    /// Sums up records of a query.
    Aggregate,
}

/// What it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// With the SDK.
    Rust,
    /// Filters, with the WIT alone.
    JavaScript,
    /// Filters, with the WIT alone.
    Python,
}

/// Bytes of a name: it becomes a folder, a package and a word in queries.
const NAME_BYTES_MAX: usize = 64;
/// Where a template says the name of the plugin.
const NAME: &str = "{{name}}";

/// Names that mean something to Rust, or are those of crates that a plugin needs.
const TAKEN: [&str; 12] =
    ["test", "core", "std", "alloc", "serde", "fn", "match", "type", "use", "mod", "move", "weir-plugin-sdk"];

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../templates/", $path))
    };
}

/// What every project has.
const SHARED: [(&str, &str); 2] =
    [("Cargo.toml", template!("manifest.toml")), (".gitignore", template!("gitignore"))];

/// Cases of a filter: in every language the same.
const FILTER_CASES: [(&str, &str); 6] = [
    ("cases/first/input.txt", template!("filter/input.txt")),
    ("cases/first/params.json", template!("filter/params.json")),
    ("cases/first/expected.txt", template!("filter/expected.txt")),
    ("cases/empty-text/input.txt", ""),
    ("cases/empty-text/params.json", "{ \"text\": \"\" }\n"),
    ("cases/empty-text/error.txt", "params.text\n"),
];

const JAVASCRIPT: [(&str, &str); 6] = [
    ("plugin.js", template!("javascript/plugin.js")),
    ("package.json", template!("javascript/package.json")),
    ("build.mjs", template!("javascript/build.mjs")),
    ("README.md", template!("javascript/readme.md")),
    ("weir.toml", template!("javascript/weir.toml")),
    (".gitignore", template!("javascript/gitignore")),
];

const PYTHON: [(&str, &str); 5] = [
    ("plugin.py", template!("python/plugin.py")),
    ("pyproject.toml", template!("python/pyproject.toml")),
    ("README.md", template!("python/readme.md")),
    ("weir.toml", template!("stage.toml")),
    (".gitignore", template!("python/gitignore")),
];

/// A project that is not written yet.
#[derive(Debug)]
pub struct Project {
    name: String,
    files: Vec<(String, String)>,
}

impl Project {
    /// A project with a name: letters, digits and hyphens, a letter first.
    pub fn new(kind: Kind, language: Language, name: &str) -> Result<Project, ToolError> {
        let refused =
            |why: &str| Err(ToolError::Project(format!("a plugin cannot be called {name:?}: {why}")));
        let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_lowercase())
            || !name.chars().all(is_fine)
            || name.ends_with('-')
        {
            return refused("a name has small letters, digits and hyphens, a letter first: error-lines");
        }
        if name.len() > NAME_BYTES_MAX {
            return refused("it has more than 64 letters");
        }
        if TAKEN.contains(&name) {
            return refused("Rust uses that name; add a word");
        }
        let files: Vec<(String, String)> = match (language, kind) {
            (Language::Rust, _) => rust(kind, name),
            (Language::JavaScript, Kind::Filter) => with_wit(&JAVASCRIPT, name),
            (Language::Python, Kind::Filter) => with_wit(&PYTHON, name),
            (Language::JavaScript | Language::Python, _) => {
                let told = "in JavaScript and Python filters are begun alone; take --lang rust, or write the exports of \
                            the other worlds in wit/worlds.wit by hand";
                return Err(ToolError::Project(told.to_owned()));
            }
        };
        Ok(Project { name: name.to_owned(), files })
    }

    /// Writes it into a folder of its name below `parent`, which must not exist or be empty.
    pub fn write(&self, parent: &Path) -> Result<PathBuf, ToolError> {
        let dir = parent.join(&self.name);
        let is_taken = match std::fs::read_dir(&dir) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        };
        if is_taken {
            let told = format!(
                "{} is there already, and is not an empty folder; take another name or place",
                dir.display()
            );
            return Err(ToolError::Project(told));
        }
        for (path, text) in &self.files {
            let path = dir.join(path);
            let folder = path.parent().unwrap_or(&dir);
            std::fs::create_dir_all(folder).map_err(ToolError::file("make", folder))?;
            std::fs::write(&path, text).map_err(ToolError::file("write", &path))?;
        }
        Ok(dir)
    }
}

/// A project in Rust, with the SDK beside it.
fn rust(kind: Kind, name: &str) -> Vec<(String, String)> {
    let own: &[(&str, &str)] = match kind {
        Kind::Source => &[
            ("src/lib.rs", template!("source/lib.rs")),
            ("README.md", template!("source/readme.md")),
            ("weir.toml", template!("source/weir.toml")),
        ],
        Kind::Filter => &[
            ("src/lib.rs", template!("filter/lib.rs")),
            ("README.md", template!("filter/readme.md")),
            ("weir.toml", template!("stage.toml")),
        ],
        Kind::Rewrite => &[
            ("src/lib.rs", template!("rewrite/lib.rs")),
            ("README.md", template!("rewrite/readme.md")),
            ("weir.toml", template!("stage.toml")),
            ("cases/first/input.txt", template!("rewrite/input.txt")),
            ("cases/first/params.json", template!("rewrite/params.json")),
            ("cases/first/expected.txt", template!("rewrite/expected.txt")),
        ],
        Kind::Aggregate => &[
            ("src/lib.rs", template!("aggregate/lib.rs")),
            ("README.md", template!("aggregate/readme.md")),
            ("weir.toml", template!("stage.toml")),
            ("cases/first/input.txt", template!("aggregate/input.txt")),
            ("cases/first/params.json", template!("aggregate/params.json")),
            ("cases/first/expected.txt", template!("aggregate/expected.txt")),
        ],
    };
    let sdk = sdk::FILES.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned()));
    let manifest = ("sdk/Cargo.toml".to_owned(), sdk::manifest());
    let cases: &[(&str, &str)] = if kind == Kind::Filter { &FILTER_CASES } else { &[] };
    let ours = [&SHARED, own, cases].into_iter().flat_map(|templates| named(templates, name));
    ours.chain([manifest]).chain(sdk).collect()
}

/// A project with nothing of ours but the contract.
fn with_wit(own: &[(&str, &str)], name: &str) -> Vec<(String, String)> {
    let wit = sdk::FILES.iter().filter_map(|(path, text)| {
        let path = path.strip_prefix("plugin-sdk/wit/v1/")?;
        Some((format!("wit/{path}"), (*text).to_owned()))
    });
    named(&FILTER_CASES, name).chain(named(own, name)).chain(wit).collect()
}

/// Templates, filled in.
fn named(templates: &[(&str, &str)], name: &str) -> impl Iterator<Item = (String, String)> {
    templates.iter().map(move |(path, text)| ((*path).to_owned(), text.replace(NAME, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_are_told_why() {
        for name in ["", "-a", "a-", "A", "ä", "a_b", "1a", "a b", "../a", "std", &"a".repeat(65)] {
            let error = Project::new(Kind::Filter, Language::Rust, name).unwrap_err();
            assert!(
                error.is_usage() && error.to_string().starts_with("a plugin cannot be called"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_project_has_its_name_everywhere_and_nothing_of_a_template() {
        for (kind, language, manifest) in [
            (Kind::Source, Language::Rust, "Cargo.toml"),
            (Kind::Filter, Language::Rust, "Cargo.toml"),
            (Kind::Rewrite, Language::Rust, "Cargo.toml"),
            (Kind::Aggregate, Language::Rust, "Cargo.toml"),
            (Kind::Filter, Language::JavaScript, "package.json"),
            (Kind::Filter, Language::Python, "pyproject.toml"),
        ] {
            let project = Project::new(kind, language, "my-plugin").unwrap();
            for (path, text) in project.files.iter().filter(|(path, _)| !path.starts_with("sdk/")) {
                assert!(!text.contains("{{name"), "{path}");
            }
            let manifest = &project.files.iter().find(|(path, _)| path == manifest).unwrap().1;
            let names = ["name = \"my-plugin\"", "\"name\": \"my-plugin\""];
            assert!(names.iter().any(|name| manifest.contains(name)), "{manifest}");
        }
    }

    #[test]
    fn what_cannot_be_begun_in_a_language_is_said() {
        for language in [Language::JavaScript, Language::Python] {
            for kind in [Kind::Source, Kind::Rewrite, Kind::Aggregate] {
                let error = Project::new(kind, language, "mine").unwrap_err();
                assert!(error.is_usage() && error.to_string().contains("take --lang rust"), "{error}");
            }
            let project = Project::new(Kind::Filter, language, "mine").unwrap();
            assert!(project.files.iter().any(|(path, _)| path == "wit/worlds.wit"));
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let project = Project::new(Kind::Filter, Language::Rust, "mine").unwrap();
        let written = project.write(dir.path()).unwrap();
        assert!(written.join("sdk/plugin-sdk/src/lib.rs").is_file());
        let error = project.write(dir.path()).unwrap_err().to_string();
        assert!(error.contains("there already"), "{error}");
    }
}
