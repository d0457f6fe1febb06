//! Writing the segment of OK Log: lines of `ULID SP payload LF`, ascending, each id once.
//!
//! Its stores cannot take a line of 64 KiB: one stops their whole cluster. A record that would be longer is cut
//! into lines that say so, `[part 2/3 of 01HF7YAT1A0000000000000000] …`. The first part keeps the id of the
//! record. The others need ids of their own, for a store keeps one line per id, and they must not be those of
//! the records that follow, which count up from this one: they lie a pseudo-random distance ahead in the same
//! millisecond. The distance is made from the record's id, so that a piece read again gives the same lines.

use std::collections::BTreeMap;

use weir_query::Rows;
use weir_record::RecordId;
use weir_record::id::ENTROPY_MAX;
use weir_record::limits::OKLOG_LINE_BYTES_MAX;
use weir_record::mint::keyed_id;

use crate::format::{push_escaped, push_id};

/// An id, a space and the newline.
const FRAME_BYTES: usize = 28;
/// The most that `[part 123/123 of ULID] ` takes.
const MARK_BYTES_MAX: usize = 48;
const LINE_PAYLOAD_BYTES_MAX: usize = OKLOG_LINE_BYTES_MAX - FRAME_BYTES;
const PART_BYTES_MAX: usize = LINE_PAYLOAD_BYTES_MAX - MARK_BYTES_MAX;

/// Writes records, which come ascending by id, as a text segment. Holds parts of long records until the records
/// before them are written: at most what long records of one millisecond have.
#[derive(Debug, Default)]
pub struct TextWriter {
    /// Lines of later parts by their ids.
    held: BTreeMap<RecordId, Vec<u8>>,
}

impl TextWriter {
    /// A writer at the beginning of a segment.
    pub fn new() -> TextWriter {
        TextWriter::default()
    }

    /// Appends records, which are not lower than those before.
    pub fn rows(&mut self, rows: &Rows, out: &mut Vec<u8>) {
        out.reserve(rows.payload_bytes() + rows.count() * FRAME_BYTES);
        rows.iter().for_each(|row| self.push(row.id, row.payload, out));
    }

    /// Appends one record, which is not lower than the one before.
    pub fn push(&mut self, id: RecordId, payload: &[u8], out: &mut Vec<u8>) {
        self.release(Some(id), out);
        // At worst every byte is a newline and becomes two.
        let short =
            payload.len() <= LINE_PAYLOAD_BYTES_MAX / 2 || escaped_bytes(payload) <= LINE_PAYLOAD_BYTES_MAX;
        if short {
            push_line(out, id, &[], payload);
        } else {
            self.push_parts(id, payload, out);
        }
    }

    /// Appends what is held: nothing comes any more.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(None, out);
    }

    /// Writes held lines below an id.
    fn release(&mut self, below: Option<RecordId>, out: &mut Vec<u8>) {
        while let Some(first) = self.held.first_entry() {
            if below.is_some_and(|below| *first.key() >= below) {
                break;
            }
            out.append(&mut first.remove());
        }
    }

    fn push_parts(&mut self, id: RecordId, payload: &[u8], out: &mut Vec<u8>) {
        let parts: Vec<&[u8]> = cut(payload).collect();
        let ids = part_ids(id, parts.len());
        for (index, (part, part_id)) in parts.iter().zip(ids).enumerate() {
            let mark = format!("[part {}/{} of {id}] ", index + 1, parts.len());
            assert!(mark.len() <= MARK_BYTES_MAX, "a record has few parts");
            if index == 0 {
                push_line(out, part_id, mark.as_bytes(), part);
            } else {
                let mut line = Vec::with_capacity(FRAME_BYTES + mark.len() + part.len());
                push_line(&mut line, part_id, mark.as_bytes(), part);
                // Two ids meet once in 2^79: then both lines stand there, one after the other.
                self.held.entry(part_id).or_default().append(&mut line);
            }
        }
    }
}

fn push_line(out: &mut Vec<u8>, id: RecordId, mark: &[u8], payload: &[u8]) {
    push_id(out, id);
    out.push(b' ');
    out.extend_from_slice(mark);
    push_escaped(out, payload);
    out.push(b'\n');
}

fn escaped_bytes(payload: &[u8]) -> usize {
    payload.len() + memchr::memchr_iter(b'\n', payload).count()
}

/// A payload in pieces that fit a line once they are escaped. No character of UTF-8 is cut in two.
fn cut(mut payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if payload.is_empty() {
            return None;
        }
        let mut end = payload.len().min(PART_BYTES_MAX);
        while escaped_bytes(&payload[..end]) > PART_BYTES_MAX {
            end -= (escaped_bytes(&payload[..end]) - PART_BYTES_MAX).div_ceil(2);
        }
        if end < payload.len() {
            let inside = |at: &usize| payload.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
            // Four bytes back there is either a first byte, or no UTF-8 that could be spoilt.
            end = (end - 3..=end).rev().find(|at| !inside(at)).unwrap_or(end);
        }
        let (part, rest) = payload.split_at(end);
        payload = rest;
        Some(part)
    })
}

/// Ids for the parts of a record: ascending, in its millisecond, the first its own.
fn part_ids(id: RecordId, count: usize) -> impl Iterator<Item = RecordId> {
    let room = ENTROPY_MAX.saturating_sub(id.entropy()).saturating_sub(count as u128);
    let drawn = keyed_id(id.time_ms(), &id.to_bytes(), 0, &[]).entropy();
    let distance = 1 + drawn % room.max(1);
    let later = (0..).map(move |index| {
        RecordId::from_parts(id.time_ms(), (id.entropy() + distance + index).min(ENTROPY_MAX))
    });
    std::iter::once(id).chain(later).take(count)
}

#[cfg(test)]
mod tests;
