//! `weir plugin bench`: what a plugin costs.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use weir_plugin_tool::Figures;

use crate::cli::exit::{Exit, Failure, wrote};
use crate::cli::plugin::component::{Component, Params, failure, records};
use crate::cli::terminal::plain;

const EXAMPLES: &str = "\
In batches as a query gives them, on one core. Where the engine can do the same itself (grep), it is measured beside.

Examples:
  weir plugin bench --params '{\"text\":\"error\"}' --input some.log
  weir plugin bench grep --params '{\"patterns\":[\"/took [0-9]+/\"]}' --seconds 5";

/// Measure a filter, rewrite or aggregate
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    #[command(flatten)]
    component: Component,
    #[command(flatten)]
    params: Params,
    /// Lines to measure over instead of those that are built in
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// For how long, about
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600), value_name = "N")]
    seconds: u64,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Bench) -> Result<Exit, Failure> {
    let records = records(args.input.as_deref())?;
    if records.count() == 0 {
        return Err(Failure::usage("there are no lines to measure over: name a file with some"));
    }
    let trial = args.component.load_anew()?;
    let params = args.params.of(&trial)?;
    let figures = weir_plugin_tool::bench(&trial, &params, &records, Duration::from_secs(args.seconds))
        .map_err(|error| failure(&error))?;
    let text = if args.json { format!("{}\n", json(&figures)) } else { text(&figures) };
    wrote(std::io::stdout().write_all(text.as_bytes()))?;
    Ok(Exit::Ok)
}

fn text(figures: &Figures) -> String {
    let seconds = figures.time.as_secs_f64().max(f64::MIN_POSITIVE);
    let share = |part: f64, whole: f64| format!("{:.1} % of the limit", 100.0 * part / whole);
    let mut rows = vec![
        ("records/s", format!("{:.0}", figures.records as f64 / seconds)),
        ("MB/s", format!("{:.1}", figures.bytes as f64 / 1e6 / seconds)),
        ("ns/record", format!("{:.1}", figures.record_ns())),
        (
            "memory",
            format!(
                "{:.1} MiB, {}",
                figures.memory_bytes as f64 / f64::from(1 << 20),
                share(figures.memory_bytes as f64, figures.memory_limit_bytes as f64)
            ),
        ),
        (
            "longest call",
            format!(
                "{:.2} ms, {}",
                figures.call_max.as_secs_f64() * 1e3,
                share(figures.call_max.as_secs_f64(), figures.call_limit.as_secs_f64())
            ),
        ),
        ("open", format!("{:.0} µs an instance", figures.open.as_secs_f64() * 1e6)),
        ("compile", format!("{:.0} ms, once per node and version", figures.load.as_secs_f64() * 1e3)),
    ];
    if let Some(bytes) = figures.partial_bytes {
        rows.push(("state", format!("{bytes} bytes")));
    }
    if let Some(asked) = figures.asked_share {
        rows.push((
            "hints",
            format!(
                "{:.1} % of the records have what it asks for; stores ask about no others",
                100.0 * asked
            ),
        ));
    }
    if let Some(native) = &figures.native {
        let ratio = 100.0 * native.record_ns / figures.record_ns().max(f64::MIN_POSITIVE);
        rows.push(("native", format!("{:.1} ns/record for /{}/ by the engine, line by line: the plugin has {ratio:.0} % of its speed", native.record_ns, plain(&native.told))));
    }
    rows.into_iter().fold(String::new(), |text, (name, value)| text + &format!("{name:<12}  {value}\n"))
}

fn json(figures: &Figures) -> serde_json::Value {
    let native = figures.native.as_ref();
    serde_json::json!({
        "records": figures.records,
        "bytes": figures.bytes,
        "seconds": figures.time.as_secs_f64(),
        "record_ns": figures.record_ns(),
        "memory_bytes": figures.memory_bytes,
        "memory_limit_bytes": figures.memory_limit_bytes,
        "call_max_ms": figures.call_max.as_secs_f64() * 1e3,
        "call_limit_ms": figures.call_limit.as_secs_f64() * 1e3,
        "open_us": figures.open.as_secs_f64() * 1e6,
        "compile_ms": figures.load.as_secs_f64() * 1e3,
        "partial_bytes": figures.partial_bytes,
        "asked_share": figures.asked_share,
        "native_record_ns": native.map(|native| native.record_ns),
        "native_found": native.map(|native| native.found),
    })
}
