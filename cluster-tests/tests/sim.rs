//! Power cuts of the ingest log and of the store, simulated by the hundred thousand.
//! Power cuts of the ingest log and of sealing, simulated by the hundred thousand.
//!
//! A seed decides everything: the settings, the writers, the faults, what each cut leaves.
//! A failure prints its seed; `WEIR_SEED=<n>` (or `SEED`) runs that one alone, `WEIR_LONG=1` ten times as many.

mod damage;
mod model;
mod mutant;
mod oracle;
mod origins;
mod power_cut;
mod run;
mod sealing;
mod seeds;
mod store;
mod workload;
