//! Lines as strings of JSON.

/// Appends the line between quotes.
pub(super) fn quote(line: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in line {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_escapes_is_escaped() {
        let mut out = Vec::new();
        quote(b"a\"b\\c\td\x01", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#""a\"b\\c\td\u0001""#);
    }
}
