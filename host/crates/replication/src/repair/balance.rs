//! What a store has to move: how much there is to fetch, and what is here although it belongs to others.

use alloc::vec::Vec;

use weir_record::limits::REPAIR_UNITS_PER_STEP;
use weir_segment::{OriginName, RecordDigest, Unit};

use super::Repairer;
use super::names::Clarity;
use super::view::Turn;
use crate::held::OriginKey;
use crate::holdings::Holdings;
use crate::origin_set::OriginSet;

/// Copies of a unit that this store need not have: ask these stores, and let go of what R of them have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus {
    /// The unit.
    pub unit: Unit,
    /// Its origins, and the digests of their records.
    pub origins: Vec<(OriginName, RecordDigest)>,
    /// Stores above this one in the rank of the unit that announce some of it.
    pub holders: Vec<u64>,
}

/// So many origins, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many.
    pub origins: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Surplus {
    /// The names of its origins.
    pub fn names(&self) -> OriginSet {
        self.origins.iter().map(|(name, _)| *name).collect()
    }
}

impl Repairer {
    /// Some units of which R stores above this one in rank announce what is here, too; those that come next, from call to
    /// call. What is announced may be wrong: see [`Dropper`](crate::Dropper). Looks at a bounded number of units.
    pub fn surplus(&mut self, own: &Holdings, units_max: usize) -> Vec<Surplus> {
        let units: Vec<Unit> = match &self.surplus_seen {
            Some(seen) => own.catalog().after_unit(seen).take(REPAIR_UNITS_PER_STEP).cloned().collect(),
            None => {
                own.catalog().units().map(|(unit, _)| unit).take(REPAIR_UNITS_PER_STEP).cloned().collect()
            }
        };
        let is_last = units.len() < REPAIR_UNITS_PER_STEP;
        let mut found = Vec::new();
        let mut seen = None;
        for unit in units {
            if found.len() == units_max {
                break;
            }
            let is_clear = self.clarify(&unit, own) != Clarity::Waits;
            let view = self.view(own);
            if let Some((names, holders)) = view.surplus(&unit).filter(|_| is_clear) {
                let digest = |name| Some((name, view.digest(&unit, name)?));
                let origins = names.iter().filter_map(digest).collect();
                found.push(Surplus { unit: unit.clone(), origins, holders });
            }
            seen = Some(unit);
        }
        self.surplus_seen = seen.filter(|_| found.len() == units_max || !is_last);
        found
    }

    /// What is still to be fetched by this store rather than by another one. Of a unit that is shared out, what the first
    /// of its origins says is taken for all.
    pub fn to_fetch(&self, own: &Holdings) -> Amount {
        let view = self.view(own);
        let mut amount = Amount::default();
        let mut next = self.lacking.keys().next();
        while let Some(first) = next {
            let of_unit = self.lacking.range(OriginKey::first_of(&first.unit)..).map(|(key, _)| key);
            let keys: Vec<&OriginKey> = of_unit.take_while(|key| key.unit == first.unit).collect();
            if view.turn(first) == Turn::Ours {
                amount.origins += keys.len() as u64;
                let held = keys.iter().filter_map(|key| view.sources(key).into_iter().next());
                amount.bytes += held.map(|(_, held)| held.bytes).sum::<u64>();
            }
            next = keys.last().and_then(|last| {
                let behind = (core::ops::Bound::Excluded(*last), core::ops::Bound::Unbounded);
                self.lacking.range::<OriginKey, _>(behind).map(|(key, _)| key).next()
            });
        }
        amount
    }

    /// What is here of units that belong to others; of a store that is being emptied, everything.
    pub fn to_give(&self, own: &Holdings) -> Amount {
        let view = self.view(own);
        let misplaced = own.catalog().units().filter(|(unit, _)| view.is_misplaced(unit));
        misplaced.fold(Amount::default(), |amount, (_, origins)| Amount {
            origins: amount.origins + origins.names().len(),
            bytes: amount.bytes + origins.bytes(),
        })
    }
}
