//! Merging the segments of a unit into fewer: drops nothing, keeps the lineage, and is seen by readers as one
//! step.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use weir_record::codec::encode_stream;
use weir_record::limits::{
    SEGMENT_STREAM_BYTES_MAX, SEGMENT_STREAMS_MAX, STORE_COMPACT_OVERLAP_MAX, STORE_COPY_BLOCKS_MIN,
    STORE_SETTLED_AFTER_MS,
};
use weir_segment::{Concat, Footer, Grouping, Unit, WriterOptions};

use crate::disk::is_full;
use crate::segment_file::SegmentFile;
use crate::store::merge::{MergeError, concat, merge};
use crate::store::plan::{PlanRules, SegmentSize, overlap, plan_compaction, plan_settling};
use crate::store::segment::{Served, StoredSegment};
use crate::store::tmp::TmpFile;
use crate::store::watermark::end_ms;
use crate::store::{Inner, Store, StoreError, StoreOptions};

/// What there is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompactWork {
    /// Few segments in the place of many: soon, for queries ask each of them. Large ones are put one behind the
    /// other, which costs little; small ones are written anew.
    Merge,
    /// Units to which little will be added any more are written as densely as they stay: in idle time, for it
    /// takes much of the processor.
    Settle,
}

/// What one step may do.
#[derive(Debug, Clone, Copy)]
pub struct CompactBudget {
    /// What kind of work.
    pub work: CompactWork,
    /// The wall clock, Unix time: tells which units have settled.
    pub now_ms: u64,
    /// Payload bytes that may be merged, at most. A group that is larger is cut; two segments that are
    /// larger together are left alone, unless one of them has to be written anew anyway.
    pub payload_bytes_max: u64,
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compaction {
    /// There is nothing to merge.
    Nothing,
    /// Segments were merged; there may be more to do.
    Merged(Merged),
    /// There is no room for the output. Nothing has changed.
    NoRoom,
    /// The caller said stop. Nothing has changed.
    Stopped,
    /// Not carried through: an input was expired or found damaged meanwhile, or the segments do not fit one.
    /// They will not be tried again in this way.
    GivenUp,
}

/// One merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The unit.
    pub unit: Unit,
    /// Segments that went in.
    pub inputs: usize,
    /// Origins in them.
    pub origins: usize,
    /// Payload bytes of their records.
    pub payload_bytes: u64,
    /// Bytes of the files that went in.
    pub in_bytes: u64,
    /// Bytes of the file that came out.
    pub out_bytes: u64,
}

/// What merges must know of each other.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Units in which a merge runs.
    units: BTreeSet<Unit>,
    /// Segments, by the digest in their names, that do not fit together with any other.
    alone: BTreeSet<u64>,
}

/// A merge to be done. Its unit is free again when this is dropped.
struct Job<'a> {
    inner: &'a Inner,
    unit: Unit,
    inputs: Vec<Arc<StoredSegment>>,
    work: CompactWork,
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        self.inner.running().units.remove(&self.unit);
    }
}

