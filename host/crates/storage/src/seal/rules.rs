//! Which unit a record belongs to.

use std::collections::BTreeMap;

use weir_record::RecordId;
use weir_record::id::TIME_MS_MAX;
use weir_record::limits::UNIT_LATE_AFTER_MS;
use weir_replication::partitions_for;
use weir_segment::Unit;
use weir_segment::unit::UnitError;

const DEFAULT_CLASS: &str = "default";

/// Length of buckets and retention classes of topics: the same on every node that seals for one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRules {
    bucket_ms: u64,
    /// Class 0 is `default`.
    classes: Vec<String>,
    by_topic: BTreeMap<String, u16>,
}

/// When a piece is sealed, and for how many: what may differ when it is sealed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Unix milliseconds.
    pub now_ms: u64,
    /// Partitions of plain units whose bucket has not ended long ago; see [`partitions_for`].
    pub partitions: u16,
}

impl UnitRules {
    /// Rules of a bucket length and the classes of some topics; all other topics have the class `default`.
    /// Refuses what no unit can be made of.
    pub fn new<T: Into<String>>(
        bucket_ms: u64,
        classes: impl IntoIterator<Item = (T, T)>,
    ) -> Result<UnitRules, UnitError> {
        let mut rules =
            UnitRules { bucket_ms, classes: vec![DEFAULT_CLASS.into()], by_topic: BTreeMap::new() };
        Unit::new(0, bucket_ms, DEFAULT_CLASS, 0, 1)?;
        for (topic, class) in classes {
            let class = class.into();
            Unit::new(0, bucket_ms, &class, 0, 1)?;
            let known = rules.classes.iter().position(|known| *known == class);
            let place = known.unwrap_or(rules.classes.len());
            if place == rules.classes.len() {
                rules.classes.push(class);
            }
            rules.by_topic.insert(topic.into(), place as u16);
        }
        Ok(rules)
    }

    /// The class of a topic.
    pub fn class_of(&self, topic: &str) -> &str {
        self.class(self.class_number(topic))
    }

    pub(super) fn class_number(&self, topic: &str) -> u16 {
        self.by_topic.get(topic).copied().unwrap_or(0)
    }

    pub(super) fn class(&self, number: u16) -> &str {
        self.classes.get(usize::from(number)).map_or(DEFAULT_CLASS, String::as_str)
    }

    /// The bucket of an id: start and length. Where the last whole bucket of all time has ended, a few days
    /// before the year 10890, buckets of a millisecond follow.
    pub(super) fn bucket(&self, id: RecordId) -> (u64, u64) {
        let time_ms = id.time_ms();
        let start_ms = time_ms - time_ms % self.bucket_ms;
        let whole = start_ms.checked_add(self.bucket_ms).is_some_and(|end| end <= TIME_MS_MAX + 1);
        if whole { (start_ms, self.bucket_ms) } else { (time_ms, 1) }
    }
}

impl Moment {
    /// Partitions of a bucket: one when it ended long ago, for then few records come.
    pub(super) fn partitions(self, start_ms: u64, bucket_ms: u64) -> u16 {
        let end_ms = start_ms.saturating_add(bucket_ms);
        let late = self.now_ms >= end_ms.saturating_add(UNIT_LATE_AFTER_MS);
        if late { 1 } else { partitions_for(usize::from(self.partitions)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_bucket_and_late_ones_have_one_partition() {
        let rules = UnitRules::new(3_600_000, [("debug", "short"), ("trace", "short")]).unwrap();
        for time_ms in [0, 1, 3_599_999, 3_600_000, TIME_MS_MAX - 1, TIME_MS_MAX] {
            let id = RecordId::lowest_at(time_ms);
            let (start_ms, bucket_ms) = rules.bucket(id);
            let unit = Unit::new(start_ms, bucket_ms, rules.class_of("debug"), 0, 1).unwrap();
            assert!(unit.holds(id), "{time_ms}");
        }
        let classes = ["debug", "trace", "orders"].map(|topic| rules.class_of(topic));
        assert_eq!(classes, ["short", "short", "default"]);
        let moment = |now_ms| Moment { now_ms, partitions: 3 };
        for (now_ms, partitions) in [(0, 4), (7_199_999, 4), (7_200_000, 1), (u64::MAX, 1)] {
            assert_eq!(moment(now_ms).partitions(0, 3_600_000), partitions, "{now_ms}");
        }
    }

    #[test]
    fn rules_that_no_unit_can_be_made_of_are_refused() {
        assert!(UnitRules::new(0, [("t", "class")]).is_err());
        assert!(UnitRules::new(1000, [("t", "a.b")]).is_err());
        assert!(UnitRules::new(1000, [("t", "")]).is_err());
    }
}
