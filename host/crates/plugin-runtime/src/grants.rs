//! What the operator lets a source reach, by name. The plugin knows the names, never what is behind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::capability;
use crate::capability::amqp::MessageQueue;
use crate::info::Need;

/// `grants.files.<name>` of a source: files that a plugin may read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilesGrant {
    /// Patterns of paths, `**` for any depth. Relative ones start at the working directory.
    pub include: Vec<String>,
    /// Patterns of paths, or, without a slash, of file names, that are left out.
    pub exclude: Vec<String>,
}

/// `grants.amqp.<name>` of a source: the queue behind it, which outlives the plugin's instances.
#[derive(Clone)]
pub struct AmqpGrant(pub Arc<dyn MessageQueue>);

impl fmt::Debug for AmqpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is behind it has a password in it.
        f.write_str("AmqpGrant")
    }
}

impl PartialEq for AmqpGrant {
    fn eq(&self, other: &AmqpGrant) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AmqpGrant {}

/// The `grants` of one source. What is not here is denied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Queues of brokers, by the plugin's name for them.
    pub amqp: BTreeMap<String, AmqpGrant>,
    /// By the plugin's name for them.
    pub files: BTreeMap<String, FilesGrant>,
    /// Standard input of the process.
    pub stdin: bool,
}

/// A grant that is missing. Does not affect state: the source does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("needs {capability}{}, which {reason}, and has no grant for it; add to the configuration:\n{toml}", named(.name))]
pub struct GrantError {
    /// Which capability.
    pub capability: String,
    /// The plugin's name for it; may be empty.
    pub name: String,
    /// What the plugin wants it for.
    pub reason: String,
    /// Lines for the configuration, each ended by a newline except the last.
    pub toml: String,
}

fn named(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" {name:?}") }
}

/// Whether everything that the plugin requires is granted; every missing grant is named.
pub fn check(needs: &[Need], grants: &Grants, source: &str) -> Result<(), Vec<GrantError>> {
    let missing: Vec<_> = needs
        .iter()
        .filter(|need| need.required)
        .filter_map(|need| {
            let lines = capability::missing(need, grants)?;
            Some(GrantError {
                capability: need.capability.clone(),
                name: need.name.clone(),
                reason: need.reason.clone(),
                toml: format!("[sources.{}]\n{lines}", key(source)),
            })
        })
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(missing) }
}

/// A TOML key: bare where it can be, quoted otherwise.
pub(crate) fn key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
    if bare { name.to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(capability: &str, name: &str, required: bool) -> Need {
        let reason = "holds what it reads".into();
        Need { capability: capability.into(), name: name.into(), reason, required }
    }

    #[test]
    fn a_missing_grant_is_told_with_the_lines_to_add() {
        let needs = [
            need("files", "logs", true),
            need("stdin", "", true),
            need("files", "more", false),
            need("log", "", true),
        ];
        let missing = check(&needs, &Grants::default(), "my nginx").unwrap_err();
        let texts: Vec<_> = missing.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "needs files \"logs\", which holds what it reads, and has no grant for it; add to the configuration:\n\
                 [sources.\"my nginx\"]\ngrants.files.logs = { include = [\"/var/log/**/*.log\"] }",
                "needs stdin, which holds what it reads, and has no grant for it; add to the configuration:\n\
                 [sources.\"my nginx\"]\ngrants.stdin = true",
            ]
        );
        let given = Grants {
            files: BTreeMap::from([("logs".into(), FilesGrant::default())]),
            stdin: true,
            ..Grants::default()
        };
        assert_eq!(check(&needs, &given, "n"), Ok(()));
    }

    #[test]
    fn a_capability_that_is_none_cannot_be_granted() {
        let missing = check(&[need("sockets", "main", true)], &Grants::default(), "n").unwrap_err();
        assert!(missing[0].toml.contains("no capability of this node"), "{missing:?}");
    }
}
