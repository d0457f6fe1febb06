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

/// A project that is not written yet.
#[derive(Debug)]
pub struct Project {
    name: String,
    files: Vec<(String, String)>,
}

impl Project {
    /// A project with a name: letters, digits and hyphens, a letter first.
    pub fn new(kind: Kind, name: &str) -> Result<Project, ToolError> {
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
                ("cases/first/input.txt", template!("filter/input.txt")),
                ("cases/first/params.json", template!("filter/params.json")),
                ("cases/first/expected.txt", template!("filter/expected.txt")),
                ("cases/empty-text/input.txt", ""),
                ("cases/empty-text/params.json", "{ \"text\": \"\" }\n"),
                ("cases/empty-text/error.txt", "params.text\n"),
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
        let ours = SHARED.iter().chain(own);
        let ours = ours.map(|(path, text)| ((*path).to_owned(), text.replace(NAME, name)));
        let sdk = sdk::FILES.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned()));
        let manifest = ("sdk/Cargo.toml".to_owned(), sdk::manifest());
        Ok(Project { name: name.to_owned(), files: ours.chain([manifest]).chain(sdk).collect() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_are_told_why() {
        for name in ["", "-a", "a-", "A", "ä", "a_b", "1a", "a b", "../a", "std", &"a".repeat(65)] {
            let error = Project::new(Kind::Filter, name).unwrap_err();
            assert!(
                error.is_usage() && error.to_string().starts_with("a plugin cannot be called"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_project_has_its_name_everywhere_and_nothing_of_a_template() {
        for kind in [Kind::Source, Kind::Filter, Kind::Rewrite, Kind::Aggregate] {
            let project = Project::new(kind, "my-plugin").unwrap();
            for (path, text) in project.files.iter().filter(|(path, _)| !path.starts_with("sdk/")) {
                assert!(!text.contains("{{name"), "{path}");
            }
            let manifest = &project.files.iter().find(|(path, _)| path == "Cargo.toml").unwrap().1;
            assert!(manifest.contains("name = \"my-plugin\""));
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let project = Project::new(Kind::Filter, "mine").unwrap();
        let written = project.write(dir.path()).unwrap();
        assert!(written.join("sdk/plugin-sdk/src/lib.rs").is_file());
        let error = project.write(dir.path()).unwrap_err().to_string();
        assert!(error.contains("there already"), "{error}");
    }
}
