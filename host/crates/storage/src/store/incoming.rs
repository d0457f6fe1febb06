//! Taking an origin: streamed to disk, proven, and only then held.

use std::path::Path;
use std::sync::Arc;

use weir_segment::{Origin, OriginFlags, OriginName, RecordDigest, Unit};

use crate::disk::is_full;
use crate::segment_file::{SegmentFile, SegmentFileError};
use crate::store::catalog::Unclaimed;
use crate::store::segment::{Served, StoredSegment};
use crate::store::tmp::TmpFile;
use crate::store::{AcceptError, Inner, Store, StoreError, Verification, Wrong, verify};

/// An origin as it was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its unit.
    pub unit: Unit,
    /// Its name.
    pub name: OriginName,
    /// What holds for all its records.
    pub flags: OriginFlags,
    /// Number of its records.
    pub count: u64,
    /// What proves them.
    pub digest: RecordDigest,
    /// Length of its file.
    pub bytes: u64,
}

impl Expected {
    fn origin(&self) -> Origin {
        Origin { name: self.name, flags: self.flags, count: self.count, digest: self.digest }
    }

    fn wrong(&self, source: impl Into<Wrong>) -> AcceptError {
        AcceptError::Wrong { origin: self.name.with_unit(&self.unit), source: Box::new(source.into()) }
    }
}

/// What a store answers to an origin that is offered to it.
#[derive(Debug)]
pub enum Offer {
    /// Send it.
    Wanted(Box<Incoming>),
    /// There is nothing to send; the answer counts as a confirmation.
    Settled(Accepted),
}

/// What became of an origin. Each counts as a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is held now, and durable.
    Kept,
    /// It was held already, with the same records.
    Already,
    /// Its unit has expired here: it is not kept, and need not be.
    Expired,
}

/// An origin that is coming in. Dropping it discards what has come.
pub struct Incoming {
    expected: Expected,
    tmp: TmpFile,
    claim: Claim,
    verification: Verification,
}

/// That an origin is being taken, and room for it.
struct Claim {
    inner: Arc<Inner>,
    unit: Unit,
    name: OriginName,
    /// Bytes that were promised and not written yet.
    promised_bytes: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut catalog = self.inner.catalog();
        catalog.settle(self.promised_bytes);
        catalog.unclaim(&self.unit, self.name);
    }
}

impl Store {
    /// Begins to take an origin, unless it is held already or expired.
    pub fn incoming(&self, expected: Expected) -> Result<Offer, AcceptError> {
        let inner = &self.inner;
        inner.check_poison()?;
        // A file system that cannot tell is taken to have room; the write itself will show.
        let space = inner.disk.space(&inner.dir).ok();
        {
            let mut catalog = inner.catalog();
            if catalog.watermarks.covers(&expected.unit) {
                return Ok(Offer::Settled(Accepted::Expired));
            }
            if let Some((_, held)) = catalog.find(&expected.unit, expected.name) {
                let held = *held;
                return settled(&expected, &held).map(Offer::Settled);
            }
            catalog.claim(&expected.unit, expected.name, expected.bytes, space).map_err(|why| match why {
                Unclaimed::Busy => AcceptError::Busy(expected.name.with_unit(&expected.unit)),
                Unclaimed::Crowded => AcceptError::Crowded,
                Unclaimed::Full => AcceptError::Full,
            })?;
        }
        let claim = Claim {
            inner: Arc::clone(inner),
            unit: expected.unit.clone(),
            name: expected.name,
            promised_bytes: expected.bytes,
        };
        let tmp = inner.tmp("incoming").map_err(|error| failed("cannot make", &inner.dir, error))?;
        let verification = inner.options.verification;
        Ok(Offer::Wanted(Box::new(Incoming { expected, tmp, claim, verification })))
    }

    /// Takes an origin that lies in a file of this machine, which has sealed it: its records are not proven by
    /// their digest again, its frames by their checksums are. The file stays where it is.
    pub fn accept_file(&self, expected: Expected, path: &Path) -> Result<Accepted, AcceptError> {
        let mut incoming = match self.incoming(expected)? {
            Offer::Wanted(incoming) => incoming,
            Offer::Settled(accepted) => return Ok(accepted),
        };
        incoming.verification = incoming.verification.min(Verification::Sums);
        let cannot = |error| AcceptError::Store(StoreError::io("cannot read", path)(error));
        let file = self.inner.disk.open(path).map_err(cannot)?;
        let mut buffer = vec![0; weir_record::limits::STORE_WRITE_BYTES];
        let mut at = 0;
        loop {
            let read = file.read_at(&mut buffer, at).map_err(cannot)?;
            if read == 0 {
                return incoming.finish();
            }
            incoming.write(&buffer[..read])?;
            at += read as u64;
        }
    }
}

