//! Groups against a naive reference over a list.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec;

use proptest::prelude::*;

use super::*;

/// A record: time in ms, stream, payload.
type Record = (u64, usize, String);

fn stream(number: usize) -> Arc<Stream> {
    // Numbers that differ by 10 are one source whose records have another mark.
    let labels = [("n", (number % 10).to_string())];
    let stream = Stream::new("t", labels).unwrap();
    Arc::new(if number >= 10 { stream.marked("_part", "last") } else { stream })
}

fn rows_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Rows {
    let mut rows = Rows::new();
    for (time, number, payload) in records {
        let stream = rows.add_stream(stream(*number));
        rows.push(RecordId::lowest_at(*time), stream, payload.as_bytes());
    }
    rows
}

/// Answers a question from a list, as one node would that has these.
fn answered(around: &Around, held: &[Record]) -> Rows {
    let mut found = Vec::new();
    for anchor in &around.anchors {
        let [older, newer] = anchor.sides(around.reach_ms);
        let of_source = |range: Option<(RecordId, RecordId)>| {
            let mut all: Vec<&Record> = held
                .iter()
                .filter(|(time, number, _)| {
                    let id = RecordId::lowest_at(*time);
                    is_same_source(&stream(*number), &anchor.stream)
                        && range.is_some_and(|(low, high)| (low..=high).contains(&id))
                })
                .collect();
            all.sort();
            all
        };
        found.extend(of_source(older).into_iter().rev().take(around.before));
        found.extend(of_source(newer).into_iter().take(around.after));
    }
    rows_of(found)
}

/// What is sent: `--` between groups, hits in brackets.
fn shown(mut groups: Groups, nodes: &[Vec<Record>]) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match groups.step() {
            Next::Ask(around) => {
                assert!(!around.anchors.is_empty() && around.anchors.len() <= QUERY_CONTEXT_WINDOW_HITS);
                for held in nodes {
                    groups.answer(&answered(&around, held)).unwrap();
                }
            }
            Next::Send(rows) => {
                assert!(!rows.is_empty());
                for (index, row) in rows.iter().enumerate() {
                    let mark = rows.mark(index);
                    if mark.begins_group {
                        lines.push("--".into());
                    }
                    let text = String::from_utf8_lossy(row.payload).into_owned();
                    lines.push(if mark.is_context { text } else { alloc::format!("[{text}]") });
                }
            }
            Next::Done => return lines,
        }
    }
}

/// The same from the whole list at once: of each stream mark what is near a hit, cut into runs, order the runs.
fn expected(context: Context, order: Order, all: &[Record], is_hit: &dyn Fn(&Record) -> bool) -> Vec<String> {
    let mut runs: Vec<(u64, Vec<String>)> = Vec::new();
    for source in 0..10 {
        let mut records: Vec<&Record> = all.iter().filter(|record| record.1 % 10 == source).collect();
        records.sort();
        let (mut lead, mut trail) = (context.before, context.after);
        if order == Order::Desc {
            records.reverse();
            core::mem::swap(&mut lead, &mut trail);
        }
        let hits: Vec<usize> = (0..records.len()).filter(|at| is_hit(records[*at])).collect();
        let near = |at: usize| hits.iter().any(|hit| at + lead >= *hit && at <= *hit + trail);
        let mut open = false;
        for (at, record) in records.iter().enumerate() {
            if !near(at) {
                open = false;
                continue;
            }
            if !open {
                let first = hits.iter().find(|hit| **hit + trail >= at && at + lead >= **hit).unwrap();
                runs.push((records[*first].0, Vec::new()));
                open = true;
            }
            let text = if is_hit(record) { alloc::format!("[{}]", record.2) } else { record.2.clone() };
            runs.last_mut().unwrap().1.push(text);
        }
    }
    runs.sort_by_key(|(time, _)| if order == Order::Asc { *time } else { !*time });
    runs.into_iter().map(|(_, lines)| lines).collect::<Vec<_>>().join(&String::from("--"))
}

fn hits_of(order: Order, all: &[Record], is_hit: &dyn Fn(&Record) -> bool) -> Vec<Rows> {
    let mut hits: Vec<&Record> = all.iter().filter(|record| is_hit(record)).collect();
    hits.sort();
    if order == Order::Desc {
        hits.reverse();
    }
    hits.chunks(7).map(|chunk| rows_of(chunk.iter().copied())).collect()
}

