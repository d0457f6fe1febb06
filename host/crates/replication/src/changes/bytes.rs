//! The bytes of [`Changes`].
//!
//! Integers are little-endian or LEB128 varints (`v`). In order:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | magic | 4 | `WCHG` |
//! | version | u8 | 2 |
//! | place | u8 | 0 backlog, 1 store |
//! | step | u8 | 0 delta, 1 first page of a listing, 2 a further page, 3 names of some units |
//! | node | u64 | the node that tells |
//! | since | 16 + v + … | incarnation (8), sequence (8), v length of the origin's name or 0, name as text |
//! | next | … | in the same form |
//! | latest | u64 | number of the last change |
//! | unit count | v | units that occur in the events |
//! | units | v + … each | length, unit as text |
//! | writer count | v | logs that occur in the events |
//! | writers | 16 each | node, epoch |
//! | event count | v | |
//! | events | … each | see below |
//! | checksum | u32 | CRC-32C of everything before it |
//!
//! An event begins with a byte. 0, held: v unit, v writer (both by their place in the lists above), v piece, flags
//! (u8), v records, v milliseconds from the start of the bucket to the first record, v from there to the last,
//! v bytes, digest (16). 1 to 4, gone (handed over, expired, damaged, dropped): v unit, v writer, v piece; when
//! handed over, v stores and 8 each. 5, watermark: v class length, class, v milliseconds. 6, quiet: v unit, digest of the
//! set (16), v origins, v bytes, v milliseconds from the start of the bucket to the first record, v from there to the last,
//! flags (u8).
//!
//! Units and writers stand apart because a thousand origins have few of them: an origin takes some 35 bytes. A quiet
//! unit takes some 70, half of them its name.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use weir_record::codec::{Reader, put_varint};
use weir_record::limits::{CHANGES_BYTES_MAX, NAME_BYTES_MAX, REPLICATION_MAX};
use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

use super::{Changes, Event, Place, Position, Step};
use crate::error::WireError;
use crate::held::{Gone, Held, OriginKey};
use crate::quiet::{Quiet, SetDigest, Whole};
use crate::ranges::TimeRange;

const MAGIC: [u8; 4] = *b"WCHG";
const VERSION: u8 = 2;
/// More than the text of any unit or origin has: five numbers and a class.
const NAME_TEXT_BYTES_MAX: usize = 8 * 24 + NAME_BYTES_MAX;
/// What an event of an origin takes at most, beside its unit, its writer and the stores that it names: kind, numbers of
/// unit and writer, piece, flags, records, two times, bytes, digest.
const EVENT_BYTES_MAX: usize = 1 + 4 + 4 + 10 + 1 + 4 * 5 + 16;
/// What an answer takes without events: both positions and the fixed fields.
const FRAME_BYTES_MAX: usize = 128 + 2 * NAME_TEXT_BYTES_MAX;

/// Counts what events take, never too little, so that an answer can end before it is too long.
pub(crate) struct Budget {
    left: usize,
    units: BTreeSet<Unit>,
    writers: BTreeSet<(u64, u64)>,
    is_untouched: bool,
}

impl Budget {
    /// That of an answer of so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Budget {
        let left = bytes_max.min(CHANGES_BYTES_MAX).saturating_sub(FRAME_BYTES_MAX);
        Budget { left, units: BTreeSet::new(), writers: BTreeSet::new(), is_untouched: true }
    }

    /// Lets the next event fit, whatever came before.
    pub(crate) fn take_one_more(&mut self) {
        self.is_untouched = true;
    }

    /// Makes room for an event; `false` when there is none. The first one always fits.
    pub(crate) fn take(&mut self, event: &Event) -> bool {
        let (unit, name, mut bytes) = match event {
            Event::Held(held) => (Some(&held.unit), Some(held.name), EVENT_BYTES_MAX),
            Event::Gone(key, Gone::HandedOver(stores)) => {
                (Some(&key.unit), Some(key.name), EVENT_BYTES_MAX + 8 * stores.len())
            }
            Event::Gone(key, _) => (Some(&key.unit), Some(key.name), EVENT_BYTES_MAX),
            Event::Watermark { class, .. } => (None, None, 16 + class.len()),
            Event::Quiet(unit, _) => (Some(unit), None, EVENT_BYTES_MAX),
        };
        let unit = unit.filter(|unit| !self.units.contains(*unit));
        let writer = name.map(|name| (name.node, name.epoch));
        let writer = writer.filter(|writer| !self.writers.contains(writer));
        bytes += unit.map_or(0, |_| NAME_TEXT_BYTES_MAX + 4) + writer.map_or(0, |_| 16);
        if bytes > self.left && !self.is_untouched {
            return false;
        }
        self.is_untouched = false;
        self.left = self.left.saturating_sub(bytes);
        self.units.extend(unit.cloned());
        self.writers.extend(writer);
        true
    }
}

