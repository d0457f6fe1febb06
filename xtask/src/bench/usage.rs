//! What a process uses, from `/proc`.

use std::time::Duration;

use anyhow::Context as _;

/// Memory that the process holds, in bytes.
pub(super) fn rss_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = read(pid, "status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = kib.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kib * 1024)
}

/// Processor time that the process has used, in user and kernel.
pub(super) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(pid, "stat")?;
    ticks(&stat)
        .map(|ticks| Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

fn read(pid: u32, what: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/{what}");
    std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
}

/// `utime + stime`. The second field is a name in parentheses that may hold anything.
fn ticks(stat: &str) -> anyhow::Result<u64> {
    let (_, fields) = stat.rsplit_once(") ").context("no process name")?;
    let mut times = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
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
            let stat = format!("7 ({name}) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0");
            assert_eq!(ticks(&stat).unwrap(), 42, "{name}");
        }
    }

    #[test]
    fn this_process_holds_memory() {
        assert!(rss_bytes(std::process::id()).unwrap() > 0);
        assert!(cpu(std::process::id()).unwrap() < Duration::from_hours(1));
    }
}
