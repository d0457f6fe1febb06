//! What a process uses, from `/proc`.

use std::time::Duration;

use anyhow::Context as _;

/// Memory that the process holds, in bytes.
pub(super) fn rss_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The part of it that is in no file: what nobody can take from the process while it runs.
pub(super) fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "RssAnon:")
}

/// The most memory that the process has held so far, pages of files included.
pub(super) fn rss_bytes_peak(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = read(&pid.to_string(), "status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = kib.with_context(|| format!("no {name} in a status"))?;
    let kib: u64 =
        kib.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} is no number"))?;
    Ok(kib * 1024)
}

/// Processor time that the process has used, in user and kernel.
pub(super) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    ticks(&read(&pid.to_string(), "stat")?, OWN).map(duration)
}

/// Processor time of those children of this process that have ended, and of theirs.
pub(super) fn cpu_of_children() -> anyhow::Result<Duration> {
    ticks(&read("self", "stat")?, CHILDREN).map(duration)
}

fn read(process: &str, what: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{process}/{what}");
    std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

fn duration(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Where the times of the process itself stand behind its name; those of its children follow.
const OWN: usize = 11;
const CHILDREN: usize = 13;

/// User and kernel time. The second field is a name in parentheses that may hold anything.
fn ticks(stat: &str, first: usize) -> anyhow::Result<u64> {
    let (_, fields) = stat.rsplit_once(") ").context("no process name")?;
    let mut times = fields.split(' ').skip(first).take(2).map(str::parse::<u64>);
    match (times.next(), times.next()) {
        (Some(Ok(user)), Some(Ok(kernel))) => Ok(user + kernel),
        _ => anyhow::bail!("no processor times in `{stat}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        for name in ["weir", "a) b (c", ""] {
            let stat = format!("7 ({name}) S 1 2 3 4 5 6 7 8 9 10 40 2 3 4 20 0");
            assert_eq!((ticks(&stat, OWN).unwrap(), ticks(&stat, CHILDREN).unwrap()), (42, 7), "{name}");
        }
    }

    #[test]
    fn this_process_holds_memory() {
        let pid = std::process::id();
        for bytes in [rss_bytes(pid), anonymous_bytes(pid), rss_bytes_peak(pid)] {
            assert!(bytes.unwrap() > 0);
        }
        assert!(cpu(pid).unwrap() < Duration::from_hours(1));
        assert!(cpu_of_children().unwrap() < Duration::from_hours(1));
    }
}
