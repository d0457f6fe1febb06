//! Tries whether a node would take a component, and whether its answers are a matter of the records alone.

use std::fmt::Write as _;
use std::sync::Arc;

use weir_plugin_runtime::{Hints, Kind};
use weir_record::limits::{PLUGIN_FILE_BYTES_MAX, PLUGIN_MEMORY_BYTES_DEFAULT};

use crate::error::ToolError;
use crate::hinted;
use crate::records::Records;
use crate::trial::{How, Line, Trial};

/// What came of checking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// In the order in which they were looked at.
    pub points: Vec<Point>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// One word.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, and what to do where it is wrong.
    pub told: String,
}

/// What came of looking at one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Right,
    /// Allowed, and most likely not meant.
    Doubtful,
    /// Must not be so.
    Wrong,
    /// Not looked at.
    NotTried,
}

impl Check {
    /// Whether nothing is wrong.
    pub fn is_passed(&self) -> bool {
        self.points.iter().all(|point| point.verdict != Verdict::Wrong)
    }

    fn add(&mut self, name: &'static str, verdict: Verdict, told: impl Into<String>) {
        self.points.push(Point { name, verdict, told: told.into() });
    }
}

/// Checks a plugin that was loaded, which most of a node's own checks have gone before. Without parameters only what
/// needs none is looked at.
pub fn check(trial: &Trial, params: Option<&Arc<str>>, records: &Records) -> Check {
    let mut check = Check { points: Vec::new() };
    static_points(trial, &mut check);
    let kind = trial.plugin().kind();
    if kind == Kind::Source {
        check.add(
            "answers",
            Verdict::NotTried,
            "a source is tried by its own tests, with `weir_plugin_sdk::testing::Run`",
        );
    } else if let Some(params) = params {
        answers(trial, params, records, &mut check);
    } else {
        check.add(
            "answers",
            Verdict::NotTried,
            "it has parameters without defaults: give some with --params",
        );
    }
    check
}

fn static_points(trial: &Trial, check: &mut Check) {
    let plugin = trial.plugin();
    let (kind, info) = (plugin.kind(), plugin.info());
    check.add("world", Verdict::Right, format!("{} of weir:plugin {}", kind.world(), version()));
    let imports =
        if plugin.imports().is_empty() { "nothing".to_owned() } else { plugin.imports().join(", ") };
    check.add("imports", Verdict::Right, imports);
    check.add("size", Verdict::Right, of(trial.file_bytes(), PLUGIN_FILE_BYTES_MAX));
    let schema = info.schema.as_json();
    let says_all = schema.is_none_or(|schema| schema.get("additionalProperties") == Some(&false.into()));
    if says_all {
        let count =
            schema.and_then(|schema| schema.get("properties")?.as_object()).map_or(0, serde_json::Map::len);
        check.add(
            "settings",
            Verdict::Right,
            if count == 0 { "none".into() } else { format!("{count} in its schema") },
        );
    } else {
        let told = "the schema has no \"additionalProperties\": false, so a name that is written wrong is not refused";
        check.add("settings", Verdict::Doubtful, told);
    }
    for need in &info.needs {
        let name = [need.capability.as_str(), need.name.as_str()].join(".");
        let name = name.trim_end_matches('.');
        if kind != Kind::Source {
            let told = format!("it needs {name}, and a {kind} is granted nothing");
            check.add("needs", Verdict::Wrong, told);
        } else if plugin.imports().contains(&need.capability) {
            check.add("needs", Verdict::Right, format!("{name}: {}", need.reason));
        } else {
            check.add(
                "needs",
                Verdict::Doubtful,
                format!("it needs {name}, and does not import {}", need.capability),
            );
        }
    }
    if info.needs.is_empty() {
        check.add("needs", Verdict::Right, "no grant");
    }
}

fn answers(trial: &Trial, params: &Arc<str>, records: &Records, check: &mut Check) {
    let hints = match trial.open(params) {
        Ok(stage) => {
            let memory = of(stage.memory_bytes(), PLUGIN_MEMORY_BYTES_DEFAULT);
            check.add("opens", Verdict::Right, format!("memory at the start: {memory}"));
            stage.hints().clone()
        }
        Err(error) => {
            check.add("opens", Verdict::Wrong, error.to_string());
            return;
        }
    };
    let plain = How::plain(records);
    let expected = match trial.answer_as(params, records, &plain) {
        Ok(expected) => expected,
        Err(error) => {
            check.add("answers", Verdict::Wrong, error.to_string());
            return;
        }
    };
    check.add("answers", Verdict::Right, format!("{} of {} records", rows(expected.len()), records.count()));
    for (name, how, advice) in ways(trial, records, &hints) {
        let found = trial.answer_as(params, records, &how);
        compare(check, name, &expected, found, advice);
    }
    hint_point(trial, params, records, &hints, &expected, check);
}