proptest! {
    #[test]
    fn groups_are_those_of_a_list(
        picks in prop::collection::vec((0..4_usize, 0..12_u8, 0..8_u8), 0..300),
        before in 0..6_usize,
        after in 0..6_usize,
        desc in any::<bool>(),
        window in 1..5_usize,
    ) {
        // Each record is held by one node or by two; hits are one in twelve.
        let all: Vec<Record> = (0..)
            .zip(&picks)
            .map(|(time, (number, hit, part))| {
                let what = if *hit == 0 { "hit" } else { "" };
                (time, number % 3 + if *part == 0 { 10 } else { 0 }, alloc::format!("{what}{time}"))
            })
            .collect();
        let held = |node: u8| -> Vec<Record> {
            let here = |(_, (_, _, on)): &(&Record, &(usize, u8, u8))| on % 3 == node || on % 4 == node;
            all.iter().zip(&picks).filter(here).map(|(record, _)| record.clone()).collect()
        };
        let nodes = vec![held(0), held(1), held(2)];
        let is_hit = |record: &Record| record.2.starts_with("hit");
        let order = if desc { Order::Desc } else { Order::Asc };
        let context = Context { before, after };
        let mut groups = Groups::new(context, order, hits_of(order, &all, &is_hit));
        groups.window = window;
        prop_assert_eq!(shown(groups, &nodes), expected(context, order, &all, &is_hit));
    }
}

fn line(text: &str) -> Vec<Record> {
    (0..).zip(text.split(' ')).map(|(time, word)| (time, 0, word.to_owned())).collect()
}

#[test]
fn groups_touch_overlap_or_have_a_gap_as_with_grep() {
    let is_hit = |record: &Record| record.2.starts_with('x');
    for (records, before, after, expected) in [
        ("a b x c d", 1, 1, "b [x] c"),
        ("a x b c x d", 1, 1, "a [x] b c [x] d"),
        ("a x b c d x e", 1, 1, "a [x] b -- d [x] e"),
        ("x1 x2 a", 0, 1, "[x1] [x2] a"),
        ("x1 a x2", 0, 0, "[x1] -- [x2]"),
        ("x1 x2", 0, 0, "[x1] [x2]"),
        ("a b x1 c x2", 5, 0, "a b [x1] c [x2]"),
    ] {
        let all = line(records);
        let context = Context { before, after };
        let groups = Groups::new(context, Order::Asc, hits_of(Order::Asc, &all, &is_hit));
        assert_eq!(shown(groups, core::slice::from_ref(&all)).join(" "), expected, "{records}");
    }
}

#[test]
fn what_is_out_of_reach_is_no_context() {
    let all: Vec<Record> = vec![
        (0, 0, "a".into()),
        (5, 0, "b".into()),
        (QUERY_CONTEXT_REACH_MS + 3, 0, "hit".into()),
        (2 * QUERY_CONTEXT_REACH_MS + 3, 0, "c".into()),
        (2 * QUERY_CONTEXT_REACH_MS + 4, 0, "d".into()),
    ];
    let is_hit = |record: &Record| record.2 == "hit";
    let context = Context { before: 3, after: 3 };
    for (order, expected) in [(Order::Asc, "b [hit] c"), (Order::Desc, "c [hit] b")] {
        let groups = Groups::new(context, order, hits_of(order, &all, &is_hit));
        assert_eq!(shown(groups, core::slice::from_ref(&all)).join(" "), expected);
    }
}

#[test]
fn many_large_neighbours_are_refused() {
    let all: Vec<Record> = (0..100).map(|time| (time, 0, "x".repeat(1 << 20))).collect();
    let hits = hits_of(Order::Asc, &all[..50], &|record| record.0 == 40);
    let mut groups = Groups::new(Context { before: 100, after: 100 }, Order::Asc, hits);
    let Next::Ask(around) = groups.step() else { panic!("nothing is asked") };
    assert_eq!(groups.answer(&answered(&around, &all)), Err(ContextTooLarge));
}
