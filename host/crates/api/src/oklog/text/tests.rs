//! What stores of OK Log can take.

use std::sync::Arc;

use proptest::prelude::*;
use weir_record::Stream;
use weir_record::limits::RECORD_BYTES_MAX;

use super::*;

const TIME_MS: u64 = 1_700_000_000_000;

fn id(entropy: u128) -> RecordId {
    RecordId::from_parts(TIME_MS, entropy)
}

fn written(records: &[(RecordId, Vec<u8>)]) -> Vec<u8> {
    let (mut writer, mut out) = (TextWriter::new(), Vec::new());
    let mut rows = Rows::new();
    let stream = rows.add_stream(Arc::new(Stream::new("t", [("", ""); 0]).unwrap()));
    for (id, payload) in records {
        rows.push(*id, stream, payload);
    }
    writer.rows(&rows, &mut out);
    writer.finish(&mut out);
    out
}

/// Ids and payloads of the lines, which must be ascending and of bearable length.
fn lines(text: &[u8]) -> Vec<(RecordId, Vec<u8>)> {
    let Some(text) = text.strip_suffix(b"\n") else {
        assert!(text.is_empty(), "the last line has an end");
        return Vec::new();
    };
    let mut found: Vec<(RecordId, Vec<u8>)> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        assert!(line.len() < OKLOG_LINE_BYTES_MAX, "{} bytes", line.len());
        let (id, payload) = line.split_at(27);
        let id = std::str::from_utf8(id).unwrap().strip_suffix(' ').unwrap().parse().unwrap();
        assert!(found.last().is_none_or(|(last, _)| *last < id), "{id} does not ascend");
        found.push((id, payload.to_vec()));
    }
    found
}

#[test]
fn a_record_is_a_line_of_id_and_payload() {
    let records = [(id(1), b"100% \0\xff\r".to_vec()), (id(2), b"".to_vec()), (id(3), b"a\nb\n".to_vec())];
    assert_eq!(
        written(&records),
        b"01HF7YAT000000000000000001 100% \0\xff\r\n01HF7YAT000000000000000002 \n01HF7YAT000000000000000003 a\\nb\\n\n"
    );
    assert_eq!(written(&[]), b"");
}

#[test]
fn a_line_is_as_long_as_a_store_takes_before_it_is_cut() {
    for (bytes, expected) in [(LINE_PAYLOAD_BYTES_MAX, 1), (LINE_PAYLOAD_BYTES_MAX + 1, 2)] {
        assert_eq!(lines(&written(&[(id(1), vec![b'x'; bytes])])).len(), expected);
    }
    // Newlines count twice.
    let half = LINE_PAYLOAD_BYTES_MAX / 2;
    for (bytes, expected) in [(half, 1), (half + 1, 2)] {
        assert_eq!(lines(&written(&[(id(1), vec![b'\n'; bytes])])).len(), expected);
    }
}

#[test]
fn parts_say_what_they_are_and_never_take_the_id_of_another_record() {
    // Ids count up behind the long one, as those of a batch do.
    let long: Vec<u8> = (0..RECORD_BYTES_MAX).map(|at| b'a' + (at % 23) as u8).collect();
    let mut records: Vec<_> = (0..1_000).map(|n| (id(n), b"short".to_vec())).collect();
    records[7].1 = long.clone();
    records.push((RecordId::from_parts(TIME_MS + 1, 0), b"next".to_vec()));
    let text = written(&records);
    assert_eq!(text, written(&records), "read again it is the same");
    let found = lines(&text);
    let parts: Vec<_> = found.iter().filter(|(_, payload)| payload.starts_with(b"[part ")).collect();
    assert_eq!(found.len(), records.len() + parts.len() - 1);
    assert_eq!((parts[0].0, found.last().unwrap().1.as_slice()), (id(7), &b"next"[..]));
    let mut joined = Vec::new();
    for (index, (_, payload)) in parts.iter().enumerate() {
        let mark = format!("[part {}/{} of {}] ", index + 1, parts.len(), id(7));
        joined.extend_from_slice(payload.strip_prefix(mark.as_bytes()).unwrap());
    }
    assert!(joined == long, "the parts put together are the record");
}

#[test]
fn no_character_is_cut_in_two() {
    let text = "é€😀".repeat(20_000);
    let found = lines(&written(&[(id(1), text.clone().into_bytes())]));
    let parts =
        found.iter().map(|(_, payload)| std::str::from_utf8(payload).unwrap().split_once("] ").unwrap().1);
    assert_eq!(parts.collect::<String>(), text);
}

#[test]
fn the_last_ids_of_a_millisecond_have_room_for_parts_where_there_is_any() {
    for entropy in [ENTROPY_MAX - 40, ENTROPY_MAX >> 1] {
        let found = lines(&written(&[(id(entropy), vec![b'x'; RECORD_BYTES_MAX])]));
        assert_eq!(found.len(), 17);
        assert!(found.iter().all(|(id, _)| id.time_ms() == TIME_MS));
    }
}

proptest! {
    #[test]
    fn any_records_become_lines_that_ascend(
        records in prop::collection::btree_map(
            (0..3_u64, 0..5_u128),
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..50),
                (60_000..140_000_usize, any::<u8>()).prop_map(|(bytes, byte)| vec![byte; bytes]),
            ],
            0..10,
        ),
    ) {
        let records: Vec<_> = records
            .into_iter()
            .map(|((ms, entropy), payload)| (RecordId::from_parts(TIME_MS + ms, entropy), payload))
            .collect();
        let found = lines(&written(&records));
        for (id, _) in &records {
            prop_assert!(found.iter().any(|(other, _)| other == id));
        }
        let payload_bytes: usize = records.iter().map(|(_, payload)| escaped_bytes(payload)).sum();
        let line_bytes: usize = found.iter().map(|(_, payload)| payload.len()).sum();
        prop_assert!(line_bytes >= payload_bytes && line_bytes <= payload_bytes + (found.len() * MARK_BYTES_MAX));
    }
}
