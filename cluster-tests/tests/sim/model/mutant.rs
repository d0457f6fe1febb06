//! Deliberately broken variants. A test that cannot see them proves nothing about the right one.

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Nothing.
    None,
    /// Repeats are sealed as if they came for the first time.
    RepeatsNotFlagged,
    /// Keyed records are sealed as if their ids were minted.
    KeysNotFlagged,
    /// Origins are deleted before a store has them.
    RemovedEarly,
    /// What is in the backlog and in the store is read in both.
    BacklogAndStore,
    /// What is in the log and in the store is read in both: repeats in a log are found, so only what a log holds
    /// in part shows it.
    LogAndStore,
    /// What just leaves the log is read in neither place.
    LeavingForgotten,
    /// The store is looked at before the log.
    StoreFirst,
    /// The engine is asked for one term less.
    TermForgotten,
    /// The engine is asked for one id more.
    EndIncluded,
    /// Buckets begin a millisecond too late.
    BucketsLate,
}
