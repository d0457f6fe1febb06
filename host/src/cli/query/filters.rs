//! `--filter`: filters by name, and files that the node is sent before it is asked.

use std::path::Path;

use weir_api::client::{Client, ClientError};

use crate::cli::ask::failure;
use crate::cli::exit::Failure;
use crate::cli::load::told;

/// The filters as they stand behind a pipe. What is a file is on the node when this returns.
pub(super) async fn send(client: &Client, filters: &[String]) -> Result<Vec<String>, Failure> {
    let mut pipes = Vec::with_capacity(filters.len());
    for filter in filters {
        let (name, arguments) = filter.split_once('=').unwrap_or((filter, ""));
        let pipe = if is_file(name) { send_one(client, Path::new(name)).await? } else { name.to_owned() };
        pipes.push(format!("{pipe} {arguments}").trim().to_owned());
    }
    Ok(pipes)
}

/// No filter has a dot in its name.
fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"))
}

async fn send_one(client: &Client, path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let component = std::fs::read(path)
        .map_err(|error| Failure::failed(format!("--filter: read {shown}: {}", told(&error))))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let added = client.add_filter(&name_of(&stem), component.into()).await;
    let added = added.map_err(|error| match error {
        ClientError::Refused { ref error, .. } => {
            let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            Failure::failed(format!("--filter {shown}: {}{hint}", error.message))
        }
        other => failure(&other),
    })?;
    Ok(format!("sha256:{}", added.sha256))
}

/// What a component is called that comes from a file of this name.
fn name_of(stem: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = stem.chars().take(64).map(letter).collect();
    if name.is_empty() { "sent".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_names_and_called_by_theirs() {
        assert!(is_file("./mine.wasm") && is_file("mine.wasm") && !is_file("count"));
        for (stem, name) in [("mine", "mine"), ("my filter.v2", "my-filter-v2"), ("ü", "-"), ("", "sent")] {
            assert_eq!(name_of(stem), name);
        }
        assert_eq!(name_of(&"x".repeat(100)).len(), 64);
    }
}
