//! What is sent to this node over HTTP, from the request to the word that it is safe.

use std::sync::Arc;

use futures_util::future::try_join_all;
use weir_api::backend::{ApiError, Durability, ErrorKind, IdempotencyKey, Incoming, IngestRequest, Ingested};
use weir_api::format::rfc3339_ms;
use weir_record::limits::{BATCH_BYTES_MAX, EVENT_TIME_AHEAD_MS_MAX};
use weir_record::lines::{Group, Payloads};
use weir_record::mint::{keyed_id, push_id};
use weir_record::{Batch, BatchFlags, IdRun, RecordId, Stream};
use weir_storage::key_file::{self, Promise};
use weir_storage::{CommitError, Entry, KeyFileError};

use crate::clock;
use crate::config;
use crate::idempotency::{Answers, FirstTurn, Turn};
use crate::ingest::{Ingest, StoreError, marked};
use crate::jobs::Jobs;

/// When to ask a node that is being emptied again.
const DRAINING_RETRY_S: u32 = 30;

/// The way in for requests.
pub(crate) struct Intake {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) answers: Answers,
    pub(crate) jobs: Arc<Jobs>,
}

impl Intake {
    /// Stores what a request brings, unless it is known by its key to be stored already.
    pub(crate) async fn take(&self, request: IngestRequest) -> Result<Ingested, ApiError> {
        if self.jobs.wanted().draining {
            return Err(draining());
        }
        let Some(key) = request.key else {
            let batches = self.batches(request.records)?;
            return self.store(batches, request.durability).await;
        };
        match self.answers.begin(key.as_str(), clock::now_ms()).await {
            Turn::Repeat(answer) => Ok(answer),
            Turn::First(turn) => {
                let (batches, turn) = self.batches_of_key(request.records, &key, turn).await?;
                let answer = self.store(batches, request.durability).await?;
                turn.finish(answer, clock::now_ms()).await;
                Ok(answer)
            }
        }
    }

    /// Stores batches, as many at once as fit an entry.
    async fn store(&self, batches: Vec<Batch>, asked: Durability) -> Result<Ingested, ApiError> {
        let records = batches.iter().map(|batch| batch.count() as u64).sum();
        let ids = batches.iter().map(Batch::id_range).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let durability = match asked {
            Durability::Received => config::Durability::Received,
            Durability::Stored => config::Durability::Stored,
            Durability::Replicated => config::Durability::Replicated,
        };
        let entries = entries_of(batches).into_iter().map(|batches| Entry { checkpoint: None, batches });
        if durability == config::Durability::Replicated {
            // Side by side: each waits for its piece to be handed over, and they are likely in one.
            let stored = entries.map(|entry| self.ingest.store("http", entry, durability));
            try_join_all(stored).await.map_err(|error| refused(&error))?;
        } else {
            for entry in entries {
                self.ingest.store("http", entry, durability).await.map_err(|error| refused(&error))?;
            }
        }
        Ok(Ingested { records, ids, durability: asked })
    }

    /// Records as batches with ids: those of their sender, checked, or minted now.
    fn batches(&self, records: Incoming) -> Result<Vec<Batch>, ApiError> {
        match records {
            Incoming::Batches { batches, sent_at_ms } => {
                check_clock(sent_at_ms)?;
                self.check_ids(&batches)?;
                Ok(batches)
            }
            Incoming::Lines { stream, groups } => {
                let minted = groups.into_iter().map(|group| self.ingest.minted(&stream, group));
                minted.collect::<Result<_, _>>().map_err(|error| ApiError::internal(error.to_string()))
            }
        }
    }

    /// The same for a request with a key. Lines get ids that a repeat would get again: made from the key, if it
    /// carries a time within bounds, or else promised to it.
    async fn batches_of_key(
        &self,
        records: Incoming,
        key: &IdempotencyKey,
        turn: FirstTurn,
    ) -> Result<(Vec<Batch>, FirstTurn), ApiError> {
        let Incoming::Lines { stream, groups } = records else {
            return Ok((self.batches(records)?, turn));
        };
        if let Some(time_ms) = key.time_ms().filter(|time| self.ingest.bounds().accept(*time)) {
            return Ok((keyed_batches(&stream, groups, key, time_ms)?, turn));
        }
        let count: usize = groups.iter().map(|group| group.payloads.count()).sum();
        let sum = key_file::sum(groups.iter().flat_map(|group| group.payloads.iter()));
        if count == 0 {
            return Ok((Vec::new(), turn));
        }
        // Ids that are older than retention are of no use; what was stored under them is gone.
        let promised = turn.promised().filter(|made| self.ingest.bounds().accept(made.first.time_ms()));
        let (turn, promise, flags) = match promised {
            Some(made) if (made.count as usize, made.sum) == (count, sum) => {
                (turn, made, BatchFlags::MAYBE_REPEATED)
            }
            Some(_) => {
                let message = "this Idempotency-Key was used for other records, which may have been stored";
                return Err(ApiError::bad_request("idempotency_key_reused", message)
                    .hint("send other records with a key of their own"));
            }
            None => {
                let run =
                    self.ingest.mint(|minter, now_ms, entropy| minter.mint(now_ms, entropy, count as u32));
                let made = Promise { first: run.first, count: count as u32, sum };
                let turn = turn.promise(made, clock::now_ms()).await.map_err(|error| unpromised(&error))?;
                (turn, made, BatchFlags::NONE)
            }
        };
        Ok((promised_batches(&stream, groups, promise, flags)?, turn))
    }

