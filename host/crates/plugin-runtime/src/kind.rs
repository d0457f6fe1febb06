//! What a plugin is for.

use std::fmt;

/// Which world a plugin exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Produces records.
    Source,
    /// Keeps or drops records of a query.
    Filter,
    /// Changes records of a query.
    Rewrite,
    /// Sums up records of a query.
    Aggregate,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Source, Kind::Filter, Kind::Rewrite, Kind::Aggregate];

    /// The name of the interface that it exports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Filter => "filter",
            Kind::Rewrite => "rewrite",
            Kind::Aggregate => "aggregate",
        }
    }

    /// The world it is built for.
    pub const fn world(self) -> &'static str {
        match self {
            Kind::Source => "source-plugin",
            Kind::Filter => "filter-plugin",
            Kind::Rewrite => "rewrite-plugin",
            Kind::Aggregate => "aggregate-plugin",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
