//! Cases as files: a folder each, with what goes in and what must come out.
//!
//! `input.txt` has a record per line, `params.json` the parameters (none if it is not there), `labels.json` the stream
//! of all records (`{"_topic": "shop", "host": "web1"}`). `expected.txt` has a line per row; or `error.txt` has words of the
//! error that the plugin must give.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_plugin_runtime::Kind;

use crate::error::ToolError;
use crate::records::Records;
use crate::trial::{How, Line, Trial};

const INPUT: &str = "input.txt";
const PARAMS: &str = "params.json";
const LABELS: &str = "labels.json";
const EXPECTED: &str = "expected.txt";
const ERROR: &str = "error.txt";
/// Lines of a difference that are shown.
const SHOWN: usize = 10;

/// The cases of a folder, in the order of their names.
#[derive(Debug)]
pub struct Cases {
    folders: Vec<PathBuf>,
}

/// A case that was tried.
#[derive(Debug, PartialEq, Eq)]
pub struct Tried {
    /// Name of its folder.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a case.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As the files say.
    Passed,
    /// The file of what is expected was written.
    Blessed,
    /// Not so, and how.
    Failed(String),
}

impl Cases {
    /// Finds the cases below a folder.
    pub fn find(dir: &Path) -> Result<Cases, ToolError> {
        let read = |error| ToolError::file("read the cases in", dir)(error);
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(read)? {
            let path = entry.map_err(ToolError::file("read the cases in", dir))?.path();
            if path.join(INPUT).is_file() {
                folders.push(path);
            }
        }
        if folders.is_empty() {
            let (name, why) =
                (dir.display().to_string(), format!("there is no folder with an {INPUT} in it"));
            return Err(ToolError::Case { name, why });
        }
        folders.sort();
        Ok(Cases { folders })
    }

    /// Tries them. With `bless`, what comes out is written down as what is expected.
    pub fn run(&self, trial: &Trial, bless: bool) -> Result<Vec<Tried>, ToolError> {
        if trial.plugin().kind() == Kind::Source {
            return Err(ToolError::Source(trial.plugin().name().to_owned()));
        }
        self.folders.iter().map(|dir| tried(dir, trial, bless)).collect()
    }
}

fn tried(dir: &Path, trial: &Trial, bless: bool) -> Result<Tried, ToolError> {
    let name = dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let case = |why: String| ToolError::Case { name: name.clone(), why };
    let params = optional(&dir.join(PARAMS))?.map(String::from_utf8).transpose();
    let params = params.map_err(|_| case(format!("{PARAMS} is not UTF-8")))?;
    let labels: BTreeMap<String, String> = match optional(&dir.join(LABELS))? {
        Some(text) => serde_json::from_slice(&text)
            .map_err(|error| case(format!("{LABELS} is no JSON object of texts: {error}")))?,
        None => BTreeMap::new(),
    };
    let input = dir.join(INPUT);
    let input = std::fs::read(&input).map_err(ToolError::file("read", &input))?;
    let records = Records::of_lines(&input)?.with_labels(labels.into_iter().collect());
    let (answer, error) = (optional(&dir.join(EXPECTED))?, optional(&dir.join(ERROR))?);
    let got = trial.params(params.as_deref()).and_then(|params| answer_of(trial, &params, &records));
    let outcome = match (got, answer, error) {
        (_, Some(_), Some(_)) => return Err(case(format!("it has both {EXPECTED} and {ERROR}; keep one"))),
        (Err(got), None, Some(expected)) => {
            let expected = String::from_utf8_lossy(&expected);
            let got = got.to_string();
            if got.contains(expected.trim()) {
                Outcome::Passed
            } else {
                Outcome::Failed(format!("  the error lacks {:?}: {got}\n", expected.trim()))
            }
        }
        (Err(got), ..) => Outcome::Failed(format!("  {got}\n")),
        (Ok(_), None, Some(_)) => Outcome::Failed(format!("  there is no error, and {ERROR} expects one\n")),
        (Ok(Err(unsteady)), ..) => Outcome::Failed(unsteady),
        (Ok(Ok(got)), expected, None) => {
            if expected.as_ref() == Some(&got) {
                Outcome::Passed
            } else if bless {
                let path = dir.join(EXPECTED);
                std::fs::write(&path, &got).map_err(ToolError::file("write", &path))?;
                Outcome::Blessed
            } else {
                Outcome::Failed(match expected {
                    Some(expected) => diff(&expected, &got),
                    None => format!(
                        "  there is no {EXPECTED}; look at what it says and write it with --bless:\n{}",
                        diff(b"", &got)
                    ),
                })
            }
        }
    };
    Ok(Tried { name, outcome })
}

/// The answer as a text, or how it depends on the cut of the records.
fn answer_of(
    trial: &Trial,
    params: &Arc<str>,
    records: &Records,
) -> Result<Result<Vec<u8>, String>, ToolError> {
    let whole = trial.answer(params, records)?;
    let single = trial.answer_as(params, records, &How { batch_records: 1, ..How::plain(records) })?;
    if whole != single {
        let difference = crate::check::difference(&whole, &single);
        return Ok(Err(format!("  records one by one give another answer than all at once: {difference}\n")));
    }
    Ok(Ok(text(&whole)))
}

fn text(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.payload.iter().copied().chain([b'\n'])).collect()
}

/// The lines in which two texts differ: `-` is expected, `+` is what came.
fn diff(expected: &[u8], got: &[u8]) -> String {
    let lines = |text: &[u8]| -> Vec<String> {
        text.split_inclusive(|byte| *byte == b'\n').map(|line| line.escape_ascii().to_string()).collect()
    };
    let (expected, got) = (lines(expected), lines(got));
    let same = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let tail =
        expected[same..].iter().rev().zip(got[same..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut text = format!("  from line {}:\n", same + 1);
    for (sign, lines) in [('-', &expected[same..expected.len() - tail]), ('+', &got[same..got.len() - tail])]
    {
        for line in lines.iter().take(SHOWN) {
            let line = line.strip_suffix("\\n").unwrap_or(line);
            let _ = writeln!(text, "  {sign} {line}");
        }
        if lines.len() > SHOWN {
            let _ = writeln!(text, "  {sign} … {} more", lines.len() - SHOWN);
        }
    }
    text
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>, ToolError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ToolError::file("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_differs() {
        assert_eq!(diff(b"a\nb\nc\n", b"a\nx\nc\n"), "  from line 2:\n  - b\n  + x\n");
        assert_eq!(diff(b"", b"\xff\n"), "  from line 1:\n  + \\xff\n");
        assert_eq!(diff(b"a\n", b"a"), "  from line 1:\n  - a\n  + a\n");
        let many = (0..20).map(|n| format!("{n}\n")).collect::<Vec<_>>().concat();
        assert!(diff(many.as_bytes(), b"").ends_with("  - 9\n  - … 10 more\n"));
    }
}
