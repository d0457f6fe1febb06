//! What is known of the other nodes, kept on disk: what they had is missed although they are gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_replication::Knowledge;
use weir_storage::data_dir::replace_file;

use crate::queries::Planner;

/// The file in the data directory.
const FILE: &str = "known-origins";
/// How often all nodes are looked at, whether somebody asks or not.
const LOOK_PERIOD: Duration = Duration::from_secs(2);
/// Looks between two writes.
const LOOKS_PER_WRITE: u32 = 5;

/// What was remembered; nothing, with a word to the operator, when that cannot be read.
pub(crate) fn read(data_dir: &Path) -> Knowledge {
    let path = data_dir.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Knowledge::decode(&bytes).unwrap_or_else(|error| {
            let path = path.display();
            tracing::error!(%error, %path, "what was known of other nodes is lost: until they all have answered, nobody can tell what is missing");
            Knowledge::new()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Knowledge::new(),
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "what is known of other nodes cannot be read");
            Knowledge::new()
        }
    }
}

/// Looks at all nodes and remembers, until the node stops.
pub(crate) async fn keep(planner: Arc<Planner>, data_dir: PathBuf, stop: CancellationToken) {
    let mut looks = 0;
    let mut written = Vec::new();
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(LOOK_PERIOD) => false,
        };
        if !stopping {
            planner.look().await;
            looks += 1;
        }
        if stopping || looks % LOOKS_PER_WRITE == 0 {
            let known = planner.knowledge();
            if known != written {
                let (dir, bytes) = (data_dir.clone(), known.clone());
                let saved = tokio::task::spawn_blocking(move || replace_file(&dir, FILE, &bytes)).await;
                match saved {
                    Ok(Ok(())) => written = known,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "what is known of other nodes cannot be written");
                    }
                    Err(_) => tracing::error!("writing what is known has panicked: report this"),
                }
            }
        }
        if stopping {
            return;
        }
    }
}
