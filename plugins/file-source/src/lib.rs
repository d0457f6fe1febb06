//! A source that follows log files.
//!
//! Which files there are is the grant's to say (`grants.files.logs`); each is known by its identity, not
//! by its name, and read from where the cursor left it. Job of the parts:
//!
//! - `position`: how far a file was read, with hashes that tell whether it is still that file;
//! - `content`: the bytes in a file, compressed or not, and `window`, a chunk of them;
//! - `frame`: what records they are, with `time` for when, and `naming` for the labels;
//! - `tracked`: one file and one turn of reading it;
//! - `origin`: whether a file that nothing is known of is the copy of one that is;
//! - `table`: all files, who reads next, how many are open;
//! - `discover`: what a scan of the grant means for the table;
//! - `cursor`: all positions as bytes;
//! - this file: when to scan, when to wait.
//!
//! What it must not do: change or drop a byte, hand over a cursor that stands anywhere but behind the
//! records it goes with, hold more than a chunk of anybody's file.

mod config;
mod content;
mod counters;
mod cursor;
mod discover;
mod frame;
mod naming;
mod origin;
mod position;
mod table;
mod time;
mod tracked;
mod window;

use weir_plugin_sdk::batch::Builder;
use weir_plugin_sdk::{
    Budget, Failure, Info, Polled, Source, Taken, Verdict, export_source, files, log, timing,
};

use crate::config::Settings;
pub use crate::config::{Config, StartAt};
use crate::counters::Counters;
use crate::table::Table;
use crate::tracked::Now;

/// The plugin's own name for the files it follows.
const GRANT: &str = "logs";
/// Longest time between two scans of the grant.
const SCAN_MS: u64 = 5_000;
/// Shortest, when notifications come all the time.
const SCAN_AFTER_CHANGE_MS: u64 = 1_000;
/// How long a change waits for its neighbours, so that a busy file is not read line by line.
const GATHER_MS: u32 = 10;
/// Reading stops after so long, however many files there are: a call has two seconds.
const READ_MS_MAX: u64 = 500;

/// The source.
#[derive(Debug)]
pub struct FileSource {
    settings: Settings,
    table: Table,
    counters: Counters,
    /// No cursor was stored yet: what the first scan finds was there before us.
    first_start: bool,
    /// Positions changed that no cursor tells.
    unsaved: bool,
    scanned_ms: Option<u64>,
    scan_due_ms: u64,
    /// The last scan failed and that was said.
    scan_failing: bool,
}

impl Source for FileSource {
    type Config = Config;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(config::SCHEMA)
            .needs("files", GRANT, "follows the log files")
    }

    fn open(config: Config, cursor: Option<&[u8]>) -> Result<FileSource, Failure> {
        let positions = cursor.map_or(Ok(Vec::new()), cursor::decode)?;
        Ok(FileSource {
            table: Table::new(positions, timing::monotonic_ms()),
            settings: Settings::new(&config)?,
            counters: Counters::new(),
            first_start: cursor.is_none(),
            unsaved: cursor.is_none(),
            scanned_ms: None,
            scan_due_ms: 0,
            scan_failing: false,
        })
    }

    fn poll(&mut self, budget: Budget) -> Result<Polled, Failure> {
        let deadline_ms = timing::monotonic_ms() + u64::from(budget.wait_ms);
        loop {
            self.scan_when_due()?;
            let mut batch = Builder::new(budget);
            let more = self.read(&mut batch)?;
            if !batch.is_empty() || self.unsaved {
                return Ok(Polled::Records(self.take(batch, more)));
            }
            if self.settings.once && !more && self.table.is_done() {
                return Ok(Polled::Finished);
            }
            let now_ms = timing::monotonic_ms();
            if more || now_ms >= deadline_ms || timing::stopping() {
                return Ok(Polled::Idle { wait_ms: 0 });
            }
            let due_ms = self.table.next_due_ms().unwrap_or(u64::MAX).min(self.scan_due_ms);
            let wait_ms = deadline_ms.min(due_ms).saturating_sub(now_ms).max(1);
            if files::changed(GRANT, wait_ms as u32)? {
                timing::sleep_ms(GATHER_MS);
                self.wake();
            }
        }
    }

    fn close(&mut self) -> Option<Taken> {
        let nothing = Builder::new(Budget { records: 1, bytes: 0, wait_ms: 0 });
        self.unsaved.then(|| self.take(nothing, false))
    }
}

impl FileSource {
    fn take(&mut self, batch: Builder, more: bool) -> Taken {
        let (cursor, left_out) = cursor::encode(&self.table);
        self.counters.left_out(left_out);
        self.unsaved = false;
        Taken { batch: batch.finish(), cursor: Some(cursor), more, ..Taken::default() }
    }

    fn scan_when_due(&mut self) -> Result<(), Failure> {
        let now_ms = timing::monotonic_ms();
        if now_ms < self.scan_due_ms {
            return Ok(());
        }
        self.scan_due_ms = now_ms + SCAN_MS;
        match files::scan(GRANT) {
            Ok(entries) => {
                let first = self.first_start && self.scanned_ms.is_none();
                let at_end = first && self.settings.start_at == StartAt::End;
                discover::reconcile(
                    &mut self.table,
                    &entries,
                    at_end,
                    now_ms,
                    &self.settings,
                    &self.counters,
                );
                self.scanned_ms = Some(now_ms);
                self.scan_failing = false;
                self.counters.files(&self.table);
                Ok(())
            }
            // Without a file to go on with, the host's back-off and its word to the operator are better.
            Err(failure) if self.table.is_empty() || failure.verdict != Verdict::Retry => {
                self.scan_due_ms = now_ms;
                Err(failure)
            }
            Err(failure) => {
                if !self.scan_failing {
                    log::warn!("the files cannot be listed, going on with those known: {failure}");
                }
                self.scan_failing = true;
                Ok(())
            }
        }
    }

    /// Something changed somewhere: the open files are the likely ones, new names show in a scan.
    fn wake(&mut self) {
        self.table.queue_open();
        self.scan_soon();
    }

    fn scan_soon(&mut self) {
        let soon_ms = self.scanned_ms.map_or(0, |scanned_ms| scanned_ms + SCAN_AFTER_CHANGE_MS);
        self.scan_due_ms = self.scan_due_ms.min(soon_ms);
    }

    /// Gives turns to the files that wait for one. True: some still do.
    fn read(&mut self, batch: &mut Builder) -> Result<bool, Failure> {
        let started_ms = timing::monotonic_ms();
        loop {
            let now = Now { ms: timing::monotonic_ms(), unix_ns: timing::now_unix_ns() };
            self.table.queue_waiting(now.ms);
            if !self.table.has_queued() {
                return Ok(false);
            }
            if now.ms - started_ms > READ_MS_MAX {
                return Ok(true);
            }
            if self.table.turn(batch, &self.settings, now, &self.counters) {
                return Ok(true);
            }
            if self.table.takes_scan() {
                self.scan_soon();
            }
            if self.table.takes_scan_at_once() {
                self.scan_due_ms = now.ms;
                // What is in the batch is handed over whatever becomes of the scan.
                if batch.is_empty() {
                    self.scan_when_due()?;
                } else {
                    return Ok(true);
                }
            }
        }
    }
}

export_source!(FileSource);

#[cfg(test)]
mod tests;
