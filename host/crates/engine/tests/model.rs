//! Random records in random pieces, random queries: the answer is that of a filter over a list.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use weir_engine::{Cancel, Engine, Plan};
use weir_query::{Expr, Matcher, Order, parse};
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;
use weir_record::{Batch, RecordId};

use crate::memory::{MemoryPiece, Shown, ask, batch, engine, pieces};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| engine(3, QUERY_MEMORY_BYTES_MAX));

/// Batches in pieces. Ids come from a small range, so that repeats and conflicts are common.
fn stored() -> impl Strategy<Value = Vec<Vec<Batch>>> {
    let payload = || prop_oneof![3 => "[abAB_ .-]{0,5}", 1 => prop::sample::select(FIELDS.to_vec()).prop_map(String::from)];
    let spread = prop::collection::vec((0..60_u128, payload()), 1..6);
    let counted_up = (0..60_u128, prop::collection::vec(payload(), 1..6))
        .prop_map(|(first, payloads)| (first..).zip(payloads).collect());
    let records = prop_oneof![spread, counted_up];
    let one = (prop::sample::select(vec!["s", "t", "u"]), records).prop_map(|(topic, records)| {
        let records: Vec<_> = records.iter().map(|(id, text): &(_, String)| (*id, text.as_bytes())).collect();
        batch(topic, &records)
    });
    prop::collection::vec(prop::collection::vec(one, 1..5), 0..6)
}

/// Payloads with fields.
pub(crate) const FIELDS: [&str; 7] = [
    r#"{"a":1}"#,
    r#"{"a":"b c"}"#,
    r#"{"b":{"a":[5,"b\/c"]}}"#,
    "a=1.0 l=x",
    "ERROR a=b_",
    "l=\"a b\"",
    r#"x {"l":2"#,
];

/// Conditions on those, and on labels of that name.
const CONDITIONS: [&str; 12] = [
    "a:1",
    "a!=1",
    "a>=1",
    "b.a<6",
    "a:\"b c\"",
    "b.a:b/c",
    "l:x",
    "-l:x",
    "l!=2",
    "field.l:\"a b\"",
    "level:error",
    "~A_",
];

pub(crate) fn exprs() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        ("[abA_.-]{1,2}", any::<bool>()).prop_map(|(text, any_case)| Expr::Word { text, any_case }),
        ("[abAB .-]{1,2}", any::<bool>())
            .prop_map(|(text, any_case)| Expr::Bytes { bytes: text.into(), any_case }),
        prop::sample::select(vec!["a+b", "^a", "b$", r"\w.", "^$", "(?i)ab|b-"])
            .prop_map(|pattern| Expr::Regex(pattern.into())),
        prop::sample::select(vec!["s", "t", "x"]).prop_map(|topic| Expr::Topic(topic.into())),
        Just(Expr::Label { name: "l".into(), value: String::new() }),
        Just(Expr::All),
        prop::sample::select(CONDITIONS.to_vec()).prop_map(|text| parse(text).unwrap()),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Expr::all_of),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Expr::any_of),
            inner.prop_map(Expr::negated),
        ]
    })
}

fn plans() -> impl Strategy<Value = Plan> {
    let to = prop_oneof![3 => Just(u128::MAX), 1 => 0..70_u128];
    let limit = prop::option::of(0..12_u64);
    (exprs(), 0..30_u128, to, limit, any::<bool>()).prop_map(|(expr, from, to, limit, newest_first)| Plan {
        matcher: Matcher::compile(&expr).unwrap(),
        from: RecordId::from_u128(from),
        to: RecordId::from_u128(to),
        limit,
        order: if newest_first { Order::Desc } else { Order::Asc },
        whole: false,
        stages: None,
    })
}

/// What a plan finds in a list of records, and how many neighbours have one id.
fn naive(stored: &[Vec<Batch>], plan: &Plan) -> (Vec<Shown>, u64) {
    let mut found: Vec<Shown> = Vec::new();
    for batch in stored.iter().flatten() {
        let Some(matcher) = plan.matcher.for_stream(batch.stream()) else { continue };
        for (id, payload) in batch.records() {
            let mut matches = false;
            matcher.scan(&[payload.len() as u32], payload, &mut |_| matches = true);
            if matches && id >= plan.from && id < plan.to {
                found.push((id.to_u128(), batch.stream().topic().to_owned(), payload.to_vec()));
            }
        }
    }
    let key = |record: &Shown| plan.order.key(RecordId::from_u128(record.0));
    found.sort_by(|a, b| (key(a), &a.2, &a.1).cmp(&(key(b), &b.2, &b.1)));
    found.dedup_by(|b, a| (a.0, &a.2) == (b.0, &b.2));
    let conflicts = found.windows(2).filter(|pair| pair[0].0 == pair[1].0).count() as u64;
    (found, conflicts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn the_answer_is_that_of_a_filter_over_a_list(stored in stored(), plan in plans()) {
        let (mut expected, conflicts) = naive(&stored, &plan);
        let total = expected.len() as u64;
        let over: Vec<_> = stored.into_iter().map(|batches| Arc::new(MemoryPiece::new(batches))).collect();

        let counted = ENGINE.count_over(&plan, &pieces(&over), &Cancel::new()).unwrap();
        prop_assert_eq!(counted.stats.records_matched, total);

        let (answer, stats) = ask(&ENGINE, &plan, &over).unwrap();
        if let Some(limit) = plan.limit {
            expected.truncate(limit as usize);
            prop_assert_eq!(stats.limited, total >= limit);
        } else {
            prop_assert_eq!(stats.conflicts, conflicts);
        }
        prop_assert_eq!(stats.records_matched, expected.len() as u64);
        prop_assert_eq!(stats.pieces_scanned + stats.pieces_skipped, over.len() as u64);
        prop_assert!(stats.complete);
        prop_assert_eq!(answer, expected);
    }
}
