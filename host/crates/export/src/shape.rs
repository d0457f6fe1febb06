//! What records look like when they are written out.

use std::fmt;

/// A format of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The lines of the query API.
    Ndjson,
    /// RFC 4180.
    Csv,
    /// Parquet, if this program was built with it.
    Parquet,
}

/// A program that was built without the feature `parquet`. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this weir was built without Parquet; build one with `cargo build --release --package weir --features parquet`, \
     or export as ndjson or csv, which DuckDB reads as well"
)]
pub struct NoParquet;

impl Shape {
    /// The extension of its files.
    pub const fn extension(self) -> &'static str {
        match self {
            Shape::Ndjson => "ndjson",
            Shape::Csv => "csv",
            Shape::Parquet => "parquet",
        }
    }

    /// Whether this program can write it.
    pub const fn available(self) -> Result<(), NoParquet> {
        match self {
            Shape::Parquet if !cfg!(feature = "parquet") => Err(NoParquet),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_built_says_how_to_get_it() {
        assert_eq!(Shape::Parquet.available().is_ok(), cfg!(feature = "parquet"));
        assert_eq!((Shape::Ndjson.available(), Shape::Csv.available()), (Ok(()), Ok(())));
        let told = NoParquet.to_string();
        assert!(told.contains("--features parquet`") && told.contains("ndjson or csv"), "{told}");
    }
}
