//! TLS: the files with certificates, and how often they are looked at.

/// A file with certificates or a key. A longer one is refused: it is something else.
pub const TLS_FILE_BYTES_MAX: u64 = 4 << 20;
/// Pause between two looks at whether these files have changed. What was exchanged counts so soon without a reload.
pub const TLS_LOOK_MS: u64 = 5_000;
/// How long before its end a certificate is warned of.
pub const TLS_ENDS_SOON_S: i64 = 7 * 24 * 60 * 60;
