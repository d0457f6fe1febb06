//! All that is wrong with a segment, for people.

use std::fmt;
use std::io;

use weir_segment::{OriginName, SegmentError, Verifier};

use crate::opening::Opening;

/// What reading every byte of a segment has found. As text: a line for each, with the block and its offset.
#[derive(Debug, Default)]
pub struct Findings {
    /// Damaged blocks and parts of the filter, in order; then origins that are not what they should be.
    pub damage: Vec<SegmentError>,
    /// Places that the system could not read, and why.
    pub unreadable: Vec<(u64, io::Error)>,
    /// Origins of which a record is or may be lost.
    pub touched: Vec<OriginName>,
}

impl Findings {
    /// Reads every byte of a segment whose footer is sound. `Err` only for want of memory.
    pub fn of(opening: &Opening) -> Result<Findings, SegmentError> {
        let footer = opening.footer();
        let mut verifier = Verifier::new(footer)?;
        let mut found = Findings::default();
        let mut buffer = Vec::new();
        for block in footer.blocks() {
            if let Err(error) = opening.read(block.range(), &mut buffer) {
                found.unreadable.push((block.offset, error));
                // Too short: the verifier counts it as damaged, and its origins with it.
                buffer.clear();
            }
            found.damage.extend(verifier.block(&buffer).err());
        }
        for (index, part) in footer.parts().iter().enumerate() {
            match opening.read(part.range.clone(), &mut buffer) {
                Ok(()) => found.damage.extend(verifier.part(index, &buffer).err()),
                Err(error) => found.unreadable.push((part.range.start, error)),
            }
        }
        found.touched = verifier.touched().map(|index| footer.lineage()[index].name).collect();
        found.damage.extend(verifier.finish());
        Ok(found)
    }

    /// Whether the segment is sound.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.unreadable.is_empty()
    }

    /// One line for each, without the name of the file.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let damage = self.damage.iter().map(ToString::to_string);
        let unreadable = self.unreadable.iter().map(|(offset, error)| format!("read at {offset}: {error}"));
        let touched = self.touched.iter().map(|name| format!("origin {name} lies in a damaged block"));
        damage.chain(unreadable).chain(touched)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().try_for_each(|line| writeln!(f, "{line}"))
    }
}
