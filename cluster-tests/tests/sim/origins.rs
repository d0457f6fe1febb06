//! Origins as the oracle sees them: record by record, since sealing takes batches apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_record::{BatchFlags, RecordId};
use weir_segment::{Block, Decoder, OriginName, Record, RecordDigest, Unit, Verifier};
use weir_storage::SegmentFile;

use super::oracle::{Oracle, describe};
use super::workload::{BATCH_RECORDS_MAX, BUCKET_MS, class_of};

/// A record that was found: its attempt, the batch in the entry, the place in the batch.
type Found = (usize, usize, u32);

/// What was found in origins, and what stores have of them.
#[derive(Default)]
pub(crate) struct Origins {
    /// A copy that left the node: it is durable somewhere, whatever happens here.
    elsewhere: BTreeMap<(OriginName, Unit), (RecordDigest, Vec<Found>)>,
    /// Per batch the records found in the check that is going on, as bits.
    records: BTreeMap<(usize, usize), u32>,
    decoder: Option<Decoder>,
    block: Block,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").field("elsewhere", &self.elsewhere).finish_non_exhaustive()
    }
}

impl Oracle {
    /// Notes that a store has a copy of an origin.
    pub(crate) fn handed_over(&mut self, origin: &SegmentFile) -> Result<(), String> {
        let records = self.read_origin(origin, RecordId::MAX)?;
        let [lineage] = origin.footer().lineage() else { return Err("an origin of several pieces".into()) };
        let key = (lineage.name, origin.footer().unit().clone());
        self.origins.elsewhere.insert(key, (lineage.digest, records));
        Ok(())
    }

    /// Finds the records of origins, here and elsewhere: each once.
    pub(crate) fn find_in_origins(
        &mut self,
        highest: RecordId,
        origins: &[Arc<SegmentFile>],
    ) -> Result<(), String> {
        let mut elsewhere = self.origins.elsewhere.clone();
        self.origins.records.clear();
        for origin in origins {
            let found = self.read_origin(origin, highest)?;
            let lineage = origin.footer().lineage()[0];
            let copy = elsewhere.remove(&(lineage.name, origin.footer().unit().clone()));
            if copy.is_some_and(|(digest, _)| digest != lineage.digest) {
                return Err(format!("origin {} has other records than its copy", lineage.name));
            }
            self.note(found)?;
        }
        for (_, found) in elsewhere.into_values() {
            self.note(found)?;
        }
        for (&(place, batch), &bits) in &self.origins.records {
            let attempt = &self.attempts[place];
            let count = attempt.entry.batches[batch].count() as u32;
            if bits.count_ones() < count {
                let there = bits.count_ones();
                return Err(format!("half a batch: {there} of {count} records of {}", describe(attempt)));
            }
            self.found[place] += 1;
            if self.found[place] > attempt.entry.batches.len() {
                return Err(format!("in the log and in origins: {}", describe(attempt)));
            }
        }
        Ok(())
    }

    fn note(&mut self, found: Vec<Found>) -> Result<(), String> {
        for (place, batch, index) in found {
            let bits = self.origins.records.entry((place, batch)).or_default();
            if *bits & 1 << index != 0 {
                return Err(format!("a record of it is in two origins: {}", describe(&self.attempts[place])));
            }
            *bits |= 1 << index;
        }
        Ok(())
    }

    /// Proves an origin to its end and compares its records byte by byte.
    fn read_origin(&mut self, origin: &SegmentFile, highest: RecordId) -> Result<Vec<Found>, String> {
        let mut at_work = std::mem::take(&mut self.origins);
        let found = self.compare_origin(&mut at_work, origin, highest);
        self.origins = at_work;
        found.map_err(|broken| format!("{}: {broken}", origin.path().display()))
    }

    fn compare_origin(
        &self,
        Origins { decoder, block, bytes, .. }: &mut Origins,
        origin: &SegmentFile,
        highest: RecordId,
    ) -> Result<Vec<Found>, String> {
        let footer = origin.footer();
        let mut verifier = Verifier::new(footer).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        let decoder = match decoder {
            Some(decoder) => decoder,
            None => decoder.insert(Decoder::new().map_err(|error| error.to_string())?),
        };
        for (index, entry) in footer.blocks().iter().enumerate() {
            origin.read_block(entry, bytes).map_err(|error| error.to_string())?;
            verifier.block(bytes).map_err(|error| error.to_string())?;
            decoder.block(footer, index, bytes, block).map_err(|error| error.to_string())?;
            for record in block.records() {
                if record.id > highest {
                    return Err(format!("the highest id is {highest}, {} is stored", record.id));
                }
                found.push(self.compare_record(origin, record)?);
            }
        }
        for (index, part) in footer.parts().iter().enumerate().filter(|(_, part)| !part.range.is_empty()) {
            origin.read_part(part, bytes).map_err(|error| error.to_string())?;
            verifier.part(index, bytes).map_err(|error| error.to_string())?;
        }
        let wrong = verifier.finish();
        if wrong.is_empty() { Ok(found) } else { Err(format!("{wrong:?}")) }
    }

    fn compare_record(&self, origin: &SegmentFile, record: Record<'_>) -> Result<Found, String> {
        // Ids of a batch that was lost in a crash may be given out again to one that begins elsewhere.
        let lowest = RecordId::from_u128(record.id.to_u128().saturating_sub(u128::from(BATCH_RECORDS_MAX)));
        for (first, &(place, batch)) in self.batches.range(lowest..=record.id).rev() {
            let index = (record.id.to_u128() - first.to_u128()) as u32;
            if self.is_record(origin, record, (place, batch, index)) {
                return Ok((place, batch, index));
            }
        }
        Err(format!("invented, altered, or in a wrong unit: record {}", record.id))
    }

    fn is_record(&self, origin: &SegmentFile, record: Record<'_>, (place, batch, index): Found) -> bool {
        let sent = &self.attempts[place].entry.batches[batch];
        let payload = sent.records().nth(index as usize).map(|(_, payload)| payload);
        let unit = origin.footer().unit();
        let is_keyed = sent.flags().has(BatchFlags::KEYED);
        let is_repeat = sent.flags().has(BatchFlags::MAYBE_REPEATED) && !is_keyed;
        payload == Some(record.payload)
            && *origin.streams()[record.stream as usize] == *sent.stream()
            && unit.is_keyed() == is_keyed
            && origin.footer().lineage()[0].name.is_of_repeats() == is_repeat
            && unit.bucket_ms() == BUCKET_MS
            && unit.class() == class_of(sent.stream().topic())
    }
}