impl Incoming {
    /// Takes the next bytes of the file. After an error it can only be dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), AcceptError> {
        let got = self.tmp.bytes() + bytes.len() as u64;
        if got > self.expected.bytes {
            return Err(self.expected.wrong(Wrong::Bytes { got, expected: self.expected.bytes }));
        }
        self.tmp.write(bytes).map_err(|error| failed("cannot write", self.tmp.path(), error))?;
        let left = self.expected.bytes - got;
        self.claim.inner.catalog().settle(self.claim.promised_bytes - left);
        self.claim.promised_bytes = left;
        Ok(())
    }

    /// Bytes that have come.
    pub fn bytes(&self) -> u64 {
        self.tmp.bytes()
    }

    /// Proves what has come, makes it durable and holds it. Every byte is read again: what is held is what
    /// was announced, or nothing.
    pub fn finish(mut self) -> Result<Accepted, AcceptError> {
        let inner = Arc::clone(&self.claim.inner);
        inner.check_poison()?;
        self.tmp.flush().map_err(|error| failed("cannot write", self.tmp.path(), error))?;
        let file = self.proven()?;
        let Incoming { expected, tmp, claim, .. } = self;
        tmp.file().sync_all().map_err(|error| inner.poisoned(tmp.path(), &error))?;
        let path = inner.dir.join(file.footer().name().to_string());
        tmp.rename(&path).map_err(StoreError::io("cannot rename to", &path))?;
        inner.sync_dir()?;
        let accepted = inner.hold(StoredSegment::new(Arc::new(file.renamed(&path)), Served::All));
        drop((expected, claim));
        accepted
    }

    fn proven(&self) -> Result<SegmentFile, AcceptError> {
        let Incoming { expected, tmp, .. } = self;
        if tmp.bytes() != expected.bytes {
            return Err(expected.wrong(Wrong::Bytes { got: tmp.bytes(), expected: expected.bytes }));
        }
        let wrong = |error| match error {
            SegmentFileError::Segment { source, .. } => expected.wrong(source),
            SegmentFileError::Io { source, .. } => failed("cannot read", tmp.path(), source),
        };
        let file = SegmentFile::of(Arc::clone(tmp.file()), tmp.path()).map_err(wrong)?;
        let footer = file.footer();
        if *footer.unit() != expected.unit {
            return Err(expected.wrong(Wrong::Unit(Box::new(footer.unit().clone()))));
        }
        match footer.lineage() {
            [one] if *one == expected.origin() => {}
            [one] if one.name == expected.name => {
                return Err(expected.wrong(Wrong::Origin { got: *one, expected: expected.origin() }));
            }
            // A lineage is never empty.
            [first, ..] => {
                let (origins, first) = (footer.lineage().len(), first.name);
                return Err(expected.wrong(Wrong::Lineage { origins, first }));
            }
            [] => return Err(expected.wrong(weir_segment::SegmentError::NotASegment)),
        }
        match self.verification {
            Verification::Whole => verify::prove(&file).map_err(wrong)?,
            Verification::Sums => verify::check_sums(&file).map_err(wrong)?,
            Verification::Footer => {}
        }
        Ok(file)
    }
}

impl Inner {
    /// Publishes a segment that is durable, unless its unit has expired meanwhile.
    fn hold(&self, segment: StoredSegment) -> Result<Accepted, AcceptError> {
        // Another thread's sync may have failed since: nothing is confirmed after that.
        self.check_poison()?;
        let mut catalog = self.catalog();
        if catalog.watermarks.covers(segment.unit()) {
            drop(catalog);
            self.remove(&[Arc::new(segment)])?;
            return Ok(Accepted::Expired);
        }
        catalog.counters.accepted += 1;
        catalog.counters.accepted_bytes += segment.file.bytes();
        catalog.add(segment);
        Ok(Accepted::Kept)
    }
}

/// The answer to an origin that is held.
fn settled(expected: &Expected, held: &Origin) -> Result<Accepted, AcceptError> {
    if *held == expected.origin() {
        return Ok(Accepted::Already);
    }
    Err(expected.wrong(Wrong::Conflict { held: held.digest, offered: expected.digest }))
}

fn failed(what: &'static str, path: &Path, error: std::io::Error) -> AcceptError {
    if is_full(&error) {
        tracing::warn!(%error, "a write was refused: the origin that was coming in is dropped");
        return AcceptError::Full;
    }
    AcceptError::Store(StoreError::io(what, path)(error))
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("expected", &self.expected).finish_non_exhaustive()
    }
}
