//! All fields of a payload, with their names.

use alloc::vec::Vec;

use crate::json::{self, Halt, behind_key, skip, skip_blanks};
use crate::value::Value;
use crate::{DEPTH_MAX, string, value_of_pair};

/// Tells `visit` each field of a payload with its name, in their order, until it answers `false`. What [`visit`] finds at
/// a name is told here under that name, but for pairs of logfmt whose name has other signs than letters, digits and
/// `_ . - @ /`: they are rather a part of an address or a text.
///
/// [`visit`]: crate::visit
pub fn visit_all<'a>(bytes: &'a [u8], visit: &mut dyn FnMut(&[u8], Value<'a>) -> bool) {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'=', b'{', &bytes[at..]) {
        let sign = at + found;
        at = sign + 1;
        if bytes[sign] == b'{' {
            if json::begins_object(bytes, sign) {
                let mut all = All { bytes, name: Vec::new(), visit: &mut *visit };
                match all.members(at, DEPTH_MAX) {
                    Ok(end) | Err(Halt::Broken(end)) => at = end,
                    Err(Halt::Enough) => return,
                }
            }
            continue;
        }
        if let Some(name) = name_before(bytes, sign)
            && let Some(value) = value_of_pair(bytes, at)
            && !visit(name, value)
        {
            return;
        }
        if bytes.get(at) == Some(&b'"') {
            let Some(end) = string::end(bytes, at + 1) else { return };
            at = end + 1;
        }
    }
}

/// The name of a pair, which ends before its `=`.
fn name_before(bytes: &[u8], sign: usize) -> Option<&[u8]> {
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/' | 0x80..);
    let before = bytes[..sign].iter().rposition(|byte| !is_name(byte));
    let name = &bytes[before.map_or(0, |before| before + 1)..sign];
    let begins = before.is_none_or(|before| {
        bytes[before].is_ascii_whitespace() || matches!(bytes[before], b'(' | b'[' | b'{')
    });
    (begins && !name.is_empty()).then_some(name)
}

/// A walk over all of an object.
struct All<'a, 'v> {
    bytes: &'a [u8],
    /// Of the value that is looked at.
    name: Vec<u8>,
    visit: &'v mut dyn FnMut(&[u8], Value<'a>) -> bool,
}

impl All<'_, '_> {
    fn members(&mut self, mut at: usize, depth: usize) -> Result<usize, Halt> {
        loop {
            at = skip_blanks(self.bytes, at);
            match self.bytes.get(at) {
                Some(b'}') => return Ok(at + 1),
                Some(b',') => at += 1,
                Some(b'"') => at = self.member(at + 1, depth)?,
                _ => return Err(Halt::Broken(at)),
            }
        }
    }

    fn member(&mut self, key: usize, depth: usize) -> Result<usize, Halt> {
        let closing = string::end(self.bytes, key).ok_or(Halt::Broken(self.bytes.len()))?;
        let at = behind_key(self.bytes, closing).map_err(Halt::Broken)?;
        let before = self.name.len();
        if before > 0 {
            self.name.push(b'.');
        }
        string::decode(&self.bytes[key..], &mut self.name);
        let end = self.value(at, depth);
        self.name.truncate(before);
        end
    }

    fn value(&mut self, at: usize, depth: usize) -> Result<usize, Halt> {
        match self.bytes.get(at) {
            Some(b'{') if depth > 0 => self.members(at + 1, depth - 1),
            Some(b'[') if depth > 0 => self.elements(at + 1, depth - 1),
            None | Some(b'{' | b'[') => skip(self.bytes, at),
            Some(first) => {
                let end = skip(self.bytes, at)?;
                let value = if *first == b'"' {
                    Value::Quoted(&self.bytes[at + 1..])
                } else {
                    Value::Token(&self.bytes[at..])
                };
                if (self.visit)(&self.name, value) { Ok(end) } else { Err(Halt::Enough) }
            }
        }
    }

    fn elements(&mut self, mut at: usize, depth: usize) -> Result<usize, Halt> {
        loop {
            at = skip_blanks(self.bytes, at);
            match self.bytes.get(at) {
                Some(b']') => return Ok(at + 1),
                Some(b',') => at += 1,
                _ => at = self.value(at, depth)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn shown(payload: &str) -> Vec<String> {
        let mut shown = Vec::new();
        visit_all(payload.as_bytes(), &mut |name, value| {
            let mut text = Vec::new();
            value.write_text(&mut text);
            shown.push(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(&text)));
            // And each is found by its name.
            let mut found = false;
            crate::visit(payload.as_bytes(), name, &mut |value| {
                found |= value.is_text(&text);
                true
            });
            assert!(found, "{payload}");
            true
        });
        shown
    }

    #[test]
    fn all_fields_are_told_with_their_names() {
        for (payload, expected) in [
            (
                r#"x {"a":1,"b":{"c":"\"d","e":[true,{"f":null}]},"g":{}} h=i"#,
                &["a=1", "b.c=\"d", "b.e=true", "b.e.f=null", "h=i"][..],
            ),
            (r#"(a=1, b="c d=e" f= http://x?g=h) i={"j":2}"#, &["a=1", "b=c d=e", "f=", "j=2"]),
            (r#"{"a":1,"b" 2} c=3"#, &["a=1", "c=3"]),
            (r#"{"a":1,"b":2"#, &["a=1"]),
            ("no fields", &[]),
        ] {
            assert_eq!(shown(payload), expected, "{payload}");
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        assert_eq!(shown(&deep), [""; 0]);
    }
}
