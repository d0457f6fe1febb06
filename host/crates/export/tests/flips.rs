//! `weir segment verify` finds every flipped bit and names its block; every other block can still be read.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use weir_export::{Findings, OpenError, Opening};
use weir_segment::error::Half;
use weir_segment::{Block, Decoder, Footer, SegmentError};

use crate::corpus::{concatenated, rows, segment};

/// Random flips of the segment that is written now; one of several sections and the fixture of version 1 get as many.
fn flips() -> usize {
    if std::env::var_os("WEIR_LONG").is_some() { 50_000 } else { 1_500 }
}

/// A file in which one bit at a time is wrong.
struct Patient {
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
    footer: Footer,
    /// The records of each block.
    blocks: Vec<Vec<Vec<u8>>>,
    decoder: Decoder,
    block: Block,
    buffer: Vec<u8>,
}

impl Patient {
    fn new(path: &Path) -> Patient {
        let opening = Opening::new(path).unwrap();
        let footer = opening.footer().clone();
        let mut patient = Patient {
            path: path.to_owned(),
            file: File::options().write(true).open(path).unwrap(),
            bytes: std::fs::read(path).unwrap(),
            blocks: Vec::new(),
            decoder: Decoder::new().unwrap(),
            block: Block::new(),
            buffer: Vec::new(),
            footer,
        };
        assert!(Findings::of(&opening).unwrap().is_sound());
        patient.blocks = patient.readable(&opening).into_iter().map(Option::unwrap).collect();
        patient
    }

    /// The records of each block, `None` for one that cannot be read.
    fn readable(&mut self, opening: &Opening) -> Vec<Option<Vec<Vec<u8>>>> {
        let mut found = Vec::new();
        for (index, entry) in opening.footer().blocks().iter().enumerate() {
            opening.read(entry.range(), &mut self.buffer).unwrap();
            let read = self.decoder.block(opening.footer(), index, &self.buffer, &mut self.block);
            let records = self.block.records().map(|record| record.payload.to_vec());
            found.push(read.is_ok().then(|| records.collect()));
        }
        found
    }

    /// Flips a bit, looks at everything, and flips it back.
    fn check(&mut self, bit: usize) {
        let at = (bit / 8) as u64;
        let byte = self.bytes[bit / 8];
        self.file.write_all_at(&[byte ^ 1 << (bit % 8)], at).unwrap();
        self.judge(at).unwrap_or_else(|why| panic!("bit {} of byte {at}: {why}", bit % 8));
        self.file.write_all_at(&[byte], at).unwrap();
    }

    fn judge(&mut self, at: u64) -> Result<(), String> {
        let opening = match Opening::new(&self.path) {
            Ok(opening) => opening,
            Err(OpenError::Segment { source, .. }) => return self.judge_end(at, &source),
            Err(other) => return Err(other.to_string()),
        };
        let hit = self.footer.blocks().iter().position(|block| block.range().contains(&at));
        let findings = Findings::of(&opening).map_err(|error| error.to_string())?;
        let [found] = &findings.damage[..] else { return Err(format!("found: {findings}")) };
        let named = match (found, hit) {
            (SegmentError::Block { index, offset, half, .. }, Some(hit)) => {
                let entry = &self.footer.blocks()[hit];
                let side = entry.side_range();
                let place =
                    if side.contains(&at) { (side.start, Half::Side) } else { (entry.offset, Half::Data) };
                *index == hit && (*offset, *half) == place
            }
            (SegmentError::Part { index, offset, .. }, None) => {
                let range = &self.footer.parts()[*index].range;
                range.contains(&at) && range.start == *offset
            }
            _ => false,
        };
        if !named {
            return Err(format!("named: {findings}"));
        }
        if hit.is_none() != findings.touched.is_empty() {
            return Err(format!("origins: {findings}"));
        }
        // A flip in its filter leaves even the block itself readable.
        for (index, records) in self.readable(&opening).into_iter().enumerate() {
            match records {
                Some(records) if records == self.blocks[index] => {}
                Some(_) => return Err(format!("block {index} has other records")),
                None if Some(index) == hit => {}
                None => return Err(format!("block {index} cannot be read")),
            }
        }
        Ok(())
    }

    /// Behind blocks and parts: nothing can be read, for nothing says where it lies.
    fn judge_end(&self, at: u64, error: &SegmentError) -> Result<(), String> {
        let blocks = self.footer.blocks().iter().map(|block| block.range().end);
        let parts = self.footer.parts().iter().map(|part| part.range.end);
        let footer = blocks.chain(parts).max().unwrap_or_default();
        let named = match error {
            SegmentError::Footer { offset, .. } => *offset == footer,
            SegmentError::Tail | SegmentError::NotASegment | SegmentError::FileBytes { .. } => {
                at + 32 >= self.bytes.len() as u64
            }
            _ => false,
        };
        if at >= footer && named { Ok(()) } else { Err(error.to_string()) }
    }

    /// A bit of each byte at the beginning and the end of every place.
    fn check_places(&mut self) {
        let mut places = Vec::new();
        for block in self.footer.blocks() {
            let (data, side) = (block.offset as usize, block.side_range());
            let (side, end) = (side.start as usize, side.end as usize);
            // The frame of the lines; header and head of the side frame and the first bytes of the filter; the columns.
            places.extend([data..data + 16, side - 8..side, side..side + 64, end - 16..end]);
        }
        for part in self.footer.parts() {
            let (start, end) = (part.range.start as usize, part.range.end as usize);
            places.extend([start..(start + 32).min(end), end.saturating_sub(16).max(start)..end]);
        }
        let end = self.bytes.len();
        let footer = self.footer.parts().iter().map(|part| part.range.end as usize).max().unwrap_or(end - 64);
        places.extend([footer..footer + 16, end - 48..end]);
        for place in places {
            for byte in place {
                self.check(byte * 8 + byte % 8);
            }
        }
    }

    fn check_at_random(&mut self, count: usize, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..count {
            self.check(random.usize(..self.bytes.len() * 8));
        }
    }
}

#[test]
fn every_flipped_bit_is_named_and_costs_no_other_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = segment(&dir.path().join("x.zst"), &rows(300, 11), 4 << 10);
    let mut patient = Patient::new(&path);
    assert!(patient.footer.blocks().len() > 2 && patient.footer.parts().len() == 1);
    patient.check_places();
    patient.check_at_random(flips(), 12);
}

#[test]
fn the_same_holds_for_segments_put_one_behind_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let lists: Vec<_> = (0..3).map(|n| rows(100 + 40 * n as usize, 14 + n)).collect();
    let path = concatenated(&dir.path().join("c.zst"), &lists, 2 << 10);
    let mut patient = Patient::new(&path);
    let footer = &patient.footer;
    assert!(footer.sections().len() == 3 && footer.parts().len() == 3 && footer.blocks().len() > 6);
    patient.check_places();
    patient.check_at_random(flips(), 15);
}

#[test]
fn the_same_holds_for_segments_of_version_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v1.zst");
    std::fs::write(&path, include_bytes!("../../segment/fixtures/v1.zst")).unwrap();
    let mut patient = Patient::new(&path);
    patient.check_places();
    patient.check_at_random(flips(), 13);
}
