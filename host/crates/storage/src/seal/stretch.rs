//! Cutting what is in a piece by bucket, class and kind, and sorting it, without touching a single record.
//!
//! The ids of a batch come in runs of consecutive ones, so a stretch stands for many records: the index of
//! a piece stays smaller than the piece, whatever a sender makes up.

use std::collections::{BTreeMap, BTreeSet};

use weir_record::limits::UNIT_KEYED_PARTITIONS;
use weir_record::{BatchFlags, RecordId};
use weir_replication::{keyed_partition, partition_of};
use weir_segment::{OriginName, Unit};

use super::load::{Loaded, LoadedBatch, id_after};
use super::rules::{Moment, UnitRules};

/// Consecutive ids of one batch that lie in one group. Ordered by group, id, and arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) group: u32,
    /// The first id.
    pub(super) id: RecordId,
    /// Which batch.
    pub(super) batch: u32,
    /// Which record of the batch the first one is.
    pub(super) index: u32,
    /// How many, at least one.
    pub(super) count: u32,
}

impl Stretch {
    /// What is left behind the first `count`; `None` when nothing is.
    pub(super) fn behind(self, count: u32) -> Option<Stretch> {
        let rest = Stretch {
            id: id_after(self.id, count),
            index: self.index + count,
            count: self.count.checked_sub(count)?,
            ..self
        };
        (rest.count > 0).then_some(rest)
    }
}

/// What the batches of one origin have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Minted ids on their first sending.
    Plain,
    /// Perhaps stored before.
    Repeats,
    /// Ids made of keys: perhaps stored before as well, but equal ones meet in one unit.
    Keyed,
}

impl Kind {
    fn of(flags: BatchFlags) -> Kind {
        if flags.has(BatchFlags::KEYED) {
            Kind::Keyed
        } else if flags.has(BatchFlags::MAYBE_REPEATED) {
            Kind::Repeats
        } else {
            Kind::Plain
        }
    }
}

/// The units of one bucket and class, as far as records of one kind go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    start_ms: u64,
    bucket_ms: u64,
    class: u16,
    pub(super) kind: Kind,
}

impl Group {
    /// The units that have records, and for keyed ones the partition whose records go there.
    pub(super) fn units(
        self,
        name: OriginName,
        rules: &UnitRules,
        moment: Moment,
        stretches: &[Stretch],
    ) -> Vec<(Unit, Option<u16>)> {
        let Group { start_ms, bucket_ms, class, kind } = self;
        let unit = |partition, partitions| {
            // Buckets are cut by the rules, which were checked against units.
            Unit::new(start_ms, bucket_ms, rules.class(class), partition, partitions).ok()
        };
        if kind == Kind::Keyed {
            let ids =
                stretches.iter().flat_map(|stretch| (0..stretch.count).map(|n| id_after(stretch.id, n)));
            let mut partitions = BTreeSet::new();
            for id in ids {
                partitions.insert(keyed_partition(id));
                if partitions.len() == usize::from(UNIT_KEYED_PARTITIONS) {
                    break;
                }
            }
            let keyed = |partition| Some((unit(partition, UNIT_KEYED_PARTITIONS)?.keyed(), Some(partition)));
            return partitions.into_iter().filter_map(keyed).collect();
        }
        let partitions = moment.partitions(start_ms, bucket_ms);
        unit(partition_of(name, partitions), partitions).map(|unit| (unit, None)).into_iter().collect()
    }
}

/// All stretches of a piece, sorted.
pub(super) struct Stretches {
    groups: Vec<Group>,
    sorted: Vec<Stretch>,
}

impl Stretches {
    /// Cuts the batches of a piece.
    pub(super) fn cut(loaded: &Loaded<'_>, rules: &UnitRules) -> Stretches {
        let mut cut = Cut { rules, numbers: BTreeMap::new(), groups: Vec::new(), stretches: Vec::new() };
        for (number, batch) in loaded.batches.iter().enumerate() {
            cut.batch(number as u32, batch, rules.class_number(loaded.topic(batch)));
        }
        let Cut { groups, stretches: mut sorted, .. } = cut;
        sorted.sort_unstable();
        Stretches { groups, sorted }
    }

    /// Each group with its stretches.
    pub(super) fn groups(&self) -> impl Iterator<Item = (Group, &[Stretch])> {
        let by_group = self.sorted.chunk_by(|a, b| a.group == b.group);
        by_group.map(|stretches| (self.groups[stretches[0].group as usize], stretches))
    }
}

struct Cut<'a> {
    rules: &'a UnitRules,
    numbers: BTreeMap<Group, u32>,
    groups: Vec<Group>,
    stretches: Vec<Stretch>,
}

impl Cut<'_> {
    fn batch(&mut self, number: u32, batch: &LoadedBatch<'_>, class: u16) {
        let kind = Kind::of(batch.view.flags);
        let mut index = 0;
        for run in &batch.view.runs {
            let mut rest = Some(Stretch { group: 0, id: run.first, batch: number, index, count: run.count });
            index += run.count;
            while let Some(stretch) = rest.filter(|stretch| stretch.count > 0) {
                let (start_ms, bucket_ms) = self.rules.bucket(stretch.id);
                let group = self.number(Group { start_ms, bucket_ms, class, kind });
                let end = u128::from(start_ms + bucket_ms) << weir_record::id::ENTROPY_BITS;
                // The end of the last bucket of all is one more than the highest id, or 0.
                let room = end.wrapping_sub(stretch.id.to_u128());
                let count = room.min(u128::from(stretch.count)) as u32;
                self.stretches.push(Stretch { group, count, ..stretch });
                rest = stretch.behind(count);
            }
        }
    }

    fn number(&mut self, group: Group) -> u32 {
        // Most stretches lie where the one before lies.
        if let Some(last) = self.stretches.last()
            && self.groups[last.group as usize] == group
        {
            return last.group;
        }
        *self.numbers.entry(group).or_insert_with(|| {
            self.groups.push(group);
            (self.groups.len() - 1) as u32
        })
    }
}
