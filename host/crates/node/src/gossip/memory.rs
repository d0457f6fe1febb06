//! The members as they are remembered on disk, so that what is away is missed after a restart, too.

use std::io;
use std::path::Path;

use weir_membership::Memory;
use weir_storage::data_dir::replace_file;

use super::Gossip;

/// The file in the data directory.
const FILE: &str = "known-members";

/// What was remembered; nothing, with a word to the operator, when that cannot be read.
pub(super) fn read(data_dir: &Path) -> Memory {
    let path = data_dir.join(FILE);
    let lost = |error: &dyn std::fmt::Display| {
        tracing::error!(
            %error,
            path = %path.display(),
            "who was a member is not known any more: one that is away is missed only once others have told of it"
        );
        Memory::default()
    };
    match std::fs::read(&path) {
        Ok(bytes) => Memory::decode(&bytes).unwrap_or_else(|error| lost(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Memory::default(),
        Err(error) => lost(&error),
    }
}

impl Gossip {
    /// Writes what is to be remembered.
    pub(super) async fn remember(&self) {
        let (dir, bytes) = (self.data_dir.clone(), self.core.lock().memory().encode());
        match tokio::task::spawn_blocking(move || replace_file(&dir, FILE, &bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the members cannot be remembered"),
            Err(_) => tracing::error!("remembering the members has panicked: report this"),
        }
    }
}
