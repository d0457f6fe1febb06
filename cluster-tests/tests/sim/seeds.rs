//! Which seeds to run.

use std::time::{SystemTime, UNIX_EPOCH};

/// Power cuts of one part: four parts make 100,000.
pub(crate) const CUTS_PER_PART: u64 = 25_000;

/// The seeds of one part of the suite, without end, or the one that `WEIR_SEED` or `SEED` names.
pub(crate) struct Seeds {
    next: u64,
    left: u64,
    replay: bool,
}

impl Seeds {
    /// Fixed seeds, the same in every run. A part has 2^32 of them.
    pub(crate) fn fixed(part: u64) -> Seeds {
        match given() {
            // The one seed is run by the first part; the others have nothing to do then.
            Some(seed) => Seeds { next: seed, left: u64::from(part == 0), replay: true },
            None => Seeds { next: part << 32, left: 1 << 32, replay: false },
        }
    }

    /// Seeds of this moment, printed.
    pub(crate) fn of_now() -> Seeds {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let base = now.as_millis() as u64 | 1 << 62;
        println!("seeds of this run begin at {base}");
        let replay = given().is_some();
        Seeds { next: base, left: if replay { 0 } else { 1 << 32 }, replay }
    }

    /// Whether a single seed was asked for, so that nothing can be said about rare paths.
    pub(crate) fn is_replay(&self) -> bool {
        self.replay
    }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        self.next += 1;
        Some(self.next - 1)
    }
}

/// How many times as much as usual is asked for.
pub(crate) fn factor() -> u64 {
    if is_long() { 10 } else { 1 }
}

/// Whether more than usual is asked for.
pub(crate) fn is_long() -> bool {
    std::env::var("WEIR_LONG").is_ok_and(|value| value != "0")
}

fn given() -> Option<u64> {
    let text = ["WEIR_SEED", "SEED"].into_iter().find_map(|name| std::env::var(name).ok())?;
    Some(text.parse().unwrap_or_else(|_| panic!("a seed is a number, got {text:?}")))
}
