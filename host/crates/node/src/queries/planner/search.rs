//! What one node searches in one place, as a plan says it.

use weir_api::backend::peer::{Origins, UnitOrigins};
use weir_replication::{OriginSet, Owed, Part, Read};

use super::Reach;

/// What one node searches in one place.
#[derive(Clone)]
pub(crate) struct Search {
    /// What to call the node.
    pub(crate) node: String,
    /// How it is reached.
    pub(crate) reach: Reach,
    /// What remains to be read when it fails.
    pub(crate) owed: Owed,
    log: Option<LogShare>,
    units: Vec<UnitShare>,
}

/// What is read of it at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Everything.
    All,
    /// What others may hold as well.
    Suspects,
    /// What is counted.
    Rest,
}

/// The log of its snapshot.
#[derive(Clone, Copy)]
struct LogShare {
    has_suspects: bool,
}

/// Some origins of a unit.
#[derive(Clone)]
struct UnitShare {
    origins: UnitOrigins,
    has_suspects: bool,
    is_counted: bool,
}

impl Search {
    /// That of a part of a plan. `id` is that of the node there.
    pub(super) fn new(node: String, reach: Reach, id: u64, part: Part) -> Search {
        let owed = Owed::of_part(id, &part);
        let log = part.log.map(|log| LogShare { has_suspects: !log.contested.is_empty() });
        let units = part.units.into_iter().map(|reading| UnitShare {
            origins: UnitOrigins { unit: reading.unit, origins: origins(reading.read) },
            has_suspects: reading.has_suspects,
            is_counted: reading.is_counted,
        });
        Search { node, reach, owed, log, units: units.collect() }
    }

    /// Whether the log is read for a task, and which origins are; `None` when there is nothing to do.
    pub(crate) fn of(&self, task: Task) -> Option<(bool, Vec<UnitOrigins>)> {
        let log = self.log.is_some_and(|log| log.has_suspects || task != Task::Suspects);
        let wanted = |share: &&UnitShare| match task {
            Task::All => true,
            Task::Suspects => share.has_suspects,
            Task::Rest => share.is_counted,
        };
        let units: Vec<UnitOrigins> =
            self.units.iter().filter(wanted).map(|share| share.origins.clone()).collect();
        (log || !units.is_empty()).then_some((log, units))
    }

    /// Whether something of it is neither counted nor flagged, but handed over alone.
    pub(crate) fn is_split(&self) -> bool {
        self.units.iter().any(|share| !share.is_counted)
    }
}

fn origins(read: Read) -> Origins {
    let names = |set: OriginSet| set.iter().collect();
    match read {
        Read::All => Origins::All,
        Read::AllBut(set) => Origins::AllBut(names(set)),
        Read::Only(set) => Origins::Only(names(set)),
    }
}