impl Store {
    /// Does one merge, of the unit that needs it most. Asks `stop` between blocks. Can be called from several
    /// threads: each takes another unit.
    ///
    /// Segments that leave out an origin, and damaged ones, are not merged.
    pub fn compact_step(
        &self,
        budget: CompactBudget,
        stop: &dyn Fn() -> bool,
    ) -> Result<Compaction, StoreError> {
        let inner = &*self.inner;
        inner.check_poison()?;
        let Some(job) = inner.plan(budget) else { return Ok(Compaction::Nothing) };
        let in_bytes: u64 = job.inputs.iter().map(|input| input.file.bytes()).sum();
        let space = inner.disk.space(&inner.dir).ok();
        let needed = in_bytes.saturating_add(inner.options.reserve_bytes / 2);
        if space.is_some_and(|space| space.free_bytes < needed) {
            return Ok(Compaction::NoRoom);
        }
        match inner.write_merged(&job, stop) {
            Ok((tmp, footer)) => inner.put_in_place(&job, tmp, &footer, in_bytes),
            Err(MergeError::Stopped) => Ok(Compaction::Stopped),
            Err(MergeError::Full) => {
                inner.set_largest_apart(&job.inputs);
                Ok(Compaction::GivenUp)
            }
            Err(MergeError::Input(number)) => {
                let input = &job.inputs[number];
                let damages = self.check(input)?;
                if damages.is_empty() {
                    // It reads well now. Whatever it was: not again in this process.
                    inner.running().alone.insert(input.file.footer().name().digest);
                }
                Ok(Compaction::GivenUp)
            }
            Err(MergeError::Output(error)) if is_full(&error) => Ok(Compaction::NoRoom),
            Err(MergeError::Output(error)) => Err(StoreError::io("cannot write into", &inner.dir)(error)),
            Err(MergeError::Write(error)) => Err(StoreError::Write(error)),
            Err(MergeError::Memory) => Err(StoreError::Memory),
        }
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.compacting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The merge with the most inputs, of the oldest unit among equals.
    fn plan(&self, budget: CompactBudget) -> Option<Job<'_>> {
        let mut running = self.running();
        let catalog = self.catalog();
        let rules = PlanRules::new(self.options.target_bytes);
        let mut best: Option<(Unit, Vec<Arc<StoredSegment>>)> = None;
        for (unit, segments) in catalog.segments() {
            if running.units.contains(unit) || catalog.watermarks.covers(unit) {
                continue;
            }
            let whole = |segment: &&Arc<StoredSegment>| {
                !segment.is_damaged()
                    && segment.served.has_all()
                    && (running.alone.is_empty()
                        || !running.alone.contains(&segment.file.footer().name().digest))
            };
            let candidates: Vec<_> = segments.iter().filter(whole).collect();
            let is_settled = end_ms(unit).saturating_add(STORE_SETTLED_AFTER_MS) <= budget.now_ms;
            let sizes: Vec<_> = candidates.iter().map(|segment| self.size_of(&segment.file)).collect();
            let places = match budget.work {
                CompactWork::Merge => plan_compaction(&sizes, &rules),
                CompactWork::Settle if is_settled => plan_settling(&sizes, &rules),
                CompactWork::Settle => continue,
            };
            let mut group: Vec<_> = places.iter().map(|&place| Arc::clone(candidates[place])).collect();
            let fits = fitting(&group, budget.payload_bytes_max);
            let is_alone_of_use = places.first().is_some_and(|&place| !sizes[place].is_dense);
            let least = if budget.work == CompactWork::Settle && is_alone_of_use { 1 } else { 2 };
            group.truncate(fits.max(1));
            let most = best.as_ref().map_or(least - 1, |(_, inputs)| inputs.len());
            if group.len() > most {
                best = Some((unit.clone(), group));
            }
        }
        let (unit, inputs) = best?;
        running.units.insert(unit.clone());
        Some(Job { inner: self, unit, inputs, work: budget.work })
    }

    fn write_merged(&self, job: &Job<'_>, stop: &dyn Fn() -> bool) -> Result<(TmpFile, Footer), MergeError> {
        let StoreOptions { level, settled_level, block_bytes, leaf_bytes, settled_leaf_bytes, .. } =
            self.options;
        let (level, leaf_bytes) = match job.work {
            CompactWork::Settle => (settled_level, settled_leaf_bytes),
            CompactWork::Merge => (level, leaf_bytes),
        };
        let options = WriterOptions { level, block_bytes, leaf_bytes, grouping: Grouping::Shape };
        let files: Vec<Arc<SegmentFile>> = job.inputs.iter().map(|input| Arc::clone(&input.file)).collect();
        let mut tmp = self.tmp("compact").map_err(MergeError::Output)?;
        let mut output = |bytes: &[u8]| tmp.write(bytes);
        let footer = if job.work == CompactWork::Merge && self.are_copied(&files) {
            concat(&files, &mut output, stop)?
        } else {
            merge(&files, options, &mut output, stop)?
        };
        tmp.flush().map_err(MergeError::Output)?;
        Ok((tmp, footer))
    }

