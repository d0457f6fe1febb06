//! All the load of a cluster without a forwarder: records that are stored, records that are replicated, questions
//! about both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{PATIENCE, until};

use crate::load::asker::{Counts, ask, ask_on};
use crate::load::oracle::Oracle;
use crate::load::worker::Worker;
use crate::load::writer::{Writer, write};

/// A writer and an asker per durability.
pub(crate) struct Traffic {
    query: String,
    stored: Stream,
    replicated: Stream,
}

struct Stream {
    oracle: Arc<Oracle>,
    writer: Worker<usize>,
    asker: Worker<Counts>,
}

impl Stream {
    fn start(ingests: &[String], query: &str, durability: &'static str, seed: u64) -> Stream {
        let oracle = Arc::new(Oracle::new(durability));
        let to = Writer { ingests: ingests.to_vec(), durability, seed };
        let query = query.to_owned();
        Stream {
            writer: Worker::start("writing", &oracle, move |oracle, stop| write(&to, oracle, stop)),
            asker: Worker::start("asking", &oracle, move |oracle, stop| {
                ask_on(&query, None, oracle, stop, !seed)
            }),
            oracle,
        }
    }
}

impl Traffic {
    /// Begins when the nodes have answered with all there is, which is nothing.
    pub(crate) fn start(ingests: &[String], query: &str, seed: u64) -> Result<Traffic> {
        until("the nodes know each other", || complete(query, "topic:stored"), Option::is_some)?;
        Ok(Traffic {
            query: query.to_owned(),
            stored: Stream::start(ingests, query, "stored", seed),
            replicated: Stream::start(ingests, query, "replicated", seed ^ 1),
        })
    }

    /// How many batches were acknowledged as stored, and how many as replicated.
    pub(crate) fn acknowledged(&self) -> (usize, usize) {
        (self.stored.oracle.acknowledged(), self.replicated.oracle.acknowledged())
    }

    /// How often a batch was refused for want of room.
    pub(crate) fn refused(&self) -> u64 {
        self.stored.oracle.refused() + self.replicated.oracle.refused()
    }

    /// Lets so much time pass, or fails as soon as something has.
    pub(crate) fn watch(&self, time: Duration) -> Result<()> {
        self.stored.oracle.watch(time)?;
        self.replicated.oracle.check()
    }

    /// Waits until so many batches more are acknowledged of either kind, and looks so often. Gives how long that took.
    pub(crate) fn until_more(&self, batches: usize, look: Duration) -> Result<Duration> {
        let (before, began) = (self.acknowledged(), Instant::now());
        loop {
            let now = self.acknowledged();
            if now.0 >= before.0 + batches && now.1 >= before.1 + batches {
                return Ok(began.elapsed());
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "from {before:?} batches acknowledged to {now:?} in {PATIENCE:?}"
            );
            self.watch(look)?;
        }
    }

    /// Waits until more batches than so many are acknowledged as stored, and looks so often.
    pub(crate) fn until_stored(&self, batches: usize, look: Duration) -> Result<()> {
        let looked = || self.watch(look).map(|()| self.acknowledged().0);
        until("more batches are stored", looked, |stored| *stored > batches).map(drop)
    }

    /// Stops, waits until all has arrived where it belongs, and expects to find each record once: with all stores, and
    /// without one of them.
    pub(crate) fn settle(self, cluster: &mut Cluster, ingests: &[&str], store: &str) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut expected = Vec::new();
        for stream in [self.stored, self.replicated] {
            stream.writer.stop()?;
            counts = counts.plus(stream.asker.stop()?);
            stream.oracle.check()?;
            expected.push((format!("topic:{}", stream.oracle.topic()), stream.oracle.all()));
        }
        for name in ingests {
            cluster.until_metric(name, "weir_ingest_log_records", |records| records == 0.0)?;
            cluster.until_metric(name, "weir_backlog_origins", |origins| origins == 0.0)?;
        }
        for gone in [None, Some(store)] {
            if let Some(gone) = gone {
                cluster.kill(gone)?;
            }
            for (topic, expected) in &expected {
                let found =
                    until(topic, || complete(&self.query, topic), Option::is_some)?.unwrap_or_default();
                ensure!(
                    found == *expected,
                    "{topic}: {} of {} without {gone:?}",
                    found.len(),
                    expected.len()
                );
            }
        }
        Ok(counts)
    }
}

/// The lines of an answer that says that it lacks nothing.
pub(crate) fn complete(query: &str, q: &str) -> Result<Option<Vec<String>>> {
    Ok(ask(query, q)?.filter(|asked| asked.complete).map(|asked| asked.lines))
}
