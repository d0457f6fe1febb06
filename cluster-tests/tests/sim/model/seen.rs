//! What happened, so that a test can demand that rare paths were taken.

/// What happened in some runs. A path that was never taken was not tested.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) records: u64,
    pub(crate) repeats: u64,
    pub(crate) sealed: u64,
    pub(crate) accepted_files: u64,
    pub(crate) accepted_transfers: u64,
    pub(crate) already: u64,
    pub(crate) came_expired: u64,
    pub(crate) concatenated: u64,
    pub(crate) merged_anew: u64,
    pub(crate) settled: u64,
    pub(crate) settled_sections: u64,
    pub(crate) expired: u64,
    pub(crate) expired_in_log: u64,
    pub(crate) restarts: u64,
    pub(crate) cuts: u64,
    pub(crate) cuts_at_work: u64,
    pub(crate) cuts_in_recovery: u64,
    pub(crate) superseded: u64,
    pub(crate) asked_before_merge: u64,
    pub(crate) asked_before_expiry: u64,
    pub(crate) asked_while_leaving: u64,
    pub(crate) asked_of_sections: u64,
    pub(crate) queries: u64,
    pub(crate) hits: u64,
    pub(crate) limited: u64,
    pub(crate) in_buckets: u64,
    pub(crate) fingerprints: u64,
    pub(crate) neighbours: u64,
    pub(crate) blocks_pruned: u64,
}

impl Seen {
    /// All of them, by name.
    pub(crate) fn counts(&mut self) -> [(&'static str, &mut u64); 29] {
        [
            ("records", &mut self.records),
            ("repeats", &mut self.repeats),
            ("pieces sealed", &mut self.sealed),
            ("origins accepted from files", &mut self.accepted_files),
            ("origins accepted as transfers", &mut self.accepted_transfers),
            ("origins held already", &mut self.already),
            ("origins expired before they came", &mut self.came_expired),
            ("segments put one behind the other", &mut self.concatenated),
            ("segments merged anew", &mut self.merged_anew),
            ("units settled", &mut self.settled),
            ("segments of several sections settled", &mut self.settled_sections),
            ("segments expired", &mut self.expired),
            ("pieces of the log expired", &mut self.expired_in_log),
            ("restarts without a cut", &mut self.restarts),
            ("power cuts", &mut self.cuts),
            ("power cuts at work", &mut self.cuts_at_work),
            ("power cuts in recovery", &mut self.cuts_in_recovery),
            ("inputs of interrupted merges", &mut self.superseded),
            ("snapshots asked after a merge", &mut self.asked_before_merge),
            ("snapshots asked after an expiry", &mut self.asked_before_expiry),
            ("snapshots of pieces that leave", &mut self.asked_while_leaving),
            ("snapshots with several sections", &mut self.asked_of_sections),
            ("queries", &mut self.queries),
            ("hits", &mut self.hits),
            ("answers cut by their limit", &mut self.limited),
            ("hits in buckets", &mut self.in_buckets),
            ("fingerprints", &mut self.fingerprints),
            ("neighbours", &mut self.neighbours),
            ("blocks passed over by filters", &mut self.blocks_pruned),
        ]
    }

    /// Adds another run.
    pub(crate) fn add(&mut self, mut other: Seen) {
        for ((_, sum), (_, more)) in self.counts().into_iter().zip(other.counts()) {
            *sum += *more;
        }
    }

    /// Merges of every kind.
    pub(crate) fn merges(&self) -> u64 {
        self.concatenated + self.merged_anew + self.settled
    }
}