    /// Refuses ids out of bounds: one far ahead would become the floor of all ids minted after a restart.
    fn check_ids(&self, batches: &[Batch]) -> Result<(), ApiError> {
        let bounds = self.ingest.bounds();
        let ranges = batches.iter().map(Batch::id_range);
        let outside = ranges.flat_map(|(low, high)| [low, high]).find(|id| !bounds.accept(id.time_ms()));
        match outside {
            None => Ok(()),
            Some(id) => Err(ApiError::bad_request(
                "ids_out_of_bounds",
                format!(
                    "record id {id} has the time {}, which this node does not take",
                    rfc3339_ms(id.time_ms())
                ),
            )
            .hint("ids lie between the retention limit and ten minutes from now")),
        }
    }
}

/// Lines whose ids follow the first one that was promised.
fn promised_batches(
    stream: &Stream,
    groups: Vec<Group>,
    promise: Promise,
    flags: BatchFlags,
) -> Result<Vec<Batch>, ApiError> {
    let mut next = promise.first.to_u128();
    let batches = groups.into_iter().map(|group| {
        let run = IdRun { first: RecordId::from_u128(next), count: group.payloads.count() as u32 };
        next = next.wrapping_add(u128::from(run.count));
        let Payloads { ends, arena } = group.payloads;
        Batch::new(marked(stream, group.part), flags, vec![run], ends, arena)
    });
    batches.collect::<Result<_, _>>().map_err(|error| ApiError::internal(error.to_string()))
}

/// Lines whose ids are made from the key.
fn keyed_batches(
    stream: &Stream,
    groups: Vec<Group>,
    key: &IdempotencyKey,
    time_ms: u64,
) -> Result<Vec<Batch>, ApiError> {
    let mut index = 0;
    let batches = groups.into_iter().map(|group| {
        let mut runs = Vec::new();
        for payload in group.payloads.iter() {
            push_id(&mut runs, keyed_id(time_ms, key.as_str().as_bytes(), index, payload));
            index += 1;
        }
        let Payloads { ends, arena } = group.payloads;
        Batch::new(marked(stream, group.part), BatchFlags::KEYED, runs, ends, arena)
    });
    batches.collect::<Result<_, _>>().map_err(|error| ApiError::internal(error.to_string()))
}

/// Before anything of the request counts: the same may go to another node.
fn draining() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "draining", "this node is being emptied and takes no records")
        .hint("send them to another ingest node")
        .retry_after_s(DRAINING_RETRY_S)
}

fn unpromised(error: &KeyFileError) -> ApiError {
    match error {
        KeyFileError::DiskFull => ApiError::new(ErrorKind::DiskFull, "disk_full", error.to_string())
            .hint("free space or raise storage.full_at; the node takes records again by itself"),
        _ => ApiError::new(ErrorKind::Unavailable, "log_failed", "the file of keys failed; the node stops")
            .detail(error.to_string()),
    }
}

/// Batches packed into as few entries as a frame allows: each entry is stored whole or not at all.
fn entries_of(batches: Vec<Batch>) -> Vec<Vec<Batch>> {
    let mut entries: Vec<Vec<Batch>> = Vec::new();
    let mut bytes = 0;
    for batch in batches {
        if entries.is_empty() || bytes + batch.payload_bytes() > BATCH_BYTES_MAX {
            entries.push(Vec::new());
            bytes = 0;
        }
        bytes += batch.payload_bytes();
        if let Some(last) = entries.last_mut() {
            last.push(batch);
        }
    }
    entries
}

fn check_clock(sent_at_ms: u64) -> Result<(), ApiError> {
    let now_ms = clock::now_ms();
    if now_ms.abs_diff(sent_at_ms) <= EVENT_TIME_AHEAD_MS_MAX {
        return Ok(());
    }
    let message = format!(
        "the sender's clock says {sent_at_ms} ms and this node's {now_ms} ms: more than ten minutes apart"
    );
    Err(ApiError::bad_request("clock_skew", message)
        .hint("mend the clock that is wrong, then send again with the same ids"))
}

fn refused(error: &StoreError) -> ApiError {
    let text = error.to_string();
    match error {
        StoreError::Commit(CommitError::DiskFull) => ApiError::new(ErrorKind::DiskFull, "disk_full", text)
            .hint("free space or raise storage.full_at; the node takes records again by itself"),
        StoreError::Commit(CommitError::TooLarge(_)) => ApiError::new(ErrorKind::TooLarge, "too_large", text),
        StoreError::Commit(CommitError::Poisoned(_)) => {
            ApiError::new(ErrorKind::Unavailable, "log_failed", "the ingest log failed; the node stops")
                .detail(text)
        }
        StoreError::NotReplicated => ApiError::new(ErrorKind::Unavailable, "stopping", text)
            .hint("send it again with its Idempotency-Key, here when the node is back"),
        StoreError::Commit(_) | StoreError::Closed => {
            ApiError::new(ErrorKind::Unavailable, "stopping", "the node is shutting down")
        }
    }
}
