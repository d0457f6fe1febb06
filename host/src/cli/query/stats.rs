//! The statistics of an answer as people read them: what was read and skipped, why, and where the time went.

use weir_api::wire::QueryStats;

use crate::cli::terminal::table;

/// A line, a table, and the times.
pub(super) fn told(stats: &QueryStats, colored: bool) -> String {
    let limited = if stats.limited { ", ended by the limit" } else { "" };
    let mut text = format!("{} records in {} ms{limited}\n", stats.records_matched, stats.duration_ms);
    let number = |count: u64| count.to_string();
    let blank = String::new;
    let rows = [
        vec![
            "segments".into(),
            number(stats.segments_scanned),
            number(stats.segments_skipped),
            number(stats.segments_skipped_time),
            number(stats.segments_skipped_streams),
            number(stats.segments_pruned),
        ],
        vec![
            "log pieces".into(),
            number(stats.pieces_scanned),
            number(stats.pieces_skipped),
            blank(),
            blank(),
            blank(),
        ],
        vec![
            "blocks".into(),
            number(stats.batches_scanned),
            number(stats.batches_skipped),
            blank(),
            blank(),
            number(stats.batches_pruned),
        ],
        vec![
            "bytes".into(),
            megabytes(stats.bytes_scanned),
            megabytes(stats.bytes_skipped),
            blank(),
            blank(),
            megabytes(stats.bytes_pruned),
        ],
        vec!["records".into(), number(stats.records_scanned), blank(), blank(), blank(), blank()],
    ];
    let heading = ["", "READ", "SKIPPED", "BY TIME", "BY STREAMS", "BY FILTERS"];
    table(&heading, &rows, colored).lines().for_each(|line| {
        text.push_str(line.trim_end());
        text.push('\n');
    });
    text.push_str(&times(stats));
    let counted = [
        (stats.repeats, "repeats left out"),
        (stats.conflicts, "records share their id"),
        (stats.unjudged, "records that a filter has failed on, and that its on_trap let pass or left out"),
        (stats.filters_unreadable, "filters could not be read; what they might have excluded was searched"),
    ];
    for (count, what) in counted.into_iter().filter(|(count, _)| *count > 0) {
        text.extend([&number(count), " ", what, "\n"]);
    }
    text
}

/// Where the time went: that of the workers of all nodes, then that of the query itself.
fn times(stats: &QueryStats) -> String {
    let stages = &stats.stages;
    let ms = |us: u64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
    let busy_seconds = stages.scan_us.max(1) as f64 / 1e6;
    let rate = stats.bytes_scanned as f64 / 1e6 / busy_seconds;
    format!(
        "workers: filters {}, read and decode {}, match {}; {rate:.0} MB/s each\n\
         query: queue {}, plan {}, wait for workers {}, merge {}, send {}\n",
        ms(stages.filter_us),
        ms(stages.decode_us),
        ms(stages.match_us),
        ms(stages.queue_us),
        ms(stages.plan_us),
        ms(stages.wait_us),
        ms(stages.merge_us),
        ms(stages.send_us),
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use weir_api::wire::QueryStages;

    use super::*;

    #[test]
    fn what_was_read_and_skipped_lines_up() {
        let stages =
            QueryStages { scan_us: 500_000, decode_us: 400_300, match_us: 99_000, ..Default::default() };
        let stats = QueryStats {
            records_matched: 2,
            duration_ms: 300,
            limited: true,
            segments_scanned: 3,
            segments_skipped: 40,
            segments_skipped_time: 30,
            segments_skipped_streams: 2,
            segments_pruned: 8,
            batches_scanned: 12,
            batches_skipped: 400,
            batches_pruned: 388,
            bytes_scanned: 12_000_000,
            repeats: 1,
            stages,
            ..QueryStats::default()
        };
        let expected = "\
2 records in 300 ms, ended by the limit
            READ     SKIPPED  BY TIME  BY STREAMS  BY FILTERS
segments    3        40       30       2           8
log pieces  0        0
blocks      12       400                           388
bytes       12.0 MB  0.0 MB                        0.0 MB
records     0
workers: filters 0.0 ms, read and decode 400.3 ms, match 99.0 ms; 24 MB/s each
query: queue 0.0 ms, plan 0.0 ms, wait for workers 0.0 ms, merge 0.0 ms, send 0.0 ms
1 repeats left out
";
        assert_eq!(told(&stats, false), expected);
    }
}
