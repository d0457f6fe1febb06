//! A source that consumes a queue or stream of RabbitMQ.
//!
//! The host keeps the connection and acknowledges; what is decided here is what a message becomes. A message with
//! message-id and timestamp becomes the same record however often it is delivered.

mod config;
mod progress;

use weir_plugin_sdk::amqp::Consumer;
use weir_plugin_sdk::batch::Builder;
use weir_plugin_sdk::cursor::{Reader, Writer};
use weir_plugin_sdk::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use weir_plugin_sdk::{Budget, Failure, Info, Polled, Source, Taken, export_source};

use config::{Config, Rules};
use progress::Progress;

/// The plugin's name for its queue.
const GRANT: &str = "main";
const CURSOR_VERSION: u8 = 1;

/// The source.
#[derive(Debug)]
pub struct AmqpSource {
    rules: Rules,
    consumer: Consumer,
    /// A pull that did not fit one batch.
    progress: Option<Progress>,
}

impl Source for AmqpSource {
    type Config = Config;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(config::SCHEMA)
            .needs("amqp", GRANT, "consumes its queue")
    }

    fn open(config: Config, cursor: Option<&[u8]>) -> Result<AmqpSource, Failure> {
        let rules = config.understood()?;
        let after = cursor.map(offset).transpose()?;
        let consumer = Consumer::open(GRANT, after)?;
        if rules.strict && !consumer.can_discard() {
            let message = format!(
                "strict needs an exchange for the messages that it refuses: add \
                 `grants.amqp.{GRANT}.dead_letter = {{ exchange = \"…\" }}`, or take strict away"
            );
            return Err(Failure::bad_config("config.strict", message));
        }
        Ok(AmqpSource { rules, consumer, progress: None })
    }

    fn poll(&mut self, budget: Budget) -> Result<Polled, Failure> {
        if self.progress.is_none() {
            let pull = self.consumer.receive(budget.records, budget.bytes, budget.wait_ms)?;
            let Some(pull) = pull else { return Ok(Polled::Idle { wait_ms: 0 }) };
            self.progress = Some(Progress::new(pull, &self.rules));
        }
        let taken = self.take(budget)?;
        Ok(taken.map_or(Polled::Idle { wait_ms: 0 }, Polled::Records))
    }

    /// A pull of which a part was handed over already is handed over to its end, if that fits. What is not comes
    /// again.
    fn close(&mut self) -> Option<Taken> {
        let rest =
            self.take(Budget { records: BATCH_RECORDS_MAX, bytes: BATCH_BYTES_MAX, wait_ms: 0 }).ok()??;
        (!rest.receipts.is_empty()).then_some(rest)
    }
}

impl AmqpSource {
    /// The next batch of the pull at hand.
    fn take(&mut self, budget: Budget) -> Result<Option<Taken>, Failure> {
        let Some(mut progress) = self.progress.take() else { return Ok(None) };
        let mut batch = Builder::new(budget);
        let done = progress.fill(&mut batch, &self.rules)?;
        let mut taken = Taken {
            batch: batch.finish(),
            repeated: progress.pull.redelivered,
            more: true,
            ..Taken::default()
        };
        if done {
            taken.cursor = progress.last_offset().map(|at| Writer::new(CURSOR_VERSION).varint(at).finish());
            taken.receipts.push(progress.pull.receipt);
        } else {
            self.progress = Some(progress);
        }
        Ok(Some(taken))
    }
}

/// The offset in a cursor.
fn offset(cursor: &[u8]) -> Result<u64, Failure> {
    let (_, mut at) = Reader::open(cursor, CURSOR_VERSION)?;
    let offset = at.varint()?;
    at.end()?;
    Ok(offset)
}

export_source!(AmqpSource);

#[cfg(test)]
mod tests;
