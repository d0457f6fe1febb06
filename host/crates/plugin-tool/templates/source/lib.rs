//! A source that counts: a record per tick, up to a number, going on where it was after any restart.

use weir_plugin_sdk::batch::Builder;
use weir_plugin_sdk::cursor::{Reader, Writer};
use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Budget, Failure, Info, Polled, Source, Taken, export_source, log, timing};

/// What the operator may write into `config = { … }`. The node checks it, fills in the defaults, and points
/// at the operator's line when something is wrong.
const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["until"],
    "properties": {
        "until":    { "type": "integer", "minimum": 0, "description": "the last number" },
        "every_ms": { "type": "integer", "minimum": 0, "default": 1000, "description": "pause between two numbers" }
    }
}"#;

/// The same as a type.
#[derive(Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    until: u64,
    every_ms: u64,
}

struct Counter {
    config: Config,
    next: u64,
    due_ms: u64,
}

impl Source for Counter {
    type Config = Config;

    /// Who the plugin is. Must be pure.
    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    /// Starts, or goes on behind the cursor handed over last.
    fn open(config: Config, cursor: Option<&[u8]>) -> Result<Self, Failure> {
        let next = match cursor {
            Some(bytes) => Reader::open(bytes, 1)?.1.varint()?,
            None => 1,
        };
        log::info!("counting from {next}"; "until" => &config.until.to_string());
        Ok(Counter { config, next, due_ms: 0 })
    }

    /// Brings records: as many as there are, within the budget.
    fn poll(&mut self, budget: Budget) -> Result<Polled, Failure> {
        if self.next > self.config.until {
            return Ok(Polled::Finished);
        }
        let now_ms = timing::monotonic_ms();
        if now_ms < self.due_ms {
            timing::sleep_ms((self.due_ms - now_ms).min(budget.wait_ms.into()) as u32);
            return Ok(Polled::Idle { wait_ms: 0 });
        }
        self.due_ms = now_ms + self.config.every_ms;

        let mut batch = Builder::new(budget);
        let stream = batch.stream(&[("parity", if self.next % 2 == 0 { "even" } else { "odd" })])?;
        batch.push(stream, format!("number {}", self.next).as_bytes())?;
        self.next += 1;

        // The cursor is stored with the records, in one commit: it says where to go on after them.
        let cursor = Writer::new(1).varint(self.next).finish();
        Ok(Polled::Records(Taken { batch: batch.finish(), cursor: Some(cursor), ..Taken::default() }))
    }
}

export_source!(Counter);

#[cfg(test)]
mod tests {
    use super::Counter;
    use weir_plugin_sdk::testing::{Run, World};

    #[test]
    fn it_goes_on_where_it_was() {
        let world = World::new();
        let mut run = Run::<Counter>::open(&world, r#"{ "until": 3, "every_ms": 10 }"#, None).unwrap();
        assert_eq!(run.drain().unwrap()[0].payload, b"number 1");
        world.advance_ms(10);
        let mut run = Run::<Counter>::open(&world, r#"{ "until": 3 }"#, run.cursor()).unwrap();
        assert_eq!(run.drain().unwrap()[0].payload, b"number 2");
    }
}