    /// Makes the output durable, puts it in the place of its inputs, and removes those.
    fn put_in_place(
        &self,
        job: &Job<'_>,
        tmp: TmpFile,
        footer: &Footer,
        in_bytes: u64,
    ) -> Result<Compaction, StoreError> {
        tmp.file().sync_all().map_err(|error| self.poisoned(tmp.path(), &error))?;
        let name = footer.name().to_string();
        let path = self.dir.join(&name);
        // Read back as a later start will read it: a footer that cannot be read must not cost the inputs.
        let file = SegmentFile::of(Arc::clone(tmp.file()), tmp.path());
        let file = file.map_err(|error| unreadable(&path, error.to_string()))?;
        if file.footer() != footer {
            return Err(unreadable(&path, "its footer is not the one that was written".to_owned()));
        }
        tmp.rename(&path).map_err(StoreError::io("cannot rename to", &path))?;
        self.sync_dir()?;
        let output = StoredSegment::new(Arc::new(file.renamed(&path)), Served::All);
        let merged = Merged {
            unit: job.unit.clone(),
            inputs: job.inputs.len(),
            origins: footer.lineage().len(),
            payload_bytes: footer.payload_bytes(),
            in_bytes,
            out_bytes: footer.file_bytes(),
        };
        {
            // Another thread's sync may have failed since.
            self.check_poison()?;
            let mut catalog = self.catalog();
            if !job.inputs.iter().all(|input| catalog.holds(input)) {
                drop(catalog);
                self.remove(&[Arc::new(output)])?;
                return Ok(Compaction::GivenUp);
            }
            catalog.replace(&job.inputs, output);
            catalog.counters.compactions += 1;
            catalog.counters.compacted_in_bytes += merged.in_bytes;
            catalog.counters.compacted_out_bytes += merged.out_bytes;
        }
        self.remove(&job.inputs)?;
        tracing::debug!(unit = %merged.unit, merged.inputs, merged.in_bytes, merged.out_bytes, "compacted");
        Ok(Compaction::Merged(merged))
    }

    fn size_of(&self, file: &SegmentFile) -> SegmentSize {
        let footer = file.footer();
        SegmentSize {
            payload_bytes: footer.payload_bytes(),
            origins: footer.lineage().len(),
            low: footer.id_range().0.to_u128(),
            is_dense: footer.zstd_level() >= self.options.settled_level && footer.sections().len() == 1,
        }
    }

    /// Whether segments are put one behind the other as they are: their blocks are large enough to stay.
    fn are_copied(&self, files: &[Arc<SegmentFile>]) -> bool {
        let block_bytes = self.options.block_bytes as u64;
        files.iter().all(|file| {
            let (footer, bytes) = (file.footer(), file.footer().payload_bytes());
            Concat::takes(footer)
                && bytes >= block_bytes * STORE_COPY_BLOCKS_MIN
                && bytes >= footer.blocks().len() as u64 * block_bytes / 2
        })
    }

    fn set_largest_apart(&self, inputs: &[Arc<StoredSegment>]) {
        let largest = inputs.iter().max_by_key(|input| input.file.footer().payload_bytes());
        self.running().alone.extend(largest.map(|input| input.file.footer().name().digest));
    }
}

fn unreadable(path: &std::path::Path, why: String) -> StoreError {
    StoreError::io("cannot read back", path)(io::Error::other(why))
}

/// How many segments, from the first on, fit one with respect to payload and streams, and to the memory for the blocks of
/// sections that overlap: also when what comes of it is to be merged again.
fn fitting(group: &[Arc<StoredSegment>], payload_bytes_max: u64) -> usize {
    let (mut payload_bytes, mut stream_bytes) = (0, 0);
    let mut streams = BTreeSet::new();
    let mut encoded = Vec::new();
    let mut sections = Vec::new();
    let fits = |segment: &&Arc<StoredSegment>| {
        payload_bytes += segment.file.footer().payload_bytes();
        for stream in segment.file.streams() {
            if streams.insert(Arc::clone(stream)) {
                encoded.clear();
                encode_stream(&mut encoded, stream);
                stream_bytes += encoded.len();
            }
        }
        let footer = segment.file.footer();
        sections.extend(footer.sections().iter().filter_map(|section| {
            let blocks = footer.blocks().get(section.blocks.clone())?;
            Some((blocks.first()?.low.to_u128(), blocks.last()?.high.to_u128()))
        }));
        payload_bytes <= payload_bytes_max
            && overlap(&sections) <= STORE_COMPACT_OVERLAP_MAX
            && streams.len() <= SEGMENT_STREAMS_MAX
            && stream_bytes <= SEGMENT_STREAM_BYTES_MAX
    };
    group.iter().take_while(fits).count()
}
