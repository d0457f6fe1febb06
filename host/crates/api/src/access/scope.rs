//! What a token may be good for.

use std::fmt;
use std::str::FromStr;

/// One thing that a token allows. None includes another, but that [`Scope::Admin`] may read metrics and the members:
/// whoever operates a cluster need not be able to read its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Send records.
    Ingest,
    /// Ask for records, counts and streams.
    Query,
    /// Follow live records.
    Tail,
    /// Send components for queries to run.
    Filter,
    /// Read metrics.
    Metrics,
    /// Be a node of OK Log: take segments away, hand segments over.
    Node,
    /// Reload, plugins, and what operators do to a cluster.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 7] =
        [Scope::Ingest, Scope::Query, Scope::Tail, Scope::Filter, Scope::Metrics, Scope::Node, Scope::Admin];

    /// All names, in the order of [`Scope::ALL`].
    pub const NAMES: [&str; 7] = ["ingest", "query", "tail", "filter", "metrics", "node", "admin"];

    /// The name in files of tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Query => "query",
            Scope::Tail => "tail",
            Scope::Filter => "filter",
            Scope::Metrics => "metrics",
            Scope::Node => "node",
            Scope::Admin => "admin",
        }
    }

    /// Whether it may stand beside topics: they limit it, or it shows and changes no records. One that they do not limit
    /// would show more than whoever wrote them thinks.
    pub const fn goes_with_topics(self) -> bool {
        matches!(self, Scope::Ingest | Scope::Query | Scope::Tail | Scope::Filter)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no scope. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("scopes are ingest, query, tail, filter, metrics, node and admin")]
pub struct NotAScope;

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Scope, NotAScope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == text).ok_or(NotAScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_named() {
        assert_eq!(Scope::ALL.map(Scope::name), Scope::NAMES);
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        let message = "Admin".parse::<Scope>().unwrap_err().to_string();
        assert!(Scope::NAMES.iter().all(|name| message.contains(name)), "{message}");
    }
}
