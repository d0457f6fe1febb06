//! Rows as bytes: JSON lines for programs, text for people and pipes, OK Log's lines for its clients.

pub mod people;
mod text;

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_query::{Mark, Rows};
use weir_record::Stream;

pub use text::{push_escaped, rfc3339_ms};
pub(crate) use text::{push_id, rfc3339_s};

/// The shape of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `{"id","time","topic","labels","payload"}` a line; the last line is the statistics. A payload that is
    /// no UTF-8 is in `payload_base64`. A record that is no hit but stands near one has `"context":true`, the first one of a
    /// further group `"begins_group":true`.
    #[default]
    Ndjson,
    /// The payload and a newline. Nothing is escaped: a payload with newlines is several lines. Between groups of
    /// hits with what stands around them is a line `--`, as with grep.
    Text,
    /// `ULID SP payload LF`. A newline inside a payload is written as `\n`, for the reader would take it for
    /// the end of the record; nothing else is escaped. Nothing tells hits from their context.
    Oklog,
}

/// Text that names no format. Does not affect state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a format is ndjson, text or oklog")]
pub struct NotAFormat;

impl FromStr for Format {
    type Err = NotAFormat;

    fn from_str(text: &str) -> Result<Format, NotAFormat> {
        [Format::Ndjson, Format::Text, Format::Oklog]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or(NotAFormat)
    }
}

impl Format {
    /// The name in parameters.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Ndjson => "ndjson",
            Format::Text => "text",
            Format::Oklog => "oklog",
        }
    }

    /// The content type of an answer.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Format::Ndjson => "application/x-ndjson",
            Format::Text | Format::Oklog => "text/plain; charset=utf-8",
        }
    }

    /// Appends rows.
    pub fn write(self, rows: &Rows, out: &mut Vec<u8>) {
        match self {
            Format::Ndjson => write_ndjson(rows, out),
            Format::Text => write_text(rows, out),
            Format::Oklog => write_oklog(rows, out),
        }
    }
}

fn write_text(rows: &Rows, out: &mut Vec<u8>) {
    out.reserve(rows.payload_bytes() + rows.count());
    let mut from = 0;
    for (index, &end) in rows.ends().iter().enumerate() {
        if rows.has_marks() && rows.mark(index).begins_group {
            out.extend_from_slice(b"--\n");
        }
        out.extend_from_slice(&rows.arena()[from..end as usize]);
        out.push(b'\n');
        from = end as usize;
    }
}

fn write_oklog(rows: &Rows, out: &mut Vec<u8>) {
    const ID_BYTES: usize = 28;
    out.reserve(rows.payload_bytes() + rows.count() * ID_BYTES);
    for row in rows.iter() {
        text::push_id(out, row.id);
        out.push(b' ');
        push_escaped(out, row.payload);
        out.push(b'\n');
    }
}

fn write_ndjson(rows: &Rows, out: &mut Vec<u8>) {
    const ID_AND_TIME_BYTES: usize = 100;
    // What a stream looks like is the same in each of its rows.
    let streams: Vec<Vec<u8>> = rows.streams().iter().map(|stream| stream_json(stream)).collect();
    let streams_bytes: usize = rows.stream_of().iter().map(|&at| streams[at as usize].len()).sum();
    out.reserve(rows.payload_bytes() * 9 / 8 + rows.count() * ID_AND_TIME_BYTES + streams_bytes);
    for (index, (row, &stream)) in rows.iter().zip(rows.stream_of()).enumerate() {
        out.extend_from_slice(b"{\"id\":\"");
        text::push_id(out, row.id);
        out.extend_from_slice(b"\",\"time\":\"");
        text::push_time(out, row.id.time_ms());
        out.extend_from_slice(&streams[stream as usize]);
        if let Ok(payload) = std::str::from_utf8(row.payload) {
            out.extend_from_slice(b",\"payload\":\"");
            text::push_json(out, payload);
        } else {
            out.extend_from_slice(b",\"payload_base64\":\"");
            out.extend_from_slice(STANDARD.encode(row.payload).as_bytes());
        }
        let mark = if rows.has_marks() { rows.mark(index) } else { Mark::default() };
        out.extend_from_slice(match (mark.is_context, mark.begins_group) {
            (false, false) => b"\"}\n",
            (true, false) => b"\",\"context\":true}\n",
            (false, true) => b"\",\"begins_group\":true}\n",
            (true, true) => b"\",\"context\":true,\"begins_group\":true}\n",
        });
    }
}

