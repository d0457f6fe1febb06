//! Where records go: a folder per hour, as hive names them, so that a reader of one day opens one day.

use std::path::{Path, PathBuf};

use weir_api::format::rfc3339_ms;
use weir_segment::SegmentName;

use crate::shape::Shape;

const HOUR_MS: u64 = 3_600_000;

/// The hour of a record, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hour(u64);

impl Hour {
    pub(crate) fn of(time_ms: u64) -> Hour {
        Hour(time_ms / HOUR_MS)
    }

    /// `date=YYYY-MM-DD/hour=HH/<name>.<extension>` below `root`, in UTC.
    pub(crate) fn path(self, root: &Path, segment: &SegmentName, shape: Shape) -> PathBuf {
        let text = rfc3339_ms(self.0 * HOUR_MS);
        let (date, time) = text.split_once('T').unwrap_or((&text, ""));
        let hour = time.split(':').next().unwrap_or_default();
        let name = segment.to_string();
        let name = name.strip_suffix(".zst").unwrap_or(&name);
        root.join(format!("date={date}")).join(format!("hour={hour}")).join(format!("{name}.{shape}"))
    }
}

#[cfg(test)]
mod tests {
    use weir_record::RecordId;
    use weir_segment::Unit;

    use super::*;

    #[test]
    fn each_hour_has_its_folder() {
        let unit = Unit::new(0, 86_400_000, "default", 0, 1).unwrap();
        let name = SegmentName { unit, low: RecordId::MIN, high: RecordId::MAX, digest: 1 };
        let stem = name.to_string();
        let stem = stem.trim_end_matches(".zst");
        for (time_ms, folder) in [
            (0, "date=1970-01-01/hour=00"),
            (1_700_000_000_042, "date=2023-11-14/hour=22"),
            (1_709_251_199_999, "date=2024-02-29/hour=23"),
        ] {
            assert_eq!(
                Hour::of(time_ms).path(Path::new("out"), &name, Shape::Parquet),
                Path::new("out").join(folder).join(format!("{stem}.parquet"))
            );
        }
    }
}
