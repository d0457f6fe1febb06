//! Asks the engine, and compares with what was acknowledged.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use weir_engine::{Answer, Cancel, Engine, EngineOptions, Plan, Searchable};
use weir_query::{Anchor, Around, Buckets, Expr, Fingerprint, Matcher, Rows, parse};
use weir_record::RecordId;
use weir_record::limits::QUERY_MEMORY_BYTES_MAX;

use super::mutant::Mutant;
use super::oracle::{Oracle, Shown, histogram_of, prints_of, rows_of};
use super::queries::Ask;
use super::seen::Seen;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let memory_bytes_max = QUERY_MEMORY_BYTES_MAX;
        let options = EngineOptions { workers: 2, memory_bytes_max, memory_bytes_all_max: usize::MAX };
        Engine::new(options).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Asks one question in every way, and says what is wrong with an answer.
pub(super) fn check(
    oracle: &Oracle,
    there: &[usize],
    over: &[Searchable],
    ask: &Ask,
    mutant: Mutant,
    seen: &mut Seen,
) -> Result<(), String> {
    let text = ask.expr.to_string();
    let context = |what: String| format!("{what}\nof the query: {text}\n{ask:?}");
    if parse(&text).as_ref() != Ok(&ask.expr) {
        return Err(context(format!("reads as {:?}", parse(&text))));
    }
    let plan = plan_of(ask, mutant);
    let found = oracle.matching(there, ask);
    seen.hits += found.len() as u64;
    seen.queries += 1;

    let (rows, answer) = rows(|sink| engine().run_over(&plan, over, &Cancel::new(), sink), &context)?;
    let wanted = rows_of(&found, ask.limit);
    differ("rows", &rows, &wanted).map_err(context)?;
    let limited = ask.limit.is_some_and(|limit| found.len() as u64 >= limit);
    if answer.stats.limited != limited {
        return Err(context(format!("limited: {}", answer.stats.limited)));
    }
    seen.limited += u64::from(limited && !rows.is_empty());
    let stats = &answer.stats;
    seen.blocks_pruned += stats.batches_pruned;
    let sources =
        stats.pieces_scanned + stats.pieces_skipped + stats.segments_scanned + stats.segments_skipped;
    if sources != over.len() as u64 {
        return Err(context(format!("{sources} of {} searchables are accounted for", over.len())));
    }

    let told = |error: &dyn std::fmt::Display| context(error.to_string());
    let counted = engine().count_over(&plan, over, &Cancel::new()).map_err(|error| told(&error))?;
    if counted.stats.records_matched != found.len() as u64 {
        let got = counted.stats.records_matched;
        return Err(context(format!("counted {got}, there are {}", found.len())));
    }

    let buckets = buckets_of(ask, mutant);
    let counted = engine().histogram_over(&plan, buckets, over, &Cancel::new());
    let (histogram, answer) = counted.map_err(|error| told(&error))?;
    let wanted = histogram_of(&found, ask);
    seen.in_buckets += wanted.total();
    if histogram.counts() != wanted.counts() || answer.stats.records_matched != wanted.total() {
        return Err(context(format!("histogram: {:?}\nexpected: {:?}", histogram.counts(), wanted.counts())));
    }

    if ask.limit == Some(0) {
        let whole = Plan { limit: None, ..plan.clone() };
        let mut prints: Vec<(RecordId, Fingerprint)> = Vec::new();
        let mut sink = |rows: Rows| {
            prints.extend(rows.iter().filter_map(|row| Some((row.id, Fingerprint::read(row.payload)?))));
            ControlFlow::Continue(())
        };
        engine().hashes_over(&whole, over, &Cancel::new(), &mut sink).map_err(|error| told(&error))?;
        prints.sort_unstable();
        if prints != prints_of(&found) {
            return Err(context(format!("{} fingerprints, not those of {}", prints.len(), found.len())));
        }
        seen.fingerprints += prints.len() as u64;
    }

    let Some(hit) = found.get(found.len() / 2) else { return Ok(()) };
    let (before, after, reach_ms) = ask.context;
    let anchor = Anchor { id: hit.id, stream: Arc::clone(hit.stream) };
    let around = Around { before, after, reach_ms, anchors: vec![anchor.clone()] };
    let (mut rows, _) =
        self::rows(|sink| engine().around_over(&around, over, &Cancel::new(), sink), &context)?;
    rows.sort();
    seen.neighbours += rows.len() as u64;
    differ("neighbours", &rows, &oracle.around(there, &anchor, ask)).map_err(context)
}

/// All rows of an answer that lacks nothing.
fn rows(
    run: impl FnOnce(&mut dyn FnMut(Rows) -> ControlFlow<()>) -> Result<Answer, weir_engine::EngineError>,
    context: &dyn Fn(String) -> String,
) -> Result<(Vec<Shown>, Answer), String> {
    let mut shown = Vec::new();
    let answer = run(&mut |rows: Rows| {
        shown.extend(rows.iter().map(|row| (row.id, row.payload.to_vec(), Arc::clone(row.stream))));
        ControlFlow::Continue(())
    });
    let answer = answer.map_err(|error| context(error.to_string()))?;
    if !answer.stats.complete || !answer.damaged.is_empty() {
        return Err(context(format!("not whole: {:?} {:?}", answer.stats.missing, answer.damaged)));
    }
    Ok((shown, answer))
}

/// Where two lists part.
fn differ(what: &str, got: &[Shown], wanted: &[Shown]) -> Result<(), String> {
    if got == wanted {
        return Ok(());
    }
    let place = got.iter().zip(wanted).take_while(|(got, wanted)| got == wanted).count();
    let show = |shown: Option<&Shown>| {
        shown.map(|(id, payload, stream)| format!("{id} {stream:?} {}", payload.escape_ascii()))
    };
    Err(format!(
        "{what}: {} instead of {}; row {place} is {:?} instead of {:?}",
        got.len(),
        wanted.len(),
        show(got.get(place)),
        show(wanted.get(place))
    ))
}

fn plan_of(ask: &Ask, mutant: Mutant) -> Plan {
    let expr = match (&ask.expr, mutant) {
        (Expr::And(parts), Mutant::TermForgotten) => Expr::all_of(parts[1..].iter().cloned()),
        (expr, _) => expr.clone(),
    };
    let to = match mutant {
        Mutant::EndIncluded => ask.to.checked_add(1).unwrap_or(RecordId::MAX),
        _ => ask.to,
    };
    let matcher = Matcher::compile(&expr).unwrap_or_else(|error| panic!("{error}: {expr}"));
    Plan { matcher, from: ask.from, to, limit: ask.limit, order: ask.order, whole: false, stages: None }
}

fn buckets_of(ask: &Ask, mutant: Mutant) -> Buckets {
    if mutant != Mutant::BucketsLate {
        return ask.buckets;
    }
    let (from_ms, width_ms, count) =
        (ask.buckets.from_ms() + 1, ask.buckets.width_ms(), ask.buckets.count() as u64);
    Buckets::new(from_ms, width_ms, count).unwrap_or(ask.buckets)
}
