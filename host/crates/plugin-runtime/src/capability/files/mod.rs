//! Read-only regular files below the directories of a grant.
//!
//! What touches the filesystem runs on blocking threads: a disk that hangs costs the plugin its call, not
//! the node a worker.

mod error;
mod grant;
mod identity;
mod scan;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use wasmtime::component::{HasSelf, Linker, Resource};
use weir_record::limits::CAPABILITY_READ_BYTES_MAX;

use crate::capability::{Capability, Context, failure};
use crate::grants::{Grants, key};
use crate::info::Need;
use crate::instance::state::State;
use crate::observe::Level;
use crate::wit::v1::weir::plugin::files::{self, Entry, Identity};
use crate::wit::v1::weir::plugin::types::{Failure, Verdict};

use error::FileError;
use grant::Grant;
use identity::Facts;
use scan::{Scan, Troubles};
use watch::{Watcher, Watching};

/// A file that a plugin has open.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it within the crate")]
pub struct OpenFile {
    file: Arc<OwnedFd>,
    grant: Arc<Grant>,
    path: Arc<str>,
}

/// The grants of an instance.
pub(crate) struct Files {
    grants: BTreeMap<String, Granted>,
    watcher: Option<Watcher>,
    unwatched: Option<String>,
}

struct Granted {
    grant: Arc<Grant>,
    /// Something may have changed that `changed` has not told yet.
    pending: bool,
    told: Troubles,
}

impl Capability for Files {
    const NAME: &'static str = "files";

    fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
        files::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
    }

    fn missing(need: &Need, grants: &Grants) -> Option<String> {
        (!grants.files.contains_key(&need.name)).then(|| line(&need.name))
    }

    fn prepare(grants: &Grants, _context: &Context) -> Result<Files, String> {
        let base = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let granted = |(name, grant): (&String, _)| {
            let grant = Arc::new(Grant::new(name, grant, &base)?);
            Ok((name.clone(), Granted { grant, pending: true, told: Troubles::default() }))
        };
        let grants: BTreeMap<_, _> = grants.files.iter().map(granted).collect::<Result<_, String>>()?;
        let watcher = if grants.is_empty() { None } else { Watcher::new().ok() };
        Ok(Files { grants, watcher, unwatched: None })
    }
}

fn line(name: &str) -> String {
    format!("grants.files.{} = {{ include = [\"/var/log/**/*.log\"] }}", key(name))
}

impl Files {
    fn granted(&mut self, name: &str) -> Result<&mut Granted, Failure> {
        self.grants.get_mut(name).ok_or_else(|| {
            let message = format!("no files are granted as {name:?}; add `{}` to the source", line(name));
            failure(Verdict::BadConfig, "files.not-granted", message)
        })
    }
}

/// Runs what touches the filesystem where it may take its time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(FileError::Io(std::io::Error::other(error))),
    }
}

fn identity(facts: &Facts) -> Identity {
    Identity { id: facts.id(), size: facts.size, modified_unix_ns: facts.modified_ns }
}

impl files::Host for State {
    async fn scan(&mut self, name: String) -> wasmtime::Result<Result<Vec<Entry>, Failure>> {
        let granted = match self.files.granted(&name) {
            Ok(granted) => granted,
            Err(failure) => return Ok(Err(failure)),
        };
        let grant = Arc::clone(&granted.grant);
        let watcher = self.files.watcher.clone();
        let scanned = blocking(move || {
            let mut watching = Watching::new(watcher);
            let scan = scan::scan(&grant, &mut |dir| watching.visit(dir));
            Ok((scan, watching.trouble))
        });
        let (scan, unwatched) = match scanned.await {
            Ok(scanned) => scanned,
            Err(error) => return Ok(Err(error.into_failure("scan", &name))),
        };
        let Scan { files, troubles, .. } = scan;
        self.tell(&name, troubles, unwatched);
        let entry = |found: scan::Found| Entry { identity: identity(&found.facts), path: found.path };
        Ok(Ok(files.into_iter().map(entry).collect()))
    }

