//! What is summed up over several nodes, and how: counts by bucket and level, or the states of an aggregate.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use weir_api::backend::ApiError;
use weir_api::backend::peer::SearchPart;
use weir_engine::{StageFailure, Stages, Unjudged, fingerprint};
use weir_query::{Fingerprint, Histogram, Rows, Stats};
use weir_record::RecordId;
use weir_record::limits::{AGGREGATE_SUSPECTS_BYTES_MAX, AGGREGATE_SUSPECTS_MAX, NODE_KNOWN_MAX};

use super::{BucketsOf, Known, too_large};
use crate::filters::{Chain, Spec};
use crate::queries::shares::records;
use crate::queries::{Kind, local};

/// A sum.
pub(super) trait Sum {
    /// What is asked about that which may lie on several nodes.
    const SUSPECTS: Kind;
    /// Suspects that one window takes: as many may come when a share is planned anew.
    const SUSPECTS_MAX: usize;

    /// Takes a part of such an answer.
    fn add_suspects(&mut self, part: SearchPart, known: &mut Known) -> Result<(), ApiError>;

    /// What is asked about the rest. `held` are the lowest and the highest id that anybody holds.
    fn rest(
        &mut self,
        held: Option<(RecordId, RecordId)>,
        known: Arc<[(RecordId, Fingerprint)]>,
    ) -> Result<Kind, ApiError>;

    /// Takes a part of such an answer.
    fn add(&mut self, node: &str, part: SearchPart) -> Result<(), ApiError>;

    /// Takes what is said at the end of such an answer.
    fn add_stats(&mut self, stats: &Stats);

    /// Adds each of the suspects, which all others have left out.
    async fn add_known(&mut self, known: Known) -> Result<(), ApiError>;
}

/// Counts by bucket and level.
pub(super) struct Counting<'a> {
    buckets: BucketsOf<'a>,
    /// `None` before anything was counted.
    sum: Option<Histogram>,
}

impl<'a> Counting<'a> {
    pub(super) fn new(buckets: BucketsOf<'a>) -> Counting<'a> {
        Counting { buckets, sum: None }
    }

    pub(super) fn finish(self) -> Result<Histogram, ApiError> {
        match self.sum {
            Some(sum) => Ok(sum),
            None => Ok(Histogram::new((self.buckets)(None)?)),
        }
    }
}

impl Sum for Counting<'_> {
    const SUSPECTS: Kind = Kind::Suspects;
    const SUSPECTS_MAX: usize = NODE_KNOWN_MAX / 2;

    fn add_suspects(&mut self, part: SearchPart, known: &mut Known) -> Result<(), ApiError> {
        if let SearchPart::Hashes(hashes) = part {
            known.extend(records(&hashes));
        }
        Ok(())
    }

    fn rest(
        &mut self,
        held: Option<(RecordId, RecordId)>,
        known: Arc<[(RecordId, Fingerprint)]>,
    ) -> Result<Kind, ApiError> {
        let sum = match self.sum.take() {
            Some(sum) => sum,
            // Whoever is read in the first window has told what it holds; who is not is missing there.
            None => Histogram::new((self.buckets)(held)?),
        };
        let buckets = *sum.buckets();
        self.sum = Some(sum);
        Ok(Kind::Rest(buckets, known))
    }

    fn add(&mut self, node: &str, part: SearchPart) -> Result<(), ApiError> {
        let (SearchPart::Counts(counts), Some(sum)) = (part, &mut self.sum) else { return Ok(()) };
        let fits = sum.add_counts(&counts.buckets);
        fits.then_some(()).ok_or_else(|| ApiError::internal(format!("{node} has counted other buckets")))
    }

    fn add_stats(&mut self, _: &Stats) {}

    async fn add_known(&mut self, known: Known) -> Result<(), ApiError> {
        let Some(sum) = &mut self.sum else { return Ok(()) };
        for (id, print) in known {
            if let Some(bucket) = sum.buckets().of(id) {
                sum.add(bucket, print.level(), 1);
            }
        }
        Ok(())
    }
}

/// States of an aggregate at the end of stages.
pub(super) struct Aggregating {
    stages: Arc<[Spec]>,
    /// Is given the suspects.
    chain: Arc<Chain>,
    partials: Vec<Vec<u8>>,
    /// Suspects of the window under way, some more than once.
    suspects: Vec<Rows>,
    suspects_bytes: usize,
    /// By others.
    matched: u64,
}

impl Aggregating {
    pub(super) fn new(stages: Arc<[Spec]>, cancel: &CancellationToken) -> Aggregating {
        let chain = Chain::new(stages.clone(), cancel);
        Aggregating {
            stages,
            chain,
            partials: Vec::new(),
            suspects: Vec::new(),
            suspects_bytes: 0,
            matched: 0,
        }
    }

    /// Records that were summed up.
    pub(super) fn matched(&self) -> u64 {
        self.matched + self.chain.summed()
    }

    /// What became of suspects that stages could not judge.
    pub(super) fn unjudged(&self) -> Unjudged {
        self.chain.unjudged()
    }

    pub(super) async fn finish(mut self) -> Result<Vec<Vec<u8>>, ApiError> {
        let chain = self.chain;
        let last = tokio::task::spawn_blocking(move || chain.partial()).await;
        let last = last.map_err(|_| ApiError::internal("summing up has panicked"))?;
        self.partials.push(last.map_err(|failure| local::failed(&failure.into()))?);
        Ok(self.partials)
    }
}

impl Sum for Aggregating {
    const SUSPECTS: Kind = Kind::SuspectRows;
    const SUSPECTS_MAX: usize = AGGREGATE_SUSPECTS_MAX;

    fn add_suspects(&mut self, part: SearchPart, known: &mut Known) -> Result<(), ApiError> {
        let SearchPart::Rows(rows) = part else { return Ok(()) };
        known.extend(rows.iter().map(|row| (row.id, fingerprint(row.payload))));
        self.suspects_bytes += rows.bytes();
        self.suspects.push(rows);
        if self.suspects_bytes > AGGREGATE_SUSPECTS_BYTES_MAX {
            return Err(too_large(format!(
                "records that may be repeated take more than {AGGREGATE_SUSPECTS_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }

    fn rest(
        &mut self,
        _: Option<(RecordId, RecordId)>,
        known: Arc<[(RecordId, Fingerprint)]>,
    ) -> Result<Kind, ApiError> {
        Ok(Kind::Sum(self.stages.clone(), known))
    }

    fn add(&mut self, _: &str, part: SearchPart) -> Result<(), ApiError> {
        if let SearchPart::Partial(partial) = part {
            self.partials.push(partial.into());
        }
        Ok(())
    }

    fn add_stats(&mut self, stats: &Stats) {
        self.matched += stats.records_matched;
    }

    async fn add_known(&mut self, mut known: Known) -> Result<(), ApiError> {
        let (chain, suspects) = (self.chain.clone(), std::mem::take(&mut self.suspects));
        self.suspects_bytes = 0;
        let given = tokio::task::spawn_blocking(move || {
            for rows in suspects {
                let mut once = Rows::new();
                for stream in rows.streams() {
                    once.add_stream(Arc::clone(stream));
                }
                for (row, &stream) in rows.iter().zip(rows.stream_of()) {
                    if known.remove(&(row.id, fingerprint(row.payload))) {
                        once.push(row.id, stream, row.payload);
                    }
                }
                chain.run(&once, &mut |_, _| {})?;
            }
            Ok(())
        });
        let given = given.await.map_err(|_| ApiError::internal("summing up has panicked"))?;
        given.map_err(|failure: StageFailure| local::failed(&failure.into()))
    }
}
