use alloc::string::ToString as _;
use alloc::vec;
use weir_segment::{OriginFlags, OriginName, RecordDigest, Unit};

use super::*;
use crate::error::WireError;
use crate::quiet::{SetDigest, Whole};
use crate::ranges::TimeRange;

fn key(class: &str, piece: u64) -> OriginKey {
    let unit = Unit::new(7_200_000, 3_600_000, class, 0, 1).unwrap();
    OriginKey { unit, name: OriginName { node: 0xab, epoch: 6, piece } }
}

fn held(class: &str, piece: u64) -> Held {
    let OriginKey { unit, name } = key(class, piece);
    let (low_ms, high_ms, digest) = (7_200_300, 7_200_301, RecordDigest([9; 16]));
    Held { unit, name, flags: OriginFlags::NONE, count: 5, low_ms, high_ms, digest, bytes: 1000 }
}

fn quiet() -> Quiet {
    let whole = Whole { digest: SetDigest([7; 16]), origins: 200 };
    Quiet { whole, bytes: 70_000, times: TimeRange::new(7_200_005, 7_200_300), has_repeats: true }
}

fn changes() -> Changes {
    let events = vec![
        Event::Watermark { class: "default".into(), below_ms: 3_600_000 },
        Event::Held(held("default", 70_000)),
        Event::Held(held("long-lived", 70_001)),
        Event::Gone(key("default", 1), Gone::HandedOver(vec![1, u64::MAX])),
        Event::Gone(key("default", 2), Gone::Expired),
        Event::Gone(key("default", 3), Gone::Damaged),
        Event::Gone(key("default", 4), Gone::Dropped),
        Event::Quiet(key("keyless", 1).unit, quiet()),
    ];
    let since = Position { incarnation: 7, sequence: 3, after: Some(key("default", 9)) };
    let next = Position { incarnation: 7, sequence: 3, after: None };
    Changes { node: 0xab, place: Place::Store, step: Step::ListingGoesOn, since, next, latest: 12, events }
}

#[test]
fn positions_have_one_text() {
    let listing = Position { incarnation: 0xfe, sequence: 12, after: Some(key("a-b", 3)) };
    for position in [Position::START, Position { after: None, ..listing.clone() }, listing] {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    for text in
        ["", "1.2", "0000000000000001", "0000000000000001.x", "0000000000000001.1.x", "0000000000000001.01"]
    {
        assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
    }
}

#[test]
fn they_survive_the_way_to_bytes_and_back_and_no_damage_passes() {
    let changes = changes();
    let bytes = changes.encode();
    assert_eq!(Changes::decode(&bytes), Ok(changes));
    for cut in 0..bytes.len() {
        assert!(Changes::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    for at in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(Changes::decode(&bytes).is_err(), "bit {at}");
    }
}

#[test]
fn bytes_with_a_right_checksum_are_not_trusted_either() {
    let bytes = changes().encode();
    for at in 0..(bytes.len() - 4) * 8 {
        let mut bytes = bytes.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        let end = bytes.len() - 4;
        let sum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.to_le_bytes());
        if let Ok(changes) = Changes::decode(&bytes) {
            let is_sound = |event: &Event| match event {
                Event::Held(held) => held.check().is_ok(),
                Event::Quiet(unit, quiet) => quiet.fits(unit),
                Event::Gone(..) | Event::Watermark { .. } => true,
            };
            assert!(changes.events.iter().all(is_sound), "bit {at}");
        }
    }
}

#[test]
fn other_bytes_are_named() {
    let bytes = changes().encode();
    let mut other = bytes.clone();
    other[0] = b'X';
    assert_eq!(Changes::decode(&other), Err(WireError::Magic("changes of holdings")));
    let mut newer = bytes.clone();
    newer[4] = 3;
    let error = Changes::decode(&newer).unwrap_err();
    assert_eq!(error.to_string(), "changes of holdings of version 3, this node reads 2");
    let long = vec![0; weir_record::limits::CHANGES_BYTES_MAX + 1];
    assert!(matches!(Changes::decode(&long), Err(WireError::TooLong { .. })));
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let events = vec![Event::Held(held("default", 300))];
    let since = Position { incarnation: 7, sequence: 3, after: None };
    let next = Position { sequence: 4, ..since.clone() };
    let changes =
        Changes { node: 0xab, place: Place::Backlog, step: Step::Delta, since, next, latest: 4, events };
    let mut expected = b"WCHG\x02\x00\x00\xab\0\0\0\0\0\0\0".to_vec();
    expected.extend_from_slice(b"\x07\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x00");
    expected.extend_from_slice(b"\x07\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x00");
    expected.extend_from_slice(b"\x04\0\0\0\0\0\0\0\x01\x1d7200000.3600000.default.p0of1");
    expected.extend_from_slice(b"\x01\xab\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x01");
    expected.extend_from_slice(b"\x00\x00\x00\xac\x02\x00\x05\xac\x02\x01\xe8\x07");
    expected.extend_from_slice(&[9; 16]);
    let sum = crc32c::crc32c(&expected);
    expected.extend_from_slice(&sum.to_le_bytes());
    assert_eq!(changes.encode(), expected);
}