/// Gives what repeats a number, in the order in which it comes.
struct Numbers<T> {
    known: BTreeMap<T, u64>,
    in_order: Vec<T>,
}

impl<T: Ord + Clone> Numbers<T> {
    fn new() -> Numbers<T> {
        Numbers { known: BTreeMap::new(), in_order: Vec::new() }
    }

    fn of(&mut self, value: &T) -> u64 {
        if let Some(&number) = self.known.get(value) {
            return number;
        }
        let number = self.in_order.len() as u64;
        self.known.insert(value.clone(), number);
        self.in_order.push(value.clone());
        number
    }
}

impl Changes {
    /// The answer as bytes, at most [`CHANGES_BYTES_MAX`] of an answer that holdings gave.
    pub fn encode(&self) -> Vec<u8> {
        let mut events = Vec::with_capacity(self.events.len() * 40);
        let (mut units, mut writers) = (Numbers::new(), Numbers::new());
        for event in &self.events {
            put_event(&mut events, event, &mut units, &mut writers);
        }
        let mut out = Vec::with_capacity(events.len() + 1024);
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.push(match self.place {
            Place::Backlog => 0,
            Place::Store => 1,
        });
        out.push(match self.step {
            Step::Delta => 0,
            Step::ListingBegins => 1,
            Step::ListingGoesOn => 2,
            Step::Named => 3,
        });
        out.extend_from_slice(&self.node.to_le_bytes());
        put_position(&mut out, &self.since);
        put_position(&mut out, &self.next);
        out.extend_from_slice(&self.latest.to_le_bytes());
        put_varint(&mut out, units.in_order.len() as u64);
        for unit in &units.in_order {
            put_unit(&mut out, unit);
        }
        put_varint(&mut out, writers.in_order.len() as u64);
        for (node, epoch) in &writers.in_order {
            out.extend_from_slice(&node.to_le_bytes());
            out.extend_from_slice(&epoch.to_le_bytes());
        }
        put_varint(&mut out, self.events.len() as u64);
        out.extend_from_slice(&events);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads an answer that fills `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Changes, WireError> {
        if bytes.len() > CHANGES_BYTES_MAX {
            return Err(WireError::TooLong { bytes: bytes.len(), max: CHANGES_BYTES_MAX });
        }
        let mut reader = checked(bytes, MAGIC, VERSION, "changes of holdings")?;
        let place = match reader.array("place")? {
            [0] => Place::Backlog,
            [1] => Place::Store,
            _ => return Err(WireError::Contradiction("an unknown list of origins")),
        };
        let step = match reader.array("step")? {
            [0] => Step::Delta,
            [1] => Step::ListingBegins,
            [2] => Step::ListingGoesOn,
            [3] => Step::Named,
            _ => return Err(WireError::Contradiction("an unknown kind of answer")),
        };
        let node = u64::from_le_bytes(reader.array("node")?);
        let (since, next) = (read_position(&mut reader)?, read_position(&mut reader)?);
        let latest = u64::from_le_bytes(reader.array("latest")?);
        let units = read_units(&mut reader)?;
        let count = reader.bounded("writer count", CHANGES_BYTES_MAX)?;
        let mut writers = Vec::with_capacity(count.min(reader.rest().len() / 16));
        for _ in 0..count {
            let node = u64::from_le_bytes(reader.array("node")?);
            writers.push((node, u64::from_le_bytes(reader.array("epoch")?)));
        }
        let count = reader.bounded("event count", CHANGES_BYTES_MAX)?;
        // A watermark of an empty class would have three bytes; an origin in memory has 50 times that.
        let mut events = Vec::with_capacity(count.min(reader.rest().len() / 16));
        for _ in 0..count {
            events.push(read_event(&mut reader, &units, &writers)?);
        }
        reader.finish()?;
        Ok(Changes { node, place, step, since, next, latest, events })
    }
}

/// A reader of what stands between the version and the checksum, both of which are checked.
pub(crate) fn checked<'a>(
    bytes: &'a [u8],
    magic: [u8; 4],
    known: u8,
    what: &'static str,
) -> Result<Reader<'a>, WireError> {
    let mut reader = Reader::new(bytes);
    if reader.array("magic")? != magic {
        return Err(WireError::Magic(what));
    }
    let [got] = reader.array("version")?;
    if got != known {
        return Err(WireError::Version { what, got, known });
    }
    let body = reader.rest().len().checked_sub(4).ok_or(WireError::Sum)?;
    let body = reader.take(body, what)?;
    let sum = u32::from_le_bytes(reader.array("checksum")?);
    if crc32c::crc32c(&bytes[..bytes.len() - 4]) != sum {
        return Err(WireError::Sum);
    }
    Ok(Reader::new(body))
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn read_text<'a>(reader: &mut Reader<'a>, what: &'static str) -> Result<&'a str, WireError> {
    let bytes = reader.prefixed(what, NAME_TEXT_BYTES_MAX)?;
    core::str::from_utf8(bytes).map_err(|_| WireError::Contradiction("a name is not UTF-8"))
}

pub(crate) fn put_unit(out: &mut Vec<u8>, unit: &Unit) {
    put_text(out, &unit.to_string());
}

pub(crate) fn read_unit(reader: &mut Reader<'_>) -> Result<Unit, WireError> {
    read_text(reader, "unit")?.parse().map_err(|_| WireError::Contradiction("a unit has no proper name"))
}

fn read_units(reader: &mut Reader<'_>) -> Result<Vec<Unit>, WireError> {
    let count = reader.bounded("unit count", CHANGES_BYTES_MAX)?;
    // The shortest text of a unit has 12 bytes.
    let mut units = Vec::with_capacity(count.min(reader.rest().len() / 12));
    for _ in 0..count {
        units.push(read_unit(reader)?);
    }
    Ok(units)
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    out.extend_from_slice(&position.incarnation.to_le_bytes());
    out.extend_from_slice(&position.sequence.to_le_bytes());
    let after = position.after.as_ref().map_or(String::new(), OriginKey::to_string);
    put_text(out, &after);
}

fn read_position(reader: &mut Reader<'_>) -> Result<Position, WireError> {
    let incarnation = u64::from_le_bytes(reader.array("incarnation")?);
    let sequence = u64::from_le_bytes(reader.array("sequence")?);
    let after = match read_text(reader, "origin")? {
        "" => None,
        text => Some(text.parse().map_err(|_| WireError::Contradiction("an origin has no proper name"))?),
    };
    Ok(Position { incarnation, sequence, after })
}

fn put_event(out: &mut Vec<u8>, event: &Event, units: &mut Numbers<Unit>, writers: &mut Numbers<(u64, u64)>) {
    let mut put_origin = |out: &mut Vec<u8>, unit: &Unit, name: OriginName| {
        put_varint(out, units.of(unit));
        put_varint(out, writers.of(&(name.node, name.epoch)));
        put_varint(out, name.piece);
    };
    match event {
        Event::Held(held) => {
            out.push(0);
            put_origin(out, &held.unit, held.name);
            out.push(held.flags.bits());
            put_varint(out, held.count);
            put_varint(out, held.low_ms - held.unit.start_ms());
            put_varint(out, held.high_ms - held.low_ms);
            put_varint(out, held.bytes);
            out.extend_from_slice(&held.digest.0);
        }
        Event::Gone(key, why) => {
            out.push(match why {
                Gone::HandedOver(_) => 1,
                Gone::Expired => 2,
                Gone::Damaged => 3,
                Gone::Dropped => 4,
            });
            put_origin(out, &key.unit, key.name);
            if let Gone::HandedOver(stores) = why {
                put_varint(out, stores.len() as u64);
                for store in stores {
                    out.extend_from_slice(&store.to_le_bytes());
                }
            }
        }
        Event::Watermark { class, below_ms } => {
            out.push(5);
            put_text(out, class);
            put_varint(out, *below_ms);
        }
        Event::Quiet(unit, quiet) => {
            out.push(6);
            put_varint(out, units.of(unit));
            out.extend_from_slice(&quiet.whole.digest.0);
            put_varint(out, quiet.whole.origins);
            put_varint(out, quiet.bytes);
            put_varint(out, quiet.times.from_ms - unit.start_ms());
            put_varint(out, quiet.times.to_ms - quiet.times.from_ms);
            out.push(quiet.flags().bits());
        }
    }
}

const UNLISTED: WireError = WireError::Contradiction("an event is of a unit or writer that is not listed");

fn read_event(reader: &mut Reader<'_>, units: &[Unit], writers: &[(u64, u64)]) -> Result<Event, WireError> {
    let [kind] = reader.array("kind of event")?;
    if kind == 5 {
        let class = read_text(reader, "retention class")?;
        if class.is_empty() || class.len() > NAME_BYTES_MAX {
            return Err(WireError::Contradiction("a retention class has no proper name"));
        }
        return Ok(Event::Watermark { class: class.into(), below_ms: reader.varint("watermark")? });
    }
    let unit = reader.varint("unit")?;
    if kind == 6 {
        let unit = units.get(unit as usize).ok_or(UNLISTED)?;
        return Ok(Event::Quiet(unit.clone(), read_quiet(reader, unit)?));
    }
    let writer = reader.varint("writer")?;
    let piece = reader.varint("piece")?;
    let (Some(unit), Some(&(node, epoch))) = (units.get(unit as usize), writers.get(writer as usize)) else {
        return Err(UNLISTED);
    };
    let name = OriginName { node, epoch, piece };
    let key = || OriginKey { unit: unit.clone(), name };
    Ok(match kind {
        0 => Event::Held(read_held(reader, unit, name)?),
        1 => {
            let count = reader.bounded("stores", REPLICATION_MAX)?;
            let stores = (0..count).map(|_| reader.array("store").map(u64::from_le_bytes));
            Event::Gone(key(), Gone::HandedOver(stores.collect::<Result<_, _>>()?))
        }
        2 => Event::Gone(key(), Gone::Expired),
        3 => Event::Gone(key(), Gone::Damaged),
        4 => Event::Gone(key(), Gone::Dropped),
        _ => return Err(WireError::Contradiction("an unknown kind of event")),
    })
}

fn read_held(reader: &mut Reader<'_>, unit: &Unit, name: OriginName) -> Result<Held, WireError> {
    const BEYOND: WireError = WireError::Contradiction("an origin lies outside of its unit or of all limits");
    let [bits] = reader.array("flags")?;
    let flags = OriginFlags::from_bits(bits).ok_or(WireError::Contradiction("unknown flags of an origin"))?;
    let count = reader.varint("records")?;
    let low_ms = unit.start_ms().checked_add(reader.varint("first record")?).ok_or(BEYOND)?;
    let high_ms = low_ms.checked_add(reader.varint("last record")?).ok_or(BEYOND)?;
    let bytes = reader.varint("bytes")?;
    let digest = RecordDigest(reader.array("digest")?);
    let held = Held { unit: unit.clone(), name, flags, count, low_ms, high_ms, digest, bytes };
    held.check().map_err(|_| BEYOND)?;
    Ok(held)
}

fn read_quiet(reader: &mut Reader<'_>, unit: &Unit) -> Result<Quiet, WireError> {
    const BEYOND: WireError =
        WireError::Contradiction("a quiet unit lies outside of its bucket or of all limits");
    let digest = SetDigest(reader.array("digest of a set")?);
    let whole = Whole { digest, origins: reader.varint("origins")? };
    let bytes = reader.varint("bytes")?;
    let from_ms = unit.start_ms().checked_add(reader.varint("first record")?).ok_or(BEYOND)?;
    let to_ms = from_ms.checked_add(reader.varint("last record")?).ok_or(BEYOND)?;
    let [bits] = reader.array("flags")?;
    let flags = OriginFlags::from_bits(bits).ok_or(WireError::Contradiction("unknown flags of a unit"))?;
    let times = TimeRange::new(from_ms, to_ms);
    let quiet = Quiet { whole, bytes, times, has_repeats: flags.has(OriginFlags::MAYBE_REPEATED) };
    if quiet.fits(unit) { Ok(quiet) } else { Err(BEYOND) }
}
