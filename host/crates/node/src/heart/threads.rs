//! What the threads of this process do, as far as the kernel tells: for the log line about one that stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use weir_record::limits::STALL_THREADS_TOLD_MAX;

/// `name/state/where`, and how many threads are alike: `tokio-rt-worker/S/futex_wait_queue x2`. States are those of
/// proc(5): `R` runs, `S` waits, `D` waits for a disk.
pub(super) fn told() -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        // A thread may end while it is looked at.
        if let Some((name, state)) = name_and_state(&read("stat")) {
            let place = read("wchan");
            let place = if matches!(place.trim(), "" | "0") { "?" } else { place.trim() };
            *kinds.entry(format!("{name}/{state}/{place}")).or_default() += 1;
        }
    }
    let left_out = kinds.len().saturating_sub(STALL_THREADS_TOLD_MAX);
    let mut told = String::new();
    for (kind, count) in kinds.into_iter().take(STALL_THREADS_TOLD_MAX) {
        let gap = if told.is_empty() { "" } else { " " };
        let _ = write!(told, "{gap}{kind}");
        if count > 1 {
            let _ = write!(told, " x{count}");
        }
    }
    if left_out > 0 {
        let _ = write!(told, " and {left_out} more kinds");
    }
    told
}

/// Of a line of `stat`: `17 (a name) S …`. A name may hold anything, brackets included.
fn name_and_state(stat: &str) -> Option<(&str, char)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    Some((name, rest.trim_start().chars().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_are_read() {
        for (stat, want) in [
            ("17 (weir-commit) D 1 2 3", Some(("weir-commit", 'D'))),
            ("17 (a) b (c)) S 1", Some(("a) b (c)", 'S'))),
            ("17 (weir", None),
            ("", None),
        ] {
            assert_eq!(name_and_state(stat), want, "{stat}");
        }
    }
}