    async fn changed(&mut self, name: String, wait_ms: u32) -> wasmtime::Result<Result<bool, Failure>> {
        let pending = match self.files.granted(&name) {
            Ok(granted) => std::mem::take(&mut granted.pending),
            Err(failure) => return Ok(Err(failure)),
        };
        if pending {
            return Ok(Ok(true));
        }
        let event = async {
            match &self.files.watcher {
                Some(watcher) => watcher.event().await,
                None => std::future::pending().await,
            }
        };
        let changed = self.timing.wait(wait_ms, event).await.is_some();
        if changed {
            // One watcher serves all grants: the others are told when they ask.
            self.files
                .grants
                .iter_mut()
                .filter(|(other, _)| **other != name)
                .for_each(|(_, it)| it.pending = true);
        }
        Ok(Ok(changed))
    }
}

impl State {
    /// Tells the operator what a scan left out, once.
    fn tell(&mut self, name: &str, troubles: Troubles, unwatched: Option<String>) {
        if let Ok(granted) = self.files.granted(name)
            && granted.told != troubles
        {
            for line in troubles.lines(name) {
                self.log.note(Level::Warn, &line);
            }
            granted.told = troubles;
        }
        if unwatched.is_some() && self.files.unwatched != unwatched {
            let why = unwatched.as_deref().unwrap_or_default();
            let line = format!(
                "not all directories can be watched ({why}); changes there are found later, by scanning"
            );
            self.log.note(Level::Warn, &line);
            self.files.unwatched = unwatched;
        }
    }
}

impl files::HostFile for State {
    async fn open(
        &mut self,
        name: String,
        path: String,
    ) -> wasmtime::Result<Result<Resource<OpenFile>, Failure>> {
        let grant = match self.files.granted(&name) {
            Ok(granted) => Arc::clone(&granted.grant),
            Err(failure) => return Ok(Err(failure)),
        };
        let path: Arc<str> = path.into();
        let opened = {
            let (grant, path) = (Arc::clone(&grant), Arc::clone(&path));
            blocking(move || identity::open(&grant.place(&path)?)).await
        };
        let pushed = opened.and_then(|file| {
            let open = OpenFile { file: Arc::new(file), grant, path: Arc::clone(&path) };
            self.table.push(open).map_err(|_| FileError::TooMany)
        });
        Ok(pushed.map_err(|error| error.into_failure("open", &path)))
    }

    async fn stat(&mut self, this: Resource<OpenFile>) -> wasmtime::Result<Result<Identity, Failure>> {
        let OpenFile { file, path, .. } = self.table.get(&this)?;
        let (file, path) = (Arc::clone(file), Arc::clone(path));
        let facts = blocking(move || identity::of_file(file.as_ref())).await;
        Ok(facts.map(|facts| identity(&facts)).map_err(|error| error.into_failure("stat", &path)))
    }

    async fn stat_path(
        &mut self,
        this: Resource<OpenFile>,
    ) -> wasmtime::Result<Result<Option<Identity>, Failure>> {
        let OpenFile { grant, path, .. } = self.table.get(&this)?;
        let (grant, path) = (Arc::clone(grant), Arc::clone(path));
        let facts = {
            let path = Arc::clone(&path);
            blocking(move || identity::at(&grant.place(&path)?)).await
        };
        Ok(match facts {
            Ok(facts) => Ok(Some(identity(&facts))),
            Err(error) if error.is_absence() => Ok(None),
            Err(error) => Err(error.into_failure("stat", &path)),
        })
    }

    async fn read_at(
        &mut self,
        this: Resource<OpenFile>,
        offset: u64,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Failure>> {
        let OpenFile { file, path, .. } = self.table.get(&this)?;
        let (file, path) = (Arc::clone(file), Arc::clone(path));
        let max = (max as usize).min(CAPABILITY_READ_BYTES_MAX);
        let read = blocking(move || identity::read_at(file.as_ref(), offset, max)).await;
        Ok(read.map_err(|error| error.into_failure("read", &path)))
    }

    async fn drop(&mut self, this: Resource<OpenFile>) -> wasmtime::Result<()> {
        drop(self.table.delete(this)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
