//! What the operator's dashboard shows of this source.

use weir_plugin_sdk::log;
use weir_plugin_sdk::metrics::{Counter, Gauge};

use crate::table::Table;

/// All metrics of the source.
#[derive(Debug)]
pub(crate) struct Counters {
    tracked: Gauge,
    open: Gauge,
    behind: Gauge,
    left_out: Gauge,
    left_out_before: std::cell::Cell<usize>,
    /// Files that took another name or lost theirs.
    pub(crate) rotated: Counter,
    /// Files that were cut or written anew in place.
    pub(crate) truncated: Counter,
    /// Bytes that were seen in a file and not read when it was truncated or vanished.
    pub(crate) lost: Counter,
    /// Files that could not be opened or read.
    pub(crate) errors: Counter,
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters {
            tracked: Gauge::new("files_tracked", "Files that are followed."),
            open: Gauge::new("files_open", "Files that are open."),
            behind: Gauge::new(
                "bytes_behind",
                "Bytes in the files that were not read yet, at the last scan.",
            ),
            left_out: Gauge::new(
                "files_beyond_cursor",
                "Files whose position the cursor has no room for: read again after a restart.",
            ),
            left_out_before: std::cell::Cell::new(0),
            rotated: Counter::new("files_rotated_total", "Files that were renamed or deleted."),
            truncated: Counter::new("files_truncated_total", "Files that were truncated or written anew."),
            lost: Counter::new(
                "bytes_unread_total",
                "Bytes seen in a file and not read when it was truncated or vanished; a copy may bring them.",
            ),
            errors: Counter::new("read_errors_total", "Failed attempts to open or read a file."),
        }
    }

    pub(crate) fn files(&self, table: &Table) {
        self.tracked.set(table.len() as f64);
        self.open.set(table.open_count() as f64);
        self.behind.set(table.bytes_behind() as f64);
    }

    pub(crate) fn left_out(&self, files: usize) {
        let before = self.left_out_before.replace(files);
        if files != before {
            self.left_out.set(files as f64);
        }
        if files > 0 && before == 0 {
            log::warn!(
                "more files than a cursor has room for: {files} of them, unchanged for longest, would be \
                 read again after a restart; split the grant over several sources"
            );
        }
    }
}