fn stream_json(stream: &Stream) -> Vec<u8> {
    let mut out = b"\",\"topic\":\"".to_vec();
    text::push_json(&mut out, stream.topic());
    out.extend_from_slice(b"\",\"labels\":{");
    for (index, (name, value)) in stream.labels().enumerate() {
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        text::push_json(&mut out, name);
        out.extend_from_slice(b"\":\"");
        text::push_json(&mut out, value);
        out.push(b'"');
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use weir_record::RecordId;

    fn rows(payloads: &[&[u8]]) -> Rows {
        let stream = Stream::new("orders", [("host", "w\"b"), ("env", "é")]).unwrap();
        let mut rows = Rows::new();
        let at = rows.add_stream(Arc::new(stream));
        for (index, payload) in payloads.iter().enumerate() {
            rows.push(RecordId::from_parts(1_700_000_000_042, index as u128), at, payload);
        }
        rows
    }

    fn written(format: Format, payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        format.write(&rows(payloads), &mut out);
        out
    }

    #[test]
    fn each_format_looks_as_documented() {
        let payloads: [&[u8]; 3] = [b"a\nb", b"", b"\xff\0"];
        assert_eq!(written(Format::Text, &payloads), b"a\nb\n\n\xff\0\n");
        assert_eq!(
            written(Format::Oklog, &payloads),
            b"01HF7YAT1A0000000000000000 a\\nb\n01HF7YAT1A0000000000000001 \n01HF7YAT1A0000000000000002 \xff\0\n"
        );
        let text = String::from_utf8(written(Format::Ndjson, &payloads)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"id":"01HF7YAT1A0000000000000000","time":"2023-11-14T22:13:20.042Z","topic":"orders","labels":{"env":"é","host":"w\"b"},"payload":"a\nb"}"#
        );
        assert!(lines[2].ends_with(r#","payload_base64":"/wA="}"#), "{}", lines[2]);
    }

    #[test]
    fn context_is_marked_and_groups_are_apart() {
        let mut all = Rows::new();
        let stream = all.add_stream(Arc::new(Stream::new("t", [("", ""); 0]).unwrap()));
        for (number, is_context, begins_group) in
            [(0, true, false), (1, false, false), (2, false, true), (3, true, false)]
        {
            let mark = Mark { is_context, begins_group };
            all.push_marked(RecordId::from_parts(1, number), stream, &[b'a' + number as u8], mark);
        }
        let written = |format: Format| {
            let mut out = Vec::new();
            format.write(&all, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Format::Text), "a\nb\n--\nc\nd\n");
        let ends: Vec<bool> =
            written(Format::Ndjson).lines().map(|line| line.ends_with(",\"context\":true}")).collect();
        assert_eq!(ends, [true, false, false, true]);
        let groups: Vec<bool> =
            written(Format::Ndjson).lines().map(|line| line.contains("\"begins_group\":true")).collect();
        assert_eq!(groups, [false, false, true, false]);
        assert_eq!(written(Format::Oklog).lines().count(), 4);
    }

    proptest! {
        #[test]
        fn json_lines_parse_back_to_the_same_bytes(
            payloads in prop::collection::vec(
                prop_oneof![prop::collection::vec(any::<u8>(), 0..50), ".{0,30}".prop_map(String::into_bytes)],
                0..20,
            ),
        ) {
            let refs: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
            let text = String::from_utf8(written(Format::Ndjson, &refs)).unwrap();
            let mut back = Vec::new();
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                prop_assert_eq!(&line["labels"]["host"], "w\"b");
                back.push(match line["payload"].as_str() {
                    Some(text) => text.as_bytes().to_vec(),
                    None => STANDARD.decode(line["payload_base64"].as_str().unwrap()).unwrap(),
                });
            }
            prop_assert_eq!(back, payloads);
        }

        #[test]
        fn every_oklog_record_is_one_line(payloads in prop::collection::vec("[a\\n\\\\]{0,9}", 0..20)) {
            let refs: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
            let lines = written(Format::Oklog, &refs).split(|&b| b == b'\n').count() - 1;
            prop_assert_eq!(lines, payloads.len());
        }
    }
}
