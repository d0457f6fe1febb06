//! A file of the simulated disk: what the page cache shows, and what the platter holds.

use crate::disk::sim::prng::Prng;

/// The unit in which unsynced bytes survive or not.
pub const SECTOR_BYTES: usize = 512;

/// A file in two states at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inode {
    /// What readers see.
    pub(crate) cached: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// Unsynced ranges of `cached`, in order, not touching each other.
    dirty: Vec<(usize, usize)>,
    /// What stood on the platter, by offset, where the file was cut: old data that can show again
    /// in sectors that are allocated anew.
    stale: Vec<u8>,
}

/// What became of unsynced sectors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Torn {
    pub(crate) kept: u64,
    pub(crate) lost: u64,
}

#[derive(Clone, Copy)]
enum Style {
    Keep,
    Lose,
    Prefix,
    Mixed,
}

impl Inode {
    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        let from = offset.min(self.cached.len());
        if end > self.cached.len() {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        self.mark(from, end);
    }

    pub(crate) fn set_len(&mut self, bytes: usize) {
        let old = self.cached.len();
        if bytes < old {
            // The cut bytes may have been written out already: they may show again later.
            remember(&mut self.stale, &self.cached, bytes);
            self.cached.truncate(bytes);
            self.dirty.retain_mut(|(from, to)| {
                *to = (*to).min(bytes);
                from < to
            });
        } else if bytes > old {
            self.cached.resize(bytes, 0);
            self.mark(old, bytes);
        }
    }

    pub(crate) fn sync(&mut self) {
        if self.cached.len() < self.durable.len() {
            let kept = self.cached.len();
            remember(&mut self.stale, &self.durable, kept);
            self.durable.truncate(kept);
        }
        self.durable.resize(self.cached.len(), 0);
        for (from, to) in self.dirty.drain(..) {
            self.durable[from..to].copy_from_slice(&self.cached[from..to]);
        }
    }

    /// A sync that fails: some sectors may reach the platter, all pages count as clean from now on.
    pub(crate) fn sync_fails(&mut self, prng: &mut Prng) {
        let (settled, _) = self.settle(prng);
        self.durable = settled;
        self.dirty.clear();
    }

    /// The power goes: what is on the platter is what there is.
    pub(crate) fn power_cut(&mut self, prng: &mut Prng) -> Torn {
        if self.dirty.is_empty() && self.cached.len() == self.durable.len() {
            // Pages that a failed sync called clean differ from the platter without being dirty.
            self.cached.clone_from(&self.durable);
            return Torn::default();
        }
        let (settled, torn) = self.settle(prng);
        self.durable.clone_from(&settled);
        self.cached = settled;
        self.dirty.clear();
        torn
    }

    fn settle(&self, prng: &mut Prng) -> (Vec<u8>, Torn) {
        let (short, long) = ordered(self.durable.len(), self.cached.len());
        let bytes = match prng.below(3) {
            0 => self.durable.len(),
            1 => self.cached.len(),
            _ => prng.between(short as u64, long as u64) as usize,
        };
        let mut settled = self.durable.clone();
        settled.resize(bytes, 0);
        let style = match prng.below(8) {
            0 => Style::Keep,
            1 => Style::Lose,
            2 | 3 => Style::Prefix,
            _ => Style::Mixed,
        };
        let mut torn = Torn::default();
        let mut prefix = true;
        for &(from, to) in &self.dirty {
            let mut at = from;
            while at < to.min(bytes) {
                let end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
                let end = end.min(to).min(bytes);
                let keep = match style {
                    Style::Keep => true,
                    Style::Lose => false,
                    Style::Mixed => prng.below(2) == 0,
                    Style::Prefix => {
                        prefix = prefix && !prng.once_in(4);
                        prefix
                    }
                };
                if keep {
                    torn.kept += 1;
                    settled[at..end].copy_from_slice(&self.cached[at..end]);
                } else {
                    torn.lost += 1;
                    self.lose(&mut settled[at..end], at, prng);
                }
                at = end;
            }
        }
        (settled, torn)
    }

    /// A sector that was not written: what was durable stays; beyond it zeros, old data or junk.
    /// (Synced bytes of a half-filled sector stay whole: the disk is taken to be power-safe on overwrite.)
    fn lose(&self, sector: &mut [u8], at: usize, prng: &mut Prng) {
        let beyond = self.durable.len().saturating_sub(at).min(sector.len());
        let sector = &mut sector[beyond..];
        let at = at + beyond;
        match prng.below(4) {
            0 => {
                if let Some(old) = self.stale.get(at..) {
                    let count = old.len().min(sector.len());
                    sector[..count].copy_from_slice(&old[..count]);
                }
            }
            1 => prng.fill(sector),
            _ => {}
        }
    }

    fn mark(&mut self, from: usize, to: usize) {
        if from >= to {
            return;
        }
        let (mut from, mut to) = (from, to);
        self.dirty.retain(|&(a, b)| {
            let apart = b < from || a > to;
            if !apart {
                from = from.min(a);
                to = to.max(b);
            }
            apart
        });
        let at = self.dirty.partition_point(|&(a, _)| a < from);
        self.dirty.insert(at, (from, to));
    }
}

fn remember(stale: &mut Vec<u8>, bytes: &[u8], from: usize) {
    if stale.len() < bytes.len() {
        stale.resize(bytes.len(), 0);
    }
    stale[from..bytes.len()].copy_from_slice(&bytes[from..]);
}

fn ordered(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_survive_every_cut_and_unsynced_ones_only_some() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..500 {
            let mut prng = Prng::new(seed);
            let mut inode = Inode::default();
            inode.write(&[1; 700], 0);
            inode.sync();
            inode.write(&[2; 1000], 700);
            inode.power_cut(&mut prng);
            assert_eq!(inode.cached[..700], [1; 700], "{seed}");
            if inode.cached[700..] == [2; 1000] { kept += 1 } else { lost += 1 }
        }
        assert!(kept > 20 && lost > 200, "{kept} {lost}");
    }

    #[test]
    fn a_failed_sync_shows_the_bytes_until_the_power_goes() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut prng = Prng::new(seed);
            let mut inode = Inode::default();
            inode.write(&[1; 2000], 0);
            inode.sync_fails(&mut prng);
            assert_eq!(inode.cached, [1; 2000]);
            inode.sync();
            inode.power_cut(&mut prng);
            lost += u32::from(inode.cached != [1; 2000]);
        }
        assert!(lost > 50, "{lost}");
    }

    #[test]
    fn a_cut_file_may_come_back_long_until_it_is_synced() {
        let mut long = 0;
        for seed in 0..100 {
            let mut prng = Prng::new(seed);
            let mut inode = Inode::default();
            inode.write(&[1; 100], 0);
            inode.sync();
            inode.set_len(10);
            let mut synced = inode.clone();
            inode.power_cut(&mut prng);
            long += u32::from(inode.cached.len() > 10);
            synced.sync();
            synced.power_cut(&mut prng);
            assert_eq!(synced.cached, [1; 10]);
        }
        assert!(long > 20, "{long}");
    }
}
