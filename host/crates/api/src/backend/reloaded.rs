//! What a new configuration has changed.

use std::fmt;

/// What became of a configuration that was read anew. Names are sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Sources that are new.
    pub started: Vec<String>,
    /// Sources that have other settings, another plugin or other secrets.
    pub restarted: Vec<String>,
    /// Sources that are gone.
    pub stopped: Vec<String>,
    /// Of the last two: those whose last batch is not stored yet. They follow when it is.
    pub ending: Vec<String>,
    /// Plugins whose files have changed.
    pub plugins: Vec<String>,
    /// Another policy counts for what others may have the node run.
    pub policy: bool,
    /// Tokens that are new, or differ.
    pub tokens_added: Vec<String>,
    /// Tokens that are gone, or differ: what was under way for them has ended.
    pub tokens_removed: Vec<String>,
    /// Settings that count from the next start of the process.
    pub waiting: Vec<&'static str>,
}

impl fmt::Display for Reloaded {
    /// A line for each list that is not empty, the first one `reloaded`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reloaded")?;
        let names = [
            ("sources started", &self.started),
            ("sources restarted", &self.restarted),
            ("sources stopped", &self.stopped),
            ("sources still storing their last batch", &self.ending),
            ("plugins loaded anew", &self.plugins),
            ("tokens in force anew", &self.tokens_added),
            ("tokens taken back", &self.tokens_removed),
        ];
        for (what, names) in names.into_iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "\n{what}: {}", names.join(", "))?;
        }
        if self.policy {
            f.write_str("\npolicy: another one")?;
        }
        if !self.waiting.is_empty() {
            write!(f, "\nchanged, and wait for a restart of the process: {}", self.waiting.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        assert_eq!(Reloaded::default().to_string(), "reloaded");
        let reloaded = Reloaded {
            started: vec!["a".into(), "b".into()],
            waiting: vec!["listen"],
            ..Reloaded::default()
        };
        let told = "reloaded\nsources started: a, b\nchanged, and wait for a restart of the process: listen";
        assert_eq!(reloaded.to_string(), told);
    }
}
