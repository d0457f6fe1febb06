//! Records as CSV, RFC 4180: a header, lines that end with CR LF, quotes doubled inside of quotes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_api::format::rfc3339_ms;
use weir_query::Rows;
use weir_record::Stream;

/// The first line.
pub(crate) const HEADER: &[u8] = b"id,time,topic,labels,payload,payload_base64\r\n";

/// Appends a line per record.
///
/// Topic, labels (a JSON object) and payload are always quoted: a payload without bytes is `""`, one that is no
/// UTF-8 is nothing at all, and stands in the last column instead.
pub(crate) fn write(rows: &Rows, out: &mut Vec<u8>) {
    // What a stream looks like is the same in each of its rows.
    let streams: Vec<Vec<u8>> = rows.streams().iter().map(|stream| stream_fields(stream)).collect();
    for (row, &stream) in rows.iter().zip(rows.stream_of()) {
        out.extend_from_slice(row.id.to_string().as_bytes());
        out.push(b',');
        out.extend_from_slice(rfc3339_ms(row.id.time_ms()).as_bytes());
        out.extend_from_slice(&streams[stream as usize]);
        if std::str::from_utf8(row.payload).is_ok() {
            push_quoted(out, row.payload);
            out.push(b',');
        } else {
            out.push(b',');
            out.extend_from_slice(STANDARD.encode(row.payload).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Topic and labels, with the commas around them.
fn stream_fields(stream: &Stream) -> Vec<u8> {
    let labels: serde_json::Map<String, serde_json::Value> =
        stream.labels().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut out = b",".to_vec();
    push_quoted(&mut out, stream.topic().as_bytes());
    out.push(b',');
    push_quoted(&mut out, serde_json::Value::from(labels).to_string().as_bytes());
    out.push(b',');
    out
}

fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for (index, part) in text.split(|&byte| byte == b'"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_record::RecordId;

    use super::*;

    #[test]
    fn every_payload_has_one_form() {
        let stream = Stream::new("a,\"b\"", [("host", "w\"1\""), ("env", "é,")]).unwrap();
        let mut rows = Rows::new();
        let number = rows.add_stream(Arc::new(stream));
        let start = r#"01HF7YAT1A0000000000000000,2023-11-14T22:13:20.042Z,"a,""b""","{""env"":""é,"",""host"":""w\""1\""""}","#;
        for (payload, end) in [
            (&b"plain"[..], "\"plain\","),
            (b"", "\"\","),
            (b"a,b", "\"a,b\","),
            (b"say \"hi\"", "\"say \"\"hi\"\"\","),
            (b"two\nlines\r\n", "\"two\nlines\r\n\","),
            ("ü✓\0".as_bytes(), "\"ü✓\0\","),
            (b"\xff\0", ",/wA="),
        ] {
            rows = Rows::from_columns(vec![], rows.streams().to_vec(), vec![], vec![], vec![]).unwrap();
            rows.push(RecordId::from_parts(1_700_000_000_042, 0), number, payload);
            let mut out = Vec::new();
            write(&rows, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{start}{end}\r\n"));
        }
    }

    #[test]
    fn the_header_names_as_many_columns_as_a_line_has() {
        assert_eq!(HEADER.split(|&byte| byte == b',').count(), 6);
    }
}
