//! Which segments of a unit are merged next: a pure function of their sizes.
//!
//! Sizes are payload bytes: unlike files they add up exactly. Segments fall into classes, each `inputs_min`
//! times as large as the one before. A class is merged when it has `inputs_min` members, or enough to fill a
//! segment: what comes out lies at least one class higher, or is full. So no byte is written more often than
//! there are classes between the smallest segment and the target, and at most `inputs_min` members of each
//! class wait.
//!
//! A unit that has settled is written once more, as densely as it is to stay: first what was never, in the order
//! of its ids and a full segment at a time. After that its smallest segments are merged whatever their class,
//! as long as the largest of them is at most `inputs_min` times as large as all others together, so that a late
//! straggler does not rewrite a large segment.

use weir_record::limits::{STORE_COMPACT_INPUTS_MAX, STORE_COMPACT_INPUTS_MIN};

/// How large a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize {
    /// Payload bytes.
    pub payload_bytes: u64,
    /// Origins in its lineage.
    pub origins: usize,
    /// Its lowest id, as a number.
    pub low: u128,
    /// Whether it is as dense as segments of settled units are to be.
    pub is_dense: bool,
}

/// How segments are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanRules {
    /// Payload bytes that a merged segment may have; from half of it on a segment is full.
    pub target_bytes: u64,
    /// Origins that it may have.
    pub origins_max: usize,
    /// Members of a class that are merged, at least 2; also how much larger the next class is.
    pub inputs_min: usize,
    /// Most segments in one merge.
    pub inputs_max: usize,
}

impl PlanRules {
    /// The usual rules.
    pub fn new(target_bytes: u64) -> PlanRules {
        PlanRules {
            target_bytes,
            origins_max: weir_record::limits::SEGMENT_ORIGINS_MAX,
            inputs_min: STORE_COMPACT_INPUTS_MIN,
            inputs_max: STORE_COMPACT_INPUTS_MAX,
        }
    }
}

/// The places of the segments of one unit that are to be merged into one now, smallest first, at least two;
/// none when there is nothing to do.
pub fn plan_compaction(sizes: &[SegmentSize], rules: &PlanRules) -> Vec<usize> {
    assert!(rules.inputs_min >= 2 && rules.inputs_max >= 2, "a merge has two inputs at least");
    let mut small: Vec<usize> =
        (0..sizes.len()).filter(|&place| sizes[place].payload_bytes < rules.target_bytes / 2).collect();
    small.sort_by_key(|&place| (sizes[place].payload_bytes, place));
    let class = |place: &usize| sizes[*place].payload_bytes.max(1).ilog(rules.inputs_min as u64);
    for members in small.chunk_by(|a, b| class(a) == class(b)) {
        let bytes: u64 = members.iter().map(|&place| sizes[place].payload_bytes).sum();
        if members.len() >= rules.inputs_min || bytes >= rules.target_bytes {
            let group = &members[..fitting(members, sizes, rules)];
            if group.len() >= 2 {
                return group.to_vec();
            }
        }
    }
    Vec::new()
}

/// The places of the segments of a settled unit that are written anew into one, in the order of their ids or of
/// their sizes, at least one; none when there is nothing to do.
pub fn plan_settling(sizes: &[SegmentSize], rules: &PlanRules) -> Vec<usize> {
    let mut loose: Vec<usize> = (0..sizes.len()).filter(|&place| !sizes[place].is_dense).collect();
    loose.sort_by_key(|&place| (sizes[place].low, place));
    if !loose.is_empty() {
        // What is too large for the target is written anew on its own.
        loose.truncate(fitting(&loose, sizes, rules).max(1));
        return loose;
    }
    let mut small: Vec<usize> =
        (0..sizes.len()).filter(|&place| sizes[place].payload_bytes < rules.target_bytes / 2).collect();
    small.sort_by_key(|&place| (sizes[place].payload_bytes, place));
    let mut group = fitting(&small, sizes, rules);
    while group >= 2 {
        let others: u64 = small[..group - 1].iter().map(|&place| sizes[place].payload_bytes).sum();
        let largest = sizes[small[group - 1]].payload_bytes;
        if largest <= others.saturating_mul(rules.inputs_min as u64) {
            return small[..group].to_vec();
        }
        group -= 1;
    }
    Vec::new()
}

/// How many of these, from the first on, fit one segment.
fn fitting(places: &[usize], sizes: &[SegmentSize], rules: &PlanRules) -> usize {
    let (mut bytes, mut origins) = (0_u64, 0_usize);
    let fits = |&&place: &&usize| {
        bytes += sizes[place].payload_bytes;
        origins += sizes[place].origins;
        bytes <= rules.target_bytes && origins <= rules.origins_max
    };
    places.iter().take(rules.inputs_max).take_while(fits).count()
}

