//! What a supervisor is told: ready, reloading, stopping, alive. systemd's protocol: datagrams of text to the socket
//! that `NOTIFY_SOCKET` names. Without one nothing is told.
//!
//! A supervisor that does not listen costs nothing: sending never blocks, and what cannot be sent is dropped.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use weir_record::limits::NOTIFY_BYTES_MAX;

/// The way to the supervisor. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notify(Option<Arc<Supervisor>>);

#[derive(Debug)]
struct Supervisor {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment says. A socket that cannot be used is told, and does not keep the process from running.
    pub(crate) fn from_env() -> Notify {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Notify::default();
        };
        let var = |name| std::env::var(name).ok();
        let watchdog = watchdog(var("WATCHDOG_USEC").as_deref(), var("WATCHDOG_PID").as_deref());
        Notify::to(&address, watchdog).unwrap_or_else(|error| {
            let address = address.display();
            tracing::warn!(%address, %error, "the supervisor of NOTIFY_SOCKET cannot be told anything");
            Notify::default()
        })
    }

    /// To a socket: a path, or `@` and a name without a file.
    pub(crate) fn to(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Notify> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Notify(Some(Arc::new(Supervisor { socket, address, watchdog }))))
    }

    /// How often the supervisor wants to hear that the process is alive, at least: half of what it waits.
    pub(crate) fn alive_every(&self) -> Option<Duration> {
        self.0.as_ref()?.watchdog.map(|patience| patience / 2)
    }

    /// It does what it is for.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// It reads its configuration anew; [`Notify::ready`] follows, whatever came of it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the configuration"));
    }

    /// It ends.
    pub(crate) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// What it does, for people.
    pub(crate) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// Its event loop turns.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, text: &str) {
        let Some(supervisor) = &self.0 else { return };
        let end = text.floor_char_boundary(NOTIFY_BYTES_MAX);
        if let Err(error) = supervisor.socket.send_to_addr(&text.as_bytes()[..end], &supervisor.address) {
            tracing::debug!(%error, "the supervisor was not told");
        }
    }
}

/// How long the supervisor waits for a sign of life, if it waits for one of this process.
fn watchdog(micros: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid == std::process::id().to_string());
    let micros = micros?.parse().ok().filter(|micros| *micros > 0 && ours)?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has come, without waiting.
    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 8192];
        let count = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..count].to_vec()).unwrap())
    }

    #[test]
    fn a_supervisor_gets_one_datagram_for_each_thing_that_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let of_file = UnixDatagram::bind(&path).unwrap();
        let name = format!("weir-test-{}", std::process::id());
        let of_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(of_file, path.into_os_string()), (of_name, format!("@{name}").into())] {
            socket.set_nonblocking(true).unwrap();
            let notify = Notify::to(&address, None).unwrap();
            notify.status("opening");
            notify.ready("roles store");
            notify.reloading();
            notify.alive();
            notify.stopping(&"ü".repeat(NOTIFY_BYTES_MAX));
            assert_eq!(received(&socket).unwrap(), "STATUS=opening");
            assert_eq!(received(&socket).unwrap(), "READY=1\nSTATUS=roles store");
            let reloading = received(&socket).unwrap();
            let micros = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
            assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
            assert!(micros.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
            assert_eq!(received(&socket).unwrap(), "WATCHDOG=1");
            let long = received(&socket).unwrap();
            assert!(long.starts_with("STOPPING=1\nSTATUS=ü") && long.len() <= NOTIFY_BYTES_MAX);
            assert_eq!(received(&socket), None);
        }
    }

    #[test]
    fn a_supervisor_that_is_gone_or_does_not_read_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        Notify::to(path.as_os_str(), None).unwrap().ready("nobody listens");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::to(path.as_os_str(), None).unwrap();
        // More than the kernel keeps of a receiver that does not read.
        (0..10_000).for_each(|_| notify.alive());
        drop(socket);
        assert!(Notify::to(OsStr::new(&"x".repeat(500)), None).is_err());
        Notify::default().ready("nobody is there");
    }

    #[test]
    fn the_time_of_a_watchdog_counts_for_the_process_that_it_names() {
        let own = std::process::id().to_string();
        for (micros, pid, want) in [
            (None, None, None),
            (Some("30000000"), None, Some(30_000)),
            (Some("30000000"), Some(own.as_str()), Some(30_000)),
            (Some("30000000"), Some("1"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
        ] {
            assert_eq!(watchdog(micros, pid), want.map(Duration::from_millis), "{micros:?} {pid:?}");
        }
    }
}
