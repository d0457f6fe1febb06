//! Notices that something below the directories of grants changed, by inotify. A hint: an instance that
//! cannot have it, or not for all directories, learns of changes by scanning now and then.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use weir_record::limits::FILES_WATCHES_MAX;

/// Room for some hundred events; what they say is not looked at.
const EVENTS_BYTES: usize = 16 << 10;

/// The watched directories of one instance.
#[derive(Debug, Clone)]
pub(super) struct Watcher(Arc<AsyncFd<OwnedFd>>);

impl Watcher {
    /// Watches nothing yet. Needs the runtime that it is used in.
    pub(super) fn new() -> io::Result<Watcher> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` is open until it is dropped, always the same, and stays in here.
        #[expect(unsafe_code, reason = "the registration cannot know that the descriptor is owned")]
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        Ok(Watcher(Arc::new(fd)))
    }

    /// Watches one directory; costs nothing when it is watched already.
    fn watch(&self, dir: &Path) -> io::Result<()> {
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(self.0.get_ref().as_fd(), dir, flags) {
            // Gone again, or not to be looked at, which the scan tells.
            Ok(_) | Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns once something changed since the last time, however much.
    pub(super) async fn event(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                // The runtime is going down.
                return std::future::pending().await;
            };
            if let Ok(drained) = ready.try_io(|fd| drain(fd.get_ref())) {
                if drained.is_err() {
                    return std::future::pending().await;
                }
                return;
            }
        }
    }
}

/// The directories of one scan on their way to being watched.
pub(super) struct Watching {
    watcher: Option<Watcher>,
    count: usize,
    /// Why not all of them are watched.
    pub(super) trouble: Option<String>,
}

impl Watching {
    pub(super) fn new(watcher: Option<Watcher>) -> Watching {
        let trouble = watcher.is_none().then(|| "the system gives no more inotify instances".to_owned());
        Watching { watcher, count: 0, trouble }
    }

    pub(super) fn visit(&mut self, dir: &Path) {
        let Some(watcher) = self.watcher.as_ref().filter(|_| self.trouble.is_none()) else { return };
        self.count += 1;
        if self.count > FILES_WATCHES_MAX {
            self.trouble = Some(format!("there are more than {FILES_WATCHES_MAX}"));
        } else if let Err(error) = watcher.watch(dir) {
            self.trouble = Some(error.to_string());
        }
    }
}

/// Reads until nothing is left; `WouldBlock` if there was nothing at all.
fn drain(fd: &OwnedFd) -> io::Result<()> {
    let mut events = [0; EVENTS_BYTES];
    let mut any = false;
    loop {
        match rustix::io::read(fd, &mut events) {
            Ok(_) => any = true,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if any => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
