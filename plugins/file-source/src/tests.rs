//! The source in a scripted world: what it does in plain cases, in rotation, and in a random life.

mod known_holes;
mod model;
mod plain;
mod rotation;

use weir_plugin_sdk::testing::{Files, Record, Run, World};

use crate::FileSource;

/// A world with the grant `logs`, in which the source is opened.
pub(crate) struct Bench {
    world: World,
    pub(crate) logs: Files,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let world = World::new();
        let logs = world.files("logs");
        Bench { world, logs }
    }

    fn open(&self, config: &str, cursor: Option<Vec<u8>>) -> Run<FileSource> {
        Run::open(&self.world, config, cursor).unwrap()
    }

    /// Lets a scan come due, and drains.
    fn later(&self, run: &mut Run<FileSource>) -> Vec<String> {
        self.world.advance_ms(crate::SCAN_MS as u32);
        texts(&run.drain().unwrap())
    }

    fn metric(&self, name: &str) -> usize {
        self.world.metric(name).unwrap_or_else(|| panic!("no metric {name}")) as usize
    }
}

/// `name: payload` of each record, the name without directory and with the mark of a part.
fn texts(records: &[Record]) -> Vec<String> {
    let text = |record: &Record| {
        let path = record.label("path").unwrap_or("?");
        let name = path.rsplit('/').next().unwrap_or(path);
        let part = record.part().map_or(String::new(), |part| format!("[{part}]"));
        format!("{name}{part}: {}", String::from_utf8_lossy(&record.payload))
    };
    records.iter().map(text).collect()
}
