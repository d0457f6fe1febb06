//! Reading a whole segment to prove it.

use weir_record::limits::STORE_DAMAGES_TOLD_MAX;
use weir_segment::filters::part_filter;
use weir_segment::{BlockEntry, Concat, SegmentError, Verifier};

use crate::segment_file::{SegmentFile, SegmentFileError};

/// What is wrong with a segment.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The first damages, in the order of the file.
    pub(crate) damages: Vec<SegmentFileError>,
    /// Numbers of the origins that are not whole any more, in ascending order.
    pub(crate) touched: Vec<u32>,
}

/// The first thing that is wrong with a file, if there is one.
pub(crate) fn prove(file: &SegmentFile) -> Result<(), SegmentFileError> {
    let io = |source| SegmentFileError::Io { path: file.path().to_owned(), source };
    let wrong = |source| SegmentFileError::Segment { path: file.path().to_owned(), source };
    let footer = file.footer();
    let mut verifier = Verifier::new(footer).map_err(wrong)?;
    let mut buffer = Vec::new();
    for entry in footer.blocks() {
        file.read_block(entry, &mut buffer).map_err(io)?;
        verifier.block(&buffer).map_err(wrong)?;
    }
    for (index, entry) in footer.parts().iter().enumerate() {
        file.read_part(entry, &mut buffer).map_err(io)?;
        verifier.part(index, &buffer).map_err(wrong)?;
    }
    verifier.finish().into_iter().next().map_or(Ok(()), |source| Err(wrong(source)))
}

/// The first frame of a file whose checksum does not hold. Tells what a disk has spoiled; for a file that this
/// machine has written itself that is enough.
pub(crate) fn check_sums(file: &SegmentFile) -> Result<(), SegmentFileError> {
    let io = |source| SegmentFileError::Io { path: file.path().to_owned(), source };
    let wrong = |source| SegmentFileError::Segment { path: file.path().to_owned(), source };
    let footer = file.footer();
    let mut buffer = Vec::new();
    for (index, entry) in footer.blocks().iter().enumerate() {
        file.read_block(entry, &mut buffer).map_err(io)?;
        Concat::check_block(footer, index, &buffer).map_err(wrong)?;
    }
    for (index, entry) in footer.parts().iter().enumerate() {
        file.read_part(entry, &mut buffer).map_err(io)?;
        part_filter(footer, index, &buffer).map_err(wrong)?;
    }
    Ok(())
}

/// Everything that is wrong with a file. What the disk cannot read is damage like any other. `Err` only for
/// want of memory.
pub(crate) fn examine(file: &SegmentFile) -> Result<Findings, SegmentError> {
    let footer = file.footer();
    let mut verifier = Verifier::new(footer)?;
    let mut findings = Findings::default();
    let mut tell = |damage: SegmentFileError| {
        if findings.damages.len() < STORE_DAMAGES_TOLD_MAX {
            findings.damages.push(damage);
        }
    };
    let wrong = |source| SegmentFileError::Segment { path: file.path().to_owned(), source };
    let mut buffer = Vec::new();
    for entry in footer.blocks() {
        let unread = read_what_can_be_read(file, entry, &mut buffer);
        let found = verifier.block(&buffer).map_err(wrong);
        found.map_err(|damage| unread.unwrap_or(damage)).unwrap_or_else(&mut tell);
    }
    for (index, entry) in footer.parts().iter().enumerate() {
        // A lost part makes queries slower and loses no record.
        let read = file.read_part(entry, &mut buffer);
        let read = read.map_err(|source| SegmentFileError::Io { path: file.path().to_owned(), source });
        read.and_then(|()| verifier.part(index, &buffer).map_err(wrong)).unwrap_or_else(&mut tell);
    }
    let mut touched: Vec<u32> = verifier.touched().map(|number| number as u32).collect();
    for damage in verifier.finish() {
        if let SegmentError::Origin { origin, .. } = damage {
            let number = footer.lineage().binary_search_by_key(&origin, |origin| origin.name);
            touched.extend(number.ok().map(|number| number as u32));
        }
        tell(wrong(damage));
    }
    touched.sort_unstable();
    touched.dedup();
    findings.touched = touched;
    Ok(findings)
}

/// Reads a block in halves when it cannot be read as a whole: its side columns tell which origins are lost with
/// its lines. What is missing reads as zeros.
fn read_what_can_be_read(
    file: &SegmentFile,
    entry: &BlockEntry,
    buffer: &mut Vec<u8>,
) -> Option<SegmentFileError> {
    let source = file.read_block(entry, buffer).err()?;
    let mut side = Vec::new();
    if file.read_side(entry, &mut side).is_err() {
        side = vec![0; entry.side_bytes as usize];
    }
    buffer.clear();
    buffer.resize(entry.data_bytes as usize, 0);
    buffer.extend_from_slice(&side);
    Some(SegmentFileError::Io { path: file.path().to_owned(), source })
}
