//! `weir segment export`: records of segments in the formats of other tools.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use weir_export::{Destination, ExportError, Range, Shape};

use crate::cli::exit::{Exit, Failure};
use crate::cli::query::Output;
use crate::cli::terminal::Color;

const EXAMPLES: &str = "\
Formats:
  ndjson   a JSON object a line, as `weir query --format ndjson` prints it:
           id, time, topic, labels, payload; payload_base64 instead if it is no UTF-8
  csv      RFC 4180 with a header: the same columns, labels as JSON text
  parquet  the same columns, time as a timestamp in UTC, labels as a map; zstd

Without --out, or with -, records go to standard output (not Parquet). A PATH with an
extension, such as all.csv, becomes one file. Any other becomes a folder, or is one: each
segment gets a file per hour there, date=YYYY-MM-DD/hour=HH/SEGMENT.FORMAT in UTC, as
DuckDB, Spark and others read with hive partitioning. Files are written under a name that
ends in .tmp, made durable, and renamed when they are whole.

Of a folder all segments in and below it are read (*.zst, not those in quarantine/), in
the order of their names. Records come in the order of their ids within each segment,
or within each of those it was made of. A
segment that is there twice, as on two stores, is exported once, from the first. Other
repeats are not removed: a record that lies in several segments is exported from each;
`select distinct` removes them. What a node has not sealed into segments yet is only found
by `weir query`.

Damaged blocks are left out and named on standard error, with their offset; all others
are exported, and the exit code is 1.

Examples:
  weir segment export segment.zst
  weir segment export --format csv --from 2026-03-01T00:00:00Z data/store > march.csv
  weir segment export --format parquet --out export data/store
  weir segment export --format parquet --out all.parquet --force data/store/*/*.zst";

/// Write the records of segments as ndjson, CSV or Parquet
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// Segments, and folders of segments
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Shape of the output
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// A file (with an extension) or a folder; -: standard output
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Older end of the time range
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Newer end of the time range, not part of it
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Overwrite files that exist
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object a line
    Ndjson,
    /// RFC 4180, with a header
    Csv,
    /// For DuckDB, Spark, pandas; needs --out
    Parquet,
}

pub(crate) fn run(args: &Export, color: Color) -> Result<Exit, Failure> {
    let export = resolve(args)?;
    let mut problems = 0_u64;
    let mut tell = |problem: &weir_export::Problem| {
        problems += 1;
        Failure::failed(problem.to_string()).tell(color);
    };
    let done = export.run(&args.paths, &mut Standard(Output::standard()), &mut tell);
    match done {
        Ok(sums) => {
            if export.destination != Destination::Stream {
                eprintln!("{sums}");
            }
        }
        // A reader that has gone wants no more.
        Err(ExportError::Stream(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => return Err(Failure::failed(error.to_string())),
    }
    Ok(if problems == 0 { Exit::Ok } else { Exit::Failed })
}

/// What was typed, checked before anything is read.
fn resolve(args: &Export) -> Result<weir_export::Export, Failure> {
    let shape = match args.format {
        Format::Ndjson => Shape::Ndjson,
        Format::Csv => Shape::Csv,
        Format::Parquet => Shape::Parquet,
    };
    shape.available().map_err(|error| Failure::usage(format!("--format parquet: {error}")))?;
    let destination = destination(args.out.as_deref());
    if shape == Shape::Parquet && destination == Destination::Stream {
        return Err(Failure::usage(
            "--format parquet: its files are not read from a pipe; name a folder or a file with --out",
        ));
    }
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let range = Range::parse(args.from.as_deref(), args.to.as_deref(), now_ms)
        .map_err(|error| Failure::usage(format!("--from, --to: {error}")))?;
    if range.is_reversed() {
        return Err(Failure::usage("--from lies after --to; --from is the older end of the range"));
    }
    Ok(weir_export::Export { shape, range, destination, force: args.force })
}

fn destination(out: Option<&Path>) -> Destination {
    match out {
        None => Destination::Stream,
        Some(path) if path == Path::new("-") => Destination::Stream,
        // Whether it exists does not matter, so that a second export goes where the first one went.
        Some(path) if path.is_dir() || path.extension().is_none() || ends_in_slash(path) => {
            Destination::Folder(path.to_owned())
        }
        Some(path) => Destination::File(path.to_owned()),
    }
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Standard output as commands that print records have it: raw into pipes and files, escaped on a terminal.
struct Standard(Output);

impl Write for Standard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Each write is out when it returns.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Export {
        use clap::FromArgMatches as _;
        let command = Export::augment_args(clap::Command::new("export"));
        let matches = command.try_get_matches_from(line.split(' ')).unwrap();
        Export::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn the_path_says_whether_it_is_a_file_or_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let dotted = dir.path().join("a.d");
        std::fs::create_dir(&dotted).unwrap();
        let (folder, file) = (Destination::Folder, Destination::File);
        for (out, expected) in [
            (None, Destination::Stream),
            (Some("-"), Destination::Stream),
            (Some("out"), folder("out".into())),
            (Some("out/"), folder("out/".into())),
            (Some("new.d/"), folder("new.d/".into())),
            (Some("a/all.csv"), file("a/all.csv".into())),
            (Some(dotted.to_str().unwrap()), folder(dotted.clone())),
        ] {
            assert_eq!(destination(out.map(Path::new)), expected, "{out:?}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said_before_anything_is_read() {
        for (line, expected) in [
            ("export --format parquet x.zst", "--format parquet: "),
            ("export --format parquet --out - x.zst", "--format parquet: "),
            ("export --from yesterday x.zst", "--from, --to: \"yesterday\" is not a time"),
            ("export --from 1h --to 2h x.zst", "--from lies after --to"),
        ] {
            let failure = resolve(&typed(line)).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{line}");
            assert!(failure.message.starts_with(expected), "{line}: {}", failure.message);
        }
        let built = resolve(&typed("export --format parquet --out out x.zst")).map(|export| export.shape);
        let without = "--format parquet: this weir was built without Parquet; build one with `cargo build";
        match built {
            Ok(shape) => assert!(cfg!(feature = "parquet") && shape == Shape::Parquet),
            Err(failure) => assert!(!cfg!(feature = "parquet") && failure.message.starts_with(without)),
        }
    }
}
