//! Copies that were damaged here: whether this store makes them again at once, or leaves that to whose turn it is.

use weir_segment::Unit;

use super::Repairer;
use super::names::Clarity;
use crate::held::OriginKey;
use crate::holdings::Holdings;
use crate::origin_set::OriginSet;

impl Repairer {
    /// Takes note of what is damaged here and whole at enough others. If one of those loses it later, several stores may
    /// have it damaged, and not each of them is to make a copy at once.
    pub(super) fn pass(&mut self, unit: &Unit, own: &Holdings, clarity: Clarity) {
        let Some(damaged) = own.damaged_of(unit) else {
            self.passed.remove(unit);
            return;
        };
        let enough = match clarity {
            // What the others have may be just this.
            Clarity::Fine if own.catalog().unit(unit).is_none() => damaged.clone(),
            Clarity::Fine => OriginSet::new(),
            Clarity::Named | Clarity::Waits => self.view(own).enough(unit),
        };
        let passed = self.passed.remove(unit).unwrap_or_default().union(&enough).intersection(damaged);
        if !passed.is_empty() {
            self.passed.insert(unit.clone(), passed);
        }
    }

    /// Whether a copy was damaged here and is to be made again here, before anybody else does.
    pub(super) fn is_to_heal(&self, key: &OriginKey, own: &Holdings) -> bool {
        own.is_damaged(key) && !self.passed.get(&key.unit).is_some_and(|passed| passed.contains(key.name))
    }
}
