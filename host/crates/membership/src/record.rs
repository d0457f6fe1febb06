//! What goes around about nodes: how one does, and that one is gone. At most [`GOSSIP_RECORD_BYTES_MAX`] bytes each.
//!
//! Integers are little-endian. Both kinds begin alike, in every version:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | kind | u8 | 1 about a node, 2 a node is gone |
//! | version | u8 | 1; of a later one only these fields are read |
//! | node | u64 | whom it is about |
//! | bump | u64 | of the process; see `identity.rs` |
//! | sequence | u64 | about: the later counts; gone: Unix milliseconds when it was said |
//!
//! About a node, then:
//!
//! | field | size | meaning |
//! |---|---|---|
//! | protocol | u32 | of the routes between nodes |
//! | roles | u8 | 1 ingest, 2 store, 4 query, 8 forward |
//! | flags | u8 | 1 full, 2 draining, 4 stopped with records that no store has |
//! | capacity | u64 | bytes of the disk |
//! | held | u64 | bytes of segments in its store |
//! | waiting | u32 | origins that wait for stores |
//! | plugins | u64 | digest of the names and code of its plugins |
//! | url | u8 length, … | of its API, ASCII |
//! | zone | u8 length, … | UTF-8; none: empty |
//!
//! Of one that is gone: why (u8: 1 it has left with nothing that others lack, 2 an operator has forgotten it).

use alloc::string::String;
use alloc::vec::Vec;

use bytes::BufMut;
use weir_record::limits::{GOSSIP_RECORD_BYTES_MAX, GOSSIP_URL_BYTES_MAX, GOSSIP_ZONE_BYTES_MAX};

use crate::codec::{u8, u16, u32, u64};
use crate::reject::Reason;

const VERSION: u8 = 1;
const ABOUT: u8 = 1;
const GONE: u8 = 2;

/// What a node is and how it does, as it says itself. Load and space are hints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "roles in any combination, and states that do not exclude each other"
)]
pub struct About {
    /// Protocol of the routes between nodes.
    pub protocol: u32,
    /// It takes records in.
    pub ingest: bool,
    /// It keeps records.
    pub store: bool,
    /// It answers queries.
    pub query: bool,
    /// It ships records to other nodes.
    pub forward: bool,
    /// Its store takes nothing for want of room.
    pub full: bool,
    /// It gives its records away and wants no new ones.
    pub draining: bool,
    /// It was stopped while it had records that no store has.
    pub stopped: bool,
    /// Bytes of its disk.
    pub capacity_bytes: u64,
    /// Bytes of segments in its store.
    pub held_bytes: u64,
    /// Origins that wait for stores.
    pub waiting_origins: u32,
    /// Digest of the names and code of its plugins: nodes with different ones give different answers to a filter.
    pub plugins: u64,
    /// Where its API answers, such as `http://10.0.0.5:7650`; at most [`GOSSIP_URL_BYTES_MAX`] bytes.
    pub url: String,
    /// Where it stands; at most [`GOSSIP_ZONE_BYTES_MAX`] bytes.
    pub zone: Option<String>,
}

impl About {
    /// Whether records may lie there.
    pub fn holds(&self) -> bool {
        self.ingest || self.store
    }

    /// Whether it fits a record.
    pub fn fits(&self) -> bool {
        let zone = self.zone.as_deref().unwrap_or_default();
        is_url(&self.url) && zone.len() <= GOSSIP_ZONE_BYTES_MAX
    }
}

/// Why a node is no longer expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has left, and there is nothing that others lack.
    Left,
    /// An operator has forgotten it.
    Forgotten,
}

/// One thing that goes around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) node: u64,
    pub(crate) bump: u64,
    pub(crate) sequence: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    About(About),
    Gone(Why),
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(GOSSIP_RECORD_BYTES_MAX);
        out.put_u8(if matches!(self.what, What::About(_)) { ABOUT } else { GONE });
        out.put_u8(VERSION);
        out.put_u64_le(self.node);
        out.put_u64_le(self.bump);
        out.put_u64_le(self.sequence);
        match &self.what {
            What::About(about) => put_about(&mut out, about),
            What::Gone(Why::Left) => out.put_u8(1),
            What::Gone(Why::Forgotten) => out.put_u8(2),
        }
        assert!(out.len() <= GOSSIP_RECORD_BYTES_MAX, "checked where it was made");
        out
    }

    /// Reads what fills `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Record, Reason> {
        let malformed = |_| Reason::Malformed;
        if bytes.len() > GOSSIP_RECORD_BYTES_MAX {
            return Err(Reason::Malformed);
        }
        let mut rest = bytes;
        let (kind, version) = (u8(&mut rest).map_err(malformed)?, u8(&mut rest).map_err(malformed)?);
        let mut number = || u64(&mut rest).map_err(malformed);
        let (node, bump, sequence) = (number()?, number()?, number()?);
        if version > VERSION || kind > GONE {
            return Err(Reason::FutureRecord);
        }
        let what = match kind {
            ABOUT => What::About(read_about(&mut rest).ok_or(Reason::Malformed)?),
            GONE => match u8(&mut rest).map_err(malformed)? {
                1 => What::Gone(Why::Left),
                2 => What::Gone(Why::Forgotten),
                _ => return Err(Reason::Malformed),
            },
            _ => return Err(Reason::Malformed),
        };
        if version != VERSION || !rest.is_empty() {
            return Err(Reason::Malformed);
        }
        Ok(Record { node, bump, sequence, what })
    }
}

