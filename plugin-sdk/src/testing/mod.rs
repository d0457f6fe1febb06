//! The world of a plugin, scripted: a file tree, queues, standard input and a clock inside the test's process, so
//! that `cargo test` and a debugger work on a plugin as on any other crate.
//!
//! ```
//! use weir_plugin_sdk::testing::{Run, World};
//! # use weir_plugin_sdk::{Budget, Failure, Info, Polled, Source, Taken, batch::Builder, files};
//! # struct Sizes;
//! # impl Source for Sizes {
//! #     type Config = serde_json::Value;
//! #     fn info() -> Info { Info::new("sizes", "0.1.0", "tells sizes").needs("files", "logs", "looks at files") }
//! #     fn open(_: serde_json::Value, _: Option<&[u8]>) -> Result<Self, Failure> { Ok(Sizes) }
//! #     fn poll(&mut self, budget: Budget) -> Result<Polled, Failure> {
//! #         if !files::changed("logs", budget.wait_ms)? { return Ok(Polled::Idle { wait_ms: 0 }); }
//! #         let mut batch = Builder::new(budget);
//! #         for entry in files::scan("logs")? {
//! #             let stream = batch.stream(&[("path", &entry.path)])?;
//! #             batch.push(stream, entry.identity.size.to_string().as_bytes())?;
//! #         }
//! #         Ok(Polled::Records(Taken { batch: batch.finish(), ..Taken::default() }))
//! #     }
//! # }
//!
//! let world = World::new();
//! let logs = world.files("logs");            // what grants.files.logs shows
//! logs.append("/var/log/a.log", b"one\n");
//! let mut run = Run::<Sizes>::open(&world, "{}", None).unwrap();
//! let records = run.drain().unwrap();        // polls until it is idle, checks batches as the host does
//! assert_eq!(records[0].payload, b"4");
//! assert_eq!(records[0].label("path"), Some("/var/log/a.log"));
//! ```

pub(crate) mod queue;
mod run;
mod stages;
pub(crate) mod tree;
pub(crate) mod world;

pub use queue::{Published, Queue};
pub use run::{Record, Run, check_batch, check_info};
pub use stages::{aggregate, filter, rewrite};
pub use tree::Files;
pub use world::World;