/// How many of these ranges, both ends included, have one place in common at most.
pub(crate) fn overlap(ranges: &[(u128, u128)]) -> usize {
    let mut lows: Vec<u128> = ranges.iter().map(|range| range.0).collect();
    let mut highs: Vec<u128> = ranges.iter().map(|range| range.1).collect();
    lows.sort_unstable();
    highs.sort_unstable();
    let mut ended = 0;
    let open = lows.iter().enumerate().map(|(begun, low)| {
        while highs[ended] < *low {
            ended += 1;
        }
        begun + 1 - ended
    });
    open.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(payload_bytes: u64) -> SegmentSize {
        SegmentSize { payload_bytes, origins: 1, low: 0, is_dense: true }
    }

    const RULES: PlanRules = PlanRules { target_bytes: 1000, origins_max: 100, inputs_min: 4, inputs_max: 6 };

    #[test]
    fn ranges_overlap_where_most_of_them_meet() {
        for (ranges, expected) in [
            (&[][..], 0),
            (&[(3, 3)], 1),
            (&[(0, 1), (2, 3), (4, 9)], 1),
            (&[(0, 2), (2, 3), (3, 9)], 2),
            (&[(5, 9), (0, 9), (6, 7), (8, 8)], 3),
        ] {
            assert_eq!(overlap(ranges), expected, "{ranges:?}");
        }
    }

    #[test]
    fn a_class_is_merged_when_it_is_large_enough() {
        for (sizes, is_settled, expected) in [
            (vec![], false, vec![]),
            (vec![5, 5, 5], false, vec![]),
            (vec![5, 400, 6, 7, 600, 8], false, vec![0, 2, 3, 5]),
            // More than a merge takes: the smallest of the class.
            (vec![15, 14, 13, 12, 11, 10, 9, 8], false, vec![7, 6, 5, 4, 3, 2]),
            // Too few of their class, and enough to fill a segment.
            (vec![400, 410, 420], false, vec![0, 1]),
            (vec![400, 410], false, vec![]),
            // Full ones are left alone.
            (vec![500, 500, 500, 500, 500], true, vec![]),
            (vec![1, 4, 16], true, vec![0, 1, 2]),
            // A straggler does not rewrite a large one, and goes with others of its kind.
            (vec![1, 400], true, vec![]),
            (vec![60, 50, 400], true, vec![1, 0, 2]),
            (vec![0, 0], true, vec![0, 1]),
        ] {
            let sizes: Vec<_> = sizes.into_iter().map(size).collect();
            let plan = if is_settled { plan_settling } else { plan_compaction };
            assert_eq!(plan(&sizes, &RULES), expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_lineage_has_a_limit() {
        let sizes = [size(10); 5].map(|size| SegmentSize { origins: 30, ..size });
        assert_eq!(plan_compaction(&sizes, &RULES), [0, 1, 2]);
    }

    #[test]
    fn a_settled_unit_is_written_densely_once_in_the_order_of_its_ids() {
        let at = |low, payload_bytes, is_dense| SegmentSize { low, is_dense, ..size(payload_bytes) };
        let mut sizes = vec![
            at(50, 400, false),
            at(10, 500, false),
            at(30, 300, false),
            at(20, 2000, true),
            at(90, 5000, false),
            at(95, 4, false),
        ];
        let mut steps = Vec::new();
        loop {
            let group = plan_settling(&sizes, &RULES);
            if group.is_empty() {
                break;
            }
            for &place in &group {
                sizes[place].is_dense = true;
            }
            let lows: Vec<u128> = group.iter().map(|&place| sizes[place].low).collect();
            steps.push(lows);
            assert!(steps.len() < 9, "{steps:?}");
            // As the store would: one segment in the place of several.
            let whole = group.iter().map(|&place| sizes[place].payload_bytes).sum();
            sizes[group[0]].payload_bytes = whole;
            let mut rest = group[1..].to_vec();
            rest.sort_unstable();
            for place in rest.into_iter().rev() {
                sizes.remove(place);
            }
        }
        assert_eq!(steps, [vec![10, 30], vec![50], vec![90], vec![95]]);
    }

    /// Carries plans out until there is none; returns the bytes written.
    fn carry_out(
        sizes: &mut Vec<SegmentSize>,
        rules: &PlanRules,
        plan: fn(&[SegmentSize], &PlanRules) -> Vec<usize>,
    ) -> u64 {
        let mut written = 0;
        loop {
            let group = plan(sizes, rules);
            if group.is_empty() {
                return written;
            }
            let inputs: Vec<_> = group.iter().map(|&place| sizes[place]).collect();
            let output = SegmentSize {
                payload_bytes: inputs.iter().map(|size| size.payload_bytes).sum(),
                origins: inputs.iter().map(|size| size.origins).sum(),
                ..inputs[0]
            };
            let mut places = group;
            places.sort_unstable();
            places.dedup();
            assert!(places.len() == inputs.len() && places.len() >= 2, "each once, and two at least");
            assert!(inputs.iter().all(|size| size.payload_bytes < rules.target_bytes / 2), "none is full");
            assert!(output.payload_bytes <= rules.target_bytes && output.origins <= rules.origins_max);
            for place in places.into_iter().rev() {
                sizes.remove(place);
            }
            sizes.push(output);
            written += output.payload_bytes;
        }
    }

    proptest! {
        #[test]
        fn it_comes_to_an_end_and_writes_no_byte_more_often_than_there_are_classes(
            arrivals in prop::collection::vec(1..3000_u64, 1..400),
            stragglers in prop::collection::vec(1..3000_u64, 0..50),
        ) {
            let rules = PlanRules { target_bytes: 20_000, origins_max: 10_000, ..PlanRules::new(0) };
            let (mut sizes, mut written, mut came) = (Vec::new(), 0, 0);
            for bytes in arrivals {
                sizes.push(size(bytes));
                came += bytes;
                written += carry_out(&mut sizes, &rules, plan_compaction);
            }
            // 8^0 to 8^4: five classes lie below a full segment.
            prop_assert!(written <= came * 5, "{written} of {came}");
            let small = |sizes: &[SegmentSize]| sizes.iter().filter(|size| size.payload_bytes < 10_000).count();
            prop_assert!(small(&sizes) <= 5 * 8, "{}", small(&sizes));
            for bytes in stragglers {
                sizes.push(size(bytes));
                came += bytes;
                written += carry_out(&mut sizes, &rules, plan_settling);
            }
            written += carry_out(&mut sizes, &rules, plan_settling);
            prop_assert!(written <= came * 12, "{written} of {came}");
            // What is left of small ones grows at least eightfold from one to the next.
            prop_assert!(small(&sizes) <= 7, "{sizes:?}");
        }
    }
}