fn put_about(out: &mut Vec<u8>, about: &About) {
    let bits = |bits: &[bool]| bits.iter().rev().fold(0, |all, bit| all << 1 | u8::from(*bit));
    out.put_u32_le(about.protocol);
    out.put_u8(bits(&[about.ingest, about.store, about.query, about.forward]));
    out.put_u8(bits(&[about.full, about.draining, about.stopped]));
    out.put_u64_le(about.capacity_bytes);
    out.put_u64_le(about.held_bytes);
    out.put_u32_le(about.waiting_origins);
    out.put_u64_le(about.plugins);
    for text in [&about.url, about.zone.as_deref().unwrap_or_default()] {
        out.put_u8(text.len() as u8);
        out.put_slice(text.as_bytes());
    }
}

fn read_about(rest: &mut &[u8]) -> Option<About> {
    let protocol = u32(rest).ok()?;
    let (roles, flags) = (u8(rest).ok()?, u8(rest).ok()?);
    let (capacity_bytes, held_bytes) = (u64(rest).ok()?, u64(rest).ok()?);
    let (waiting_origins, plugins) = (u32(rest).ok()?, u64(rest).ok()?);
    let (url, zone) = (text(rest)?, text(rest)?);
    let about = About {
        protocol,
        ingest: roles & 1 != 0,
        store: roles & 2 != 0,
        query: roles & 4 != 0,
        forward: roles & 8 != 0,
        full: flags & 1 != 0,
        draining: flags & 2 != 0,
        stopped: flags & 4 != 0,
        capacity_bytes,
        held_bytes,
        waiting_origins,
        plugins,
        url,
        zone: Some(zone).filter(|zone| !zone.is_empty()),
    };
    (about.fits() && roles < 16 && flags < 8).then_some(about)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::from(u8(rest).ok()?);
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(core::str::from_utf8(text).ok()?.into())
}

/// It goes into logs and into requests: nothing but visible ASCII behind a scheme that nodes speak.
fn is_url(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    text.len() <= GOSSIP_URL_BYTES_MAX
        && host.is_some_and(|host| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Puts records into what is left of a datagram, each behind its length (u16).
pub(crate) fn put_record(out: &mut Vec<u8>, record: &[u8]) {
    out.put_u16_le(record.len() as u16);
    out.put_slice(record);
}

/// Takes apart what [`put_record`] has put together; nothing of it counts if any of it cannot be read.
pub(crate) fn read_records(mut rest: &[u8]) -> Result<Vec<Result<Record, Reason>>, Reason> {
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16(&mut rest).map_err(|_| Reason::Malformed)?);
        let (record, behind) = rest.split_at_checked(length).ok_or(Reason::Malformed)?;
        rest = behind;
        match Record::decode(record) {
            Err(Reason::Malformed) => return Err(Reason::Malformed),
            read => records.push(read),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn about() -> Record {
        let about = About {
            protocol: 1,
            ingest: true,
            query: true,
            draining: true,
            capacity_bytes: 1 << 40,
            held_bytes: 17,
            waiting_origins: 3,
            plugins: 0xabcd,
            url: "http://10.0.0.5:7650".to_string(),
            zone: Some("rack-1".to_string()),
            ..About::default()
        };
        Record { node: 7, bump: 8, sequence: 9, what: What::About(about) }
    }

    #[test]
    fn records_come_back_as_they_were_and_no_other_length_is_read() {
        let gone = |why| Record { what: What::Gone(why), ..about() };
        for record in [about(), gone(Why::Left), gone(Why::Forgotten)] {
            let mut bytes = record.encode();
            assert_eq!(Record::decode(&bytes), Ok(record));
            for cut in 0..bytes.len() {
                assert_eq!(Record::decode(&bytes[..cut]), Err(Reason::Malformed), "{cut}");
            }
            bytes.push(0);
            assert_eq!(Record::decode(&bytes), Err(Reason::Malformed));
        }
    }

    #[test]
    fn the_largest_record_fits() {
        let url = alloc::format!("http://{}", "h".repeat(GOSSIP_URL_BYTES_MAX - 7));
        let zone = "z".repeat(GOSSIP_ZONE_BYTES_MAX);
        let about = About { url, zone: Some(zone), ..About::default() };
        assert!(about.fits());
        let record = Record { node: 1, bump: 2, sequence: 3, what: What::About(about) };
        assert!(record.encode().len() <= GOSSIP_RECORD_BYTES_MAX);
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn later_versions_are_passed_over_and_urls_are_what_they_seem() {
        let mut later = about().encode();
        later[1] = 2;
        later.truncate(40);
        assert_eq!(Record::decode(&later), Err(Reason::FutureRecord));
        for (url, fits) in [
            ("http://a:1", true),
            ("https://[::1]:7650", true),
            ("http://", false),
            ("ftp://a", false),
            ("http://a b", false),
            ("http://a\n", false),
            ("", false),
        ] {
            assert_eq!(About { url: url.into(), ..About::default() }.fits(), fits, "{url:?}");
        }
    }
}
