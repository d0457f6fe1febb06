//! What an operator wants of this node, kept on disk: it holds until it is done or called off.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use weir_storage::data_dir::replace_file;

/// The file in the data directory.
const FILE: &str = "jobs";
/// Its first line.
const HEADER: &str = "weir jobs 1";
const DRAINING: &str = "draining";
const REBALANCING: &str = "rebalancing";

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// It is to take nothing more and to give everything away.
    pub(crate) draining: bool,
    /// What lies where it does not belong is to move.
    pub(crate) rebalancing: bool,
}

/// What is wanted now, for whoever acts on it.
pub(crate) struct Jobs {
    data_dir: PathBuf,
    wanted: watch::Sender<Wanted>,
    /// One at a time writes the file.
    writing: Mutex<()>,
}

impl Jobs {
    /// What was wanted when the last process ended; nothing, with a word to the operator, when that cannot be read.
    pub(crate) fn read(data_dir: &Path) -> Arc<Jobs> {
        let path = data_dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => format!("{HEADER}\n"),
            Err(error) => error.to_string(),
        };
        let wanted = parse(&text).unwrap_or_else(|| {
            let path = path.display();
            tracing::error!(%path, "what was wanted of this node cannot be read: say again whether it is to be drained");
            Wanted::default()
        });
        Arc::new(Jobs {
            data_dir: data_dir.to_owned(),
            wanted: watch::Sender::new(wanted),
            writing: Mutex::new(()),
        })
    }

    /// What is wanted now.
    pub(crate) fn wanted(&self) -> Wanted {
        *self.wanted.borrow()
    }

    /// Told of every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// Changes what is wanted: first on disk, then for all. Whether anything has changed.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut Wanted)) -> io::Result<bool> {
        let _writing = self.writing.lock().await;
        let mut wanted = self.wanted();
        change(&mut wanted);
        if wanted == self.wanted() {
            return Ok(false);
        }
        let (dir, text) = (self.data_dir.clone(), text_of(wanted));
        let written = tokio::task::spawn_blocking(move || replace_file(&dir, FILE, text.as_bytes())).await;
        written.map_err(io::Error::other)??;
        self.wanted.send_replace(wanted);
        Ok(true)
    }
}

fn text_of(wanted: Wanted) -> String {
    let lines = [(wanted.draining, DRAINING), (wanted.rebalancing, REBALANCING)];
    let wanted = lines.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, name)| name);
    wanted.fold(format!("{HEADER}\n"), |text, name| text + name + "\n")
}

fn parse(text: &str) -> Option<Wanted> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    if lines.next() != Some(HEADER) {
        return None;
    }
    let mut wanted = Wanted::default();
    for line in lines {
        match line {
            DRAINING => wanted.draining = true,
            REBALANCING => wanted.rebalancing = true,
            _ => return None,
        }
    }
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wanted_is_wanted_after_a_restart_too() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::read(dir.path());
        assert_eq!(jobs.wanted(), Wanted::default());
        assert!(jobs.change(|wanted| wanted.draining = true).await.unwrap());
        assert!(!jobs.change(|wanted| wanted.draining = true).await.unwrap());
        assert_eq!(Jobs::read(dir.path()).wanted(), Wanted { draining: true, rebalancing: false });
        assert!(jobs.change(|wanted| *wanted = Wanted { draining: false, rebalancing: true }).await.unwrap());
        assert_eq!(Jobs::read(dir.path()).wanted(), jobs.wanted());
    }

    #[test]
    fn nothing_else_is_read() {
        for (text, expected) in [
            ("weir jobs 1\n", Some((false, false))),
            ("weir jobs 1\nrebalancing\ndraining\n", Some((true, true))),
            ("weir jobs 1\nresting\n", None),
            ("weir jobs 2\n", None),
            ("weir jobs 1\ndrai", None),
            ("", None),
        ] {
            let read = parse(text).map(|wanted| (wanted.draining, wanted.rebalancing));
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
