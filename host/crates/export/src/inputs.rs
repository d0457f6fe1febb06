//! Which files are meant.

use std::io;
use std::path::{Path, PathBuf};

use weir_record::limits::EXPORT_DEPTH_MAX;
use weir_storage::quarantine::QUARANTINE_DIR;

/// A path that leads to no segment. Does not affect state.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The system cannot look at it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder that has none.
    #[error("{}: no segment (*.zst) in it or below it", .0.display())]
    Nothing(PathBuf),
    /// A folder that is nested too deeply.
    #[error("{}: more than {EXPORT_DEPTH_MAX} folders deep; name the folder itself", .0.display())]
    TooDeep(PathBuf),
}

/// The files that `paths` name: files as they are, of folders all segments in and below them, sorted. What a node
/// has set aside as damaged is left out, unless it is named itself.
pub(crate) fn segments(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<InputError>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let before = (found.len(), problems.len());
        below(path, 0, &mut found, &mut problems);
        if (found.len(), problems.len()) == before {
            problems.push(InputError::Nothing(path.clone()));
        }
    }
    (found, problems)
}

fn below(dir: &Path, depth: usize, found: &mut Vec<PathBuf>, problems: &mut Vec<InputError>) {
    if depth > EXPORT_DEPTH_MAX {
        problems.push(InputError::TooDeep(dir.to_owned()));
        return;
    }
    let listed = std::fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match listed {
        Ok(entries) => entries,
        Err(source) => {
            problems.push(InputError::Io { path: dir.to_owned(), source });
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it may lead in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name() != QUARANTINE_DIR {
                below(&path, depth + 1, found, problems);
            }
        } else if path.extension().is_some_and(|extension| extension == "zst") && path.is_file() {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_and_files_taken_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["store/u2", "store/u1", "log", "quarantine"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for file in
            ["store/u2/b.zst", "store/u1/a.zst", "store/u1/a.tmp", "log/1.log", "quarantine/q.zst", "z"]
        {
            std::fs::write(at(file), "").unwrap();
        }
        let check = |paths: &[&str], expected: &[&str], problems: usize| {
            let paths: Vec<PathBuf> = paths.iter().map(|path| at(path)).collect();
            let expected: Vec<PathBuf> = expected.iter().map(|path| at(path)).collect();
            let (found, wrong) = segments(&paths);
            assert_eq!((found, wrong.len()), (expected, problems), "{paths:?}: {wrong:?}");
        };
        check(&[""], &["store/u1/a.zst", "store/u2/b.zst"], 0);
        check(&["z", "store/u2"], &["z", "store/u2/b.zst"], 0);
        check(&["quarantine"], &["quarantine/q.zst"], 0);
        check(&["missing"], &["missing"], 0);
        check(&["log"], &[], 1);
    }
}
