//! The limits of the host that a plugin meets, as numbers to compute with. What breaks one is refused by
//! the host, so the SDK checks first.

/// Payload of one record.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Records in one batch.
pub const BATCH_RECORDS_MAX: usize = 65_536;
/// Payload bytes in one batch.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Distinct label sets in one batch.
pub const PLUGIN_STREAMS_MAX: usize = 1024;
/// Labels of a stream, configured ones included.
pub const LABELS_MAX: usize = 32;
/// Name of a label, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 64;
/// Value of a label, in bytes of UTF-8.
pub const LABEL_VALUE_BYTES_MAX: usize = 4096;
/// Cursor, in bytes.
pub const CURSOR_BYTES_MAX: usize = 64 << 10;
/// Key of one record, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// One read of a file or of standard input, in bytes.
pub const CAPABILITY_READ_BYTES_MAX: usize = 4 << 20;
/// Files, consumers and receipts held at once.
pub const PLUGIN_HANDLES_MAX: usize = 1024;
/// Longest wait of one poll.
pub const PLUGIN_POLL_WAIT_MS_MAX: u32 = 1_000;
/// State of an aggregate as it goes to other nodes.
pub const AGGREGATE_PARTIAL_BYTES_MAX: usize = 16 << 20;

const _: () = assert!(RECORD_BYTES_MAX < CAPABILITY_READ_BYTES_MAX && RECORD_BYTES_MAX <= BATCH_BYTES_MAX);

#[cfg(test)]
mod tests {
    /// The SDK shares no code with the host, so the two lists are compared as text.
    #[test]
    fn limits_are_those_of_the_host() {
        let host = concat!(
            include_str!("../../host/crates/record/src/limits.rs"),
            include_str!("../../host/crates/record/src/limits/plugins.rs"),
            include_str!("../../host/crates/record/src/limits/filters.rs"),
        );
        let ours = include_str!("limits.rs");
        let constants: Vec<_> = ours.lines().filter(|l| l.starts_with("pub const")).collect();
        assert_eq!(constants.len(), 13);
        for line in constants {
            assert!(host.lines().any(|l| l == line), "the host has no line {line:?}");
        }
    }
}
