//! Searches over the wire and back, and bytes that are none.

use super::*;
use crate::wire::peer::arbitrary::units;
use proptest::prelude::*;
use std::sync::Arc;
use weir_query::Anchor;
use weir_record::Stream;

fn arounds() -> impl Strategy<Value = Around> {
    let anchor = (any::<u128>(), 0..3_u8).prop_map(|(id, host)| {
        let stream = Stream::new("t", [("host", host.to_string())]).unwrap();
        Anchor { id: RecordId::from_u128(id), stream: Arc::new(stream) }
    });
    let anchors = prop::collection::vec(anchor, 0..6);
    (0..=limits::QUERY_CONTEXT_RECORDS_MAX, 0..=limits::QUERY_CONTEXT_RECORDS_MAX, any::<u64>(), anchors)
        .prop_map(|(before, after, reach_ms, anchors)| Around { before, after, reach_ms, anchors })
}

fn requests() -> impl Strategy<Value = SearchRequest> {
    let buckets = (any::<u64>(), 1..u64::MAX, 1..=limits::NODE_BUCKETS_MAX as u32)
        .prop_map(|(from_ms, width_ms, count)| Buckets { from_ms, width_ms, count });
    let known = prop::collection::vec((any::<u128>(), 0..5_u8), 0..5).prop_map(|records| {
        let mut known = HashedRows::new();
        for (id, level) in records {
            known.push(RecordId::from_u128(id), level, [level; 16]);
        }
        known
    });
    let mode = prop_oneof![
        Just(SearchMode::Rows),
        Just(SearchMode::Suspects),
        (buckets, known.clone()).prop_map(|(buckets, known)| SearchMode::Histogram(buckets, known)),
        Just(SearchMode::SuspectRows),
        known.prop_map(SearchMode::Sum),
        arounds().prop_map(SearchMode::Around),
    ];
    let stage = ("[a-z-]{1,9}", any::<[u8; 32]>(), ".{0,20}").prop_map(|(name, sha256, params)| StageSpec {
        name,
        sha256,
        params,
    });
    let mode = (mode, prop::collection::vec(stage, 0..3));
    let bits = (any::<u128>(), any::<[bool; 4]>());
    let some = || prop::option::of(1..u64::MAX);
    let range = (any::<u128>(), any::<u128>(), some(), some());
    (bits, ".{0,40}", range, mode, units()).prop_map(|(bits, query, range, mode, units)| {
        let ((token, bits), (from, to, limit, time_ms), (mode, stages)) = (bits, range, mode);
        SearchRequest {
            token: SnapshotToken(token),
            syntax: if bits[0] { Syntax::Regex } else { Syntax::Weir },
            query,
            from: RecordId::from_u128(from),
            to: RecordId::from_u128(to),
            limit,
            order: if bits[1] { Order::Desc } else { Order::Asc },
            time_ms,
            whole: bits[2],
            mode,
            stages,
            log: bits[3],
            units,
        }
    })
}

proptest! {
    #[test]
    fn a_search_survives_the_way_over_the_wire(request in requests()) {
        prop_assert_eq!(SearchRequest::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn every_cut_is_an_error_and_no_flipped_bit_panics(
        request in requests(), at in any::<prop::sample::Index>(), bit in 0..8, more in any::<u8>(),
    ) {
        let mut bytes = request.encode();
        for cut in 0..bytes.len() {
            prop_assert!(SearchRequest::decode(&bytes[..cut]).is_err());
        }
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let _ = SearchRequest::decode(&bytes);
        bytes[at] ^= 1_u8 << bit;
        bytes.push(more);
        prop_assert_eq!(SearchRequest::decode(&bytes), Err(CodecError::Trailing(1).into()));
    }
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let unit = Unit::new(3_600_000, 3_600_000, "d", 0, 1).unwrap();
    let name = OriginName { node: 1, epoch: 2, piece: 300 };
    let mut known = HashedRows::new();
    known.push(RecordId::from_u128(1), 4, [b'h'; 16]);
    let request = SearchRequest {
        token: SnapshotToken(9),
        syntax: Syntax::Regex,
        query: "a+".into(),
        from: RecordId::MIN,
        to: RecordId::MAX,
        limit: None,
        order: Order::Desc,
        time_ms: Some(8),
        whole: true,
        mode: SearchMode::Histogram(Buckets { from_ms: 5, width_ms: 6, count: 7 }, known),
        stages: vec![StageSpec { name: "s".into(), sha256: [b'#'; 32], params: "{}".into() }],
        log: true,
        units: vec![UnitOrigins {
            unit,
            origins: Origins::Only(vec![name, OriginName { piece: 4, ..name }]),
        }],
    };
    let mut expected = b"WSRQ\x03\x09".to_vec();
    expected.extend_from_slice(&[0; 15]);
    expected.extend_from_slice(b"\x01\x02a+");
    expected.extend_from_slice(&[0; 16]);
    expected.extend_from_slice(&[0xff; 16]);
    expected.extend_from_slice(b"\0\x01\x08\x01\x03\x05\x06\x07\x01");
    expected.extend_from_slice(&1_u128.to_be_bytes());
    expected.extend_from_slice(b"\x04hhhhhhhhhhhhhhhh");
    expected.extend_from_slice(b"\x01\x01s");
    expected.extend_from_slice(&[b'#'; 32]);
    expected.extend_from_slice(b"\x02{}\x01");
    expected.extend_from_slice(b"\x01\x173600000.3600000.d.p0of1\x02\x01");
    expected.extend_from_slice(b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\xac\x02\x04");
    assert_eq!(request.encode(), expected);
}

#[test]
fn absurd_numbers_are_refused_before_memory_is_taken() {
    let mut body = Vec::new();
    put_varint(&mut body, u64::MAX);
    let units = |body: &[u8]| read_units(&mut Reader::new(body));
    assert!(matches!(units(&body), Err(SearchCodecError::Codec(CodecError::TooMany { .. }))));
    let mut body = Vec::new();
    put_varint(&mut body, 1);
    put_text(&mut body, "0.1.d.p0of1");
    body.push(2);
    put_varint(&mut body, 2);
    for _ in 0..2 {
        body.extend_from_slice(&[0; 16]);
        put_varint(&mut body, limits::NODE_SEARCH_ORIGINS_MAX as u64 / 2 + 1);
        body.resize(body.len() + limits::NODE_SEARCH_ORIGINS_MAX / 2 + 1, 0);
    }
    let error = units(&body).unwrap_err();
    assert!(matches!(error, SearchCodecError::Codec(CodecError::TooMany { .. })), "{error}");
    assert_eq!(SearchRequest::decode(b"{}"), Err(SearchCodecError::Magic));
    assert_eq!(SearchRequest::decode(b"WSRQ\x04"), Err(SearchCodecError::Version(4)));
}
