//! A queue of RabbitMQ, consumed and stored, beside a bare consumer of the same queue.

use anyhow::Context as _;

use crate::bench::table::Goal;
use crate::bench::{Bench, Figure, Row};
use crate::{build, proc, setup};

const MESSAGES: usize = 200_000;

pub(super) struct Amqp;

impl Figure for Amqp {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn measure(&self, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
        setup::ensure(&["rabbitmq-server"])?;
        let folder = bench.folder(self.name())?;
        let mut cargo = build::cargo(bench.workspace);
        cargo.args(["run", "--release", "--quiet", "--package", "weir-cluster-tests"]);
        cargo.args(["--example", "amqp_speed", "--"]).arg(bench.amount(MESSAGES).to_string()).arg(&folder);
        let said = proc::capture(cargo.env("WEIR_BIN", &bench.weir))?;
        let mut rates = said.split_whitespace().map(str::parse::<f64>);
        let mut rate = || rates.next().context("two rates")?.context("a rate");
        let (bare, weir) = (rate()?, rate()?);
        Ok(vec![Row {
            figure: "amqp",
            what: "stored and acknowledged, messages/s",
            value: weir,
            against: "a bare lapin consumer, messages/s",
            peer: bare,
            goal: Goal::AtLeast(0.6),
        }])
    }
}
