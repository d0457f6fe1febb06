//! A node that has nothing to do.

use std::time::{Duration, Instant};

use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row, usage};
use crate::node::{Node, file_source, free_port};

const WATCHED: Duration = Duration::from_secs(10);

pub(super) struct Idle;

impl Figure for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        let folder = bench.folder(self.name())?;
        let config = file_source("quiet", &folder.join("*.log"));
        let port = free_port(7650)?;
        // The first start compiles the plugins and leaves the artifacts to the second.
        Node::start(&bench.weir, &folder, port, &config)?.process.stop()?;
        let mut node = Node::start(&bench.weir, &folder, port, &config)?;

        let pid = node.process.id();
        let (started, cpu) = (Instant::now(), usage::cpu(pid)?);
        std::thread::sleep(WATCHED);
        let used = usage::cpu(pid)?.saturating_sub(cpu).as_secs_f64();
        let percent = 100.0 * used / started.elapsed().as_secs_f64();
        let megabytes = usage::rss_bytes(pid)? as f64 / 1e6;
        node.process.stop()?;
        let row = |what, value, against, peer| Row {
            figure: "idle",
            what,
            value,
            against,
            peer,
            goal: Goal::AtMost(1.0),
        };
        Ok(vec![
            row("memory (RSS), MB", megabytes, "60 MB", 60.0),
            row("CPU, % of a core", percent, "0.5 %", 0.5),
            row("start to ready, ms", node.ready_after.as_secs_f64() * 1e3, "300 ms", 300.0),
        ])
    }
}
