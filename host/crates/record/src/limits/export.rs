//! Bounds of `weir segment export`.

/// Records of a row group of a Parquet file: what DuckDB writes itself, and hands to one thread.
pub const EXPORT_ROW_GROUP_RECORDS: usize = 122_880;
/// What the records of a row group take in memory. They are held until it is written, for it is written column by
/// column. The last record may go over it.
pub const EXPORT_ROW_GROUP_BYTES: usize = 32 << 20;
/// What the records of one write of text take in memory. The last record may go over it.
pub const EXPORT_TEXT_BYTES: usize = 1 << 20;
/// Values handed to a column of a Parquet file at once, and their bytes.
pub const EXPORT_VALUES: usize = 1024;
/// See [`EXPORT_VALUES`]. The last value may go over it.
pub const EXPORT_VALUES_BYTES: usize = 1 << 20;
/// Folders below one another that are searched for segments.
pub const EXPORT_DEPTH_MAX: usize = 64;
