//! Power cuts of the ingest log, simulated by the hundred thousand.
//!
//! A seed decides everything: the settings of the log, the writers, the faults, what each cut leaves.
//! A failure prints its seed; `SEED=<n>` runs that one alone, `WEIR_LONG=1` ten times as many.

mod damage;
mod mutant;
mod oracle;
mod power_cut;
mod run;
mod seeds;
mod workload;
