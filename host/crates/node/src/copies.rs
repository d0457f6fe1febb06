//! Hands out origins that the store keeps to stores that lack them.

use std::io::Read as _;

use bytes::Bytes;
use tokio::sync::mpsc;
use weir_api::backend::ApiError;
use weir_api::backend::peer::OriginFile;
use weir_record::limits::STORE_WRITE_BYTES;
use weir_replication::OriginKey;
use weir_storage::Store;
use weir_storage::store::{CutError, CutFile};

/// Chunks between the disk and the network.
const CHUNKS_AHEAD: usize = 4;
/// When to ask again for what cannot be cut out for want of room.
const FULL_RETRY_S: u32 = 10;

/// An origin as a file of its own. When its segment proves to be damaged, what is lost is announced no more.
pub(crate) async fn hand_out(store: &Store, key: OriginKey) -> Result<OriginFile, ApiError> {
    let store = store.clone();
    let cut = tokio::task::spawn_blocking(move || cut(&store, &key)).await;
    let file = cut.map_err(|_| ApiError::internal("cutting out an origin has panicked"))??;
    let bytes = file.file_bytes();
    let (send, chunks) = mpsc::channel(CHUNKS_AHEAD);
    tokio::task::spawn_blocking(move || read(file, &send));
    Ok(OriginFile { bytes, chunks })
}

fn cut(store: &Store, key: &OriginKey) -> Result<CutFile, ApiError> {
    store.cut(&key.unit, key.name).map_err(|error| match error {
        CutError::NotHeld(_) => ApiError::origin_gone(key),
        CutError::Full => ApiError::origin_busy(key, FULL_RETRY_S),
        error => {
            check(store, key);
            ApiError::internal("an origin cannot be read").detail(error.to_string())
        }
    })
}

/// Looks what of a segment is left that could not be read.
fn check(store: &Store, key: &OriginKey) {
    let Some(segment) = store.find(&key.unit, key.name) else { return };
    if let Err(error) = store.check(&segment) {
        tracing::error!(%error, "a damaged segment cannot be set apart");
    }
}

/// Reads a file in chunks; blocks.
fn read(mut file: CutFile, send: &mpsc::Sender<Result<Bytes, ApiError>>) {
    loop {
        let mut chunk = vec![0; STORE_WRITE_BYTES];
        let chunk = match file.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                chunk.truncate(length);
                Ok(Bytes::from(chunk))
            }
            Err(error) => Err(ApiError::internal("an origin cannot be read").detail(error.to_string())),
        };
        let is_over = chunk.is_err();
        if send.blocking_send(chunk).is_err() || is_over {
            return;
        }
    }
}
