//! `weir segment`: looks into files of records, offline.

mod export;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use weir_export::{Findings, Opening};
use weir_segment::level::LEVEL_NAMES;
use weir_segment::{Block, Decoder, Footer};

use crate::cli::exit::{Exit, Failure, Wrote, wrote};
use crate::cli::terminal::Color;

const INSPECT_EXAMPLES: &str = "\
Reads the footer alone: unit, ids, streams, origins, blocks.

Examples:
  weir segment inspect segment.zst";

const VERIFY_EXAMPLES: &str = "\
Reads every byte: checksums, columns, filters, and the digest of each origin. Each damage is
one line with the block and its offset. Exit code 1 when there is one.

Examples:
  weir segment verify segment.zst
  weir segment verify data/*.zst";

const CAT_EXAMPLES: &str = "\
Prints the records in the order of their ids, each with a newline behind it; a segment that was
made of several by putting them one behind the other prints them so. `zstdcat` does the same
without weir, though lines of one block are grouped for density.

Examples:
  weir segment cat segment.zst
  weir segment cat --ids segment.zst";

#[derive(Debug, Subcommand)]
pub(crate) enum Segment {
    Inspect(Inspect),
    Verify(Verify),
    Cat(Cat),
    Export(export::Export),
}

/// Show what a segment says about itself
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(crate) struct Inspect {
    /// The segment
    file: PathBuf,
}

/// Check every byte of segments
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(crate) struct Verify {
    /// The segments
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Print the records of a segment
#[derive(Debug, Args)]
#[command(after_help = CAT_EXAMPLES)]
pub(crate) struct Cat {
    /// The segment
    file: PathBuf,
    /// Print the id before each record
    #[arg(long)]
    ids: bool,
}

pub(crate) fn run(args: &Segment, color: Color) -> Result<Exit, Failure> {
    match args {
        Segment::Inspect(args) => inspect(&args.file),
        Segment::Verify(args) => verify(&args.files),
        Segment::Cat(args) => cat(args),
        Segment::Export(args) => export::run(args, color),
    }
}

fn open(path: &Path) -> Result<Opening, Failure> {
    Opening::new(path).map_err(|error| Failure::failed(error.to_string()))
}

/// What went wrong with a file, told with its name.
fn of(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> Failure {
    move |error| Failure::failed(format!("{}: {error}", path.display()))
}

fn inspect(path: &Path) -> Result<Exit, Failure> {
    let opening = open(path)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    wrote(describe(opening.footer(), &mut out).and_then(|()| out.flush()))?;
    Ok(Exit::Ok)
}

fn describe(footer: &Footer, out: &mut impl Write) -> std::io::Result<()> {
    let (low, high) = footer.id_range();
    let (records, payload) = (footer.records(), footer.payload_bytes());
    writeln!(out, "name      {}", footer.name())?;
    writeln!(out, "unit      {}", footer.unit())?;
    writeln!(out, "ids       {low} to {high}")?;
    writeln!(out, "records   {records}, {payload} bytes of payload in {} of file", footer.file_bytes())?;
    let levels = LEVEL_NAMES.iter().zip(footer.levels());
    let levels: Vec<String> = levels.map(|(name, count)| format!("{name} {count}")).collect();
    writeln!(out, "levels    {}", levels.join(", "))?;
    for (index, stream) in footer.streams().iter().enumerate() {
        writeln!(out, "stream {index:<3}{stream:?}")?;
    }
    for (index, origin) in footer.lineage().iter().enumerate() {
        let repeated = if origin.flags.bits() == 0 { "" } else { ", maybe repeated" };
        writeln!(
            out,
            "origin {index:<3}{}: {} records{repeated}, digest {}",
            origin.name, origin.count, origin.digest
        )?;
    }
    for (index, block) in footer.blocks().iter().enumerate() {
        writeln!(
            out,
            "block {index:<4}offset {}, data {} in {} leaves, side {}, {} records, {} to {}",
            block.offset,
            block.data_bytes,
            footer.leaves(index).len(),
            block.side_bytes,
            block.records,
            block.low,
            block.high
        )?;
    }
    for (index, part) in footer.parts().iter().enumerate() {
        let bytes = part.range.end - part.range.start;
        writeln!(
            out,
            "filter {index:<3}blocks {} to {}, {bytes} bytes",
            part.blocks.start,
            part.blocks.end - 1
        )?;
    }
    Ok(())
}

fn verify(paths: &[PathBuf]) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    for path in paths {
        let problems = problems(path)?;
        let mut out = std::io::stdout().lock();
        if problems.is_empty() {
            wrote(writeln!(out, "{}: ok", path.display()))?;
            continue;
        }
        exit = Exit::Failed;
        for problem in problems {
            wrote(writeln!(out, "{problem}"))?;
        }
    }
    Ok(exit)
}

/// All that is wrong with a file, each with its name.
fn problems(path: &Path) -> Result<Vec<String>, Failure> {
    match Opening::new(path) {
        Ok(opening) => {
            let findings = Findings::of(&opening).map_err(|error| of(path)(&error))?;
            Ok(findings.lines().map(|line| format!("{}: {line}", path.display())).collect())
        }
        Err(error) => Ok(vec![error.to_string()]),
    }
}

fn cat(args: &Cat) -> Result<Exit, Failure> {
    let opening = open(&args.file)?;
    let failed = of(&args.file);
    let mut decoder = Decoder::new().map_err(|error| failed(&error))?;
    let (mut block, mut bytes) = (Block::new(), Vec::new());
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    for (index, entry) in opening.footer().blocks().iter().enumerate() {
        opening
            .read(entry.range(), &mut bytes)
            .map_err(|error| failed(&format!("read at {}: {error}", entry.offset)))?;
        let decoded = decoder.block(opening.footer(), index, &bytes, &mut block);
        decoded.map_err(|error| failed(&error))?;
        if wrote(print(&block, args.ids, &mut out))? == Wrote::ReaderGone {
            return Ok(Exit::Ok);
        }
    }
    wrote(out.flush())?;
    Ok(Exit::Ok)
}

fn print(block: &Block, ids: bool, out: &mut impl Write) -> std::io::Result<()> {
    if block.is_in_order() && !ids {
        return out.write_all(block.arena());
    }
    for record in block.records() {
        if ids {
            write!(out, "{} ", record.id)?;
        }
        out.write_all(record.payload)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &[u8] = include_bytes!("../../crates/segment/fixtures/v1.zst");

    #[test]
    fn a_sound_segment_is_described_and_printed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(FIXTURE).unwrap();
        let opening = Opening::new(file.path()).unwrap();
        assert!(problems(file.path()).unwrap().is_empty());
        let mut text = Vec::new();
        describe(opening.footer(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for expected in
            ["records   1200, 110290 bytes", "unit      1699999200000.3600000.default.p0of1", "block 3 "]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let (mut decoder, mut block) = (Decoder::new().unwrap(), Block::new());
        let mut bytes = Vec::new();
        opening.read(opening.footer().blocks()[0].range(), &mut bytes).unwrap();
        decoder.block(opening.footer(), 0, &bytes, &mut block).unwrap();
        let (mut plain, mut with_ids) = (Vec::new(), Vec::new());
        print(&block, false, &mut plain).unwrap();
        print(&block, true, &mut with_ids).unwrap();
        assert_eq!(with_ids.len(), plain.len() + 27 * block.columns().ids().len());
    }

    #[test]
    fn damage_is_named_with_file_block_and_offset() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = FIXTURE.to_vec();
        bytes[10_400] ^= 1;
        file.write_all(&bytes).unwrap();
        let name = file.path().display().to_string();
        let found = problems(file.path()).unwrap();
        assert_eq!(
            found[0],
            format!("{name}: block 1 at offset 10396 is damaged in its data: the checksum does not match")
        );
        assert!(found[1..].iter().all(|line| line.contains("lies in a damaged block")), "{found:?}");
        assert_eq!(verify(&[file.path().to_owned()]), Ok(Exit::Failed));
        assert!(Opening::new(Path::new("no such file")).is_err());
    }
}