/// In which ways the same records may come, and what an answer that differs is due to.
fn ways(trial: &Trial, records: &Records, hints: &Hints) -> Vec<(&'static str, How, &'static str)> {
    let plain = How::plain(records);
    let cut = |batch_records, instances| How { batch_records, instances, ..plain.clone() };
    let mut ways = vec![
        (
            "repeats",
            cut(usize::MAX, 1),
            "the same records gave another answer: it must use no randomness, and no order of a hash table",
        ),
        (
            "cuts",
            cut(1, 1),
            "records one by one gave another answer than all at once: it must not depend on where a batch ends",
        ),
        (
            "cuts",
            cut(7, 1),
            "records in batches of 7 gave another answer than all at once: it must not depend on where a batch ends",
        ),
    ];
    // What says that it needs an order is given one, in one instance.
    if hints.in_order {
        return ways;
    }
    ways.push(("instances", cut(5, 3), "three instances that took turns gave another answer than one: nothing may be remembered of the records before"));
    let mut reversed = cut(64, 2);
    reversed.order.reverse();
    ways.push((
        "order",
        reversed,
        "the records in reverse gave another answer: nobody knows in which order they come",
    ));
    if trial.plugin().kind() == Kind::Aggregate {
        let restless = How { is_restless: true, ..cut(11, 3) };
        ways.push(("partials", restless, "many states, merged last first, gave another answer than one: merging must not care for cuts and order, and `partial` must start over"));
    }
    ways
}

fn compare(
    check: &mut Check,
    name: &'static str,
    expected: &[Line],
    found: Result<Vec<Line>, ToolError>,
    advice: &str,
) {
    match found {
        Ok(found) if found == expected => {
            // Two cuts are one point unless they differ.
            if check.points.last().is_none_or(|point| point.name != name) {
                check.add(name, Verdict::Right, "the same answer");
            }
        }
        Ok(found) => check.add(name, Verdict::Wrong, format!("{advice}; {}", difference(expected, &found))),
        Err(error) => check.add(name, Verdict::Wrong, error.to_string()),
    }
}

/// Hints are necessary: what they rule out must not change the answer.
fn hint_point(
    trial: &Trial,
    params: &Arc<str>,
    records: &Records,
    hints: &Hints,
    expected: &[Line],
    check: &mut Check,
) {
    let told = hinted::told(hints);
    if told.is_empty() {
        check.add("hints", Verdict::Right, "none: every record that the query finds is given to it");
        return;
    }
    let mut how = How::plain(records);
    how.order.retain(|&index| hinted::may_matter(hints, records.payload(index)));
    let left = how.order.len();
    match trial.answer_as(params, records, &how) {
        Ok(found) if found == expected => {
            check.add("hints", Verdict::Right, format!("{left} of {} records have {told}", records.count()));
        }
        Ok(found) => {
            let difference = difference(expected, &found);
            let told = format!(
                "the hints say that what matters has {told}, and records without it do, too; {difference}"
            );
            check.add("hints", Verdict::Wrong, told);
        }
        Err(error) => check.add("hints", Verdict::Wrong, error.to_string()),
    }
}

/// The first row in which two answers differ.
pub(crate) fn difference(expected: &[Line], found: &[Line]) -> String {
    let show = |line: Option<&Line>| {
        line.map_or("nothing".to_owned(), |line| {
            let text: String = String::from_utf8_lossy(&line.payload).chars().take(200).collect();
            format!("{text:?}")
        })
    };
    let place = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
    let mut text =
        format!("row {}: {}, then {}", place + 1, show(expected.get(place)), show(found.get(place)));
    if let (Some(a), Some(b)) = (expected.get(place), found.get(place))
        && a.payload == b.payload
    {
        let _ = write!(text, ", of another record or time");
    }
    text
}

fn rows(count: usize) -> String {
    if count == 1 { "1 row".into() } else { format!("{count} rows") }
}

/// So much of a limit.
pub(crate) fn of(bytes: usize, max: usize) -> String {
    let kib = |bytes: usize| bytes.div_ceil(1 << 10);
    format!("{} KiB, {:.1} % of {} KiB", kib(bytes), 100.0 * bytes as f64 / max as f64, kib(max))
}

/// The version of weir:plugin that this node has.
fn version() -> String {
    let version = weir_plugin_runtime::wit_package()
        .ok()
        .and_then(|(resolve, package)| resolve.packages[package].name.version.clone());
    version.map_or_else(String::new, |version| version.to_string())
}
