//! The values at a path of a JSON object, found by walking its bytes: nothing is built, and what is not on
//! the path is skipped.

use crate::DEPTH_MAX;
use crate::string;
use crate::value::{Value, ends_token};

/// Why a walk ended before the object did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Here it is no JSON any more.
    Broken(usize),
    /// Whoever asked knows enough.
    Enough,
}

/// A walk over the object of one payload.
pub(crate) struct Walk<'a, 'v> {
    pub(crate) bytes: &'a [u8],
    /// Is told each value; `false` ends the walk.
    pub(crate) visit: &'v mut dyn FnMut(Value<'a>) -> bool,
}

/// The place behind blanks.
pub(crate) fn skip_blanks(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// Where the value of a key begins, or else what stands there instead of a colon.
pub(crate) fn behind_key(bytes: &[u8], closing_quote: usize) -> Result<usize, usize> {
    let colon = skip_blanks(bytes, closing_quote + 1);
    if bytes.get(colon) == Some(&b':') { Ok(skip_blanks(bytes, colon + 1)) } else { Err(colon) }
}

/// Where the value of a key begins whose closing quote stands at `closing_quote`.
pub(crate) fn value_of(bytes: &[u8], closing_quote: usize) -> Option<usize> {
    behind_key(bytes, closing_quote).ok()
}

/// Whether an object with a member begins at a brace.
pub(crate) fn begins_object(bytes: &[u8], brace: usize) -> bool {
    let quote = skip_blanks(bytes, brace + 1);
    bytes.get(quote) == Some(&b'"')
        && string::end(bytes, quote + 1).is_some_and(|closing| value_of(bytes, closing).is_some())
}

impl Walk<'_, '_> {
    /// Walks the members of the object whose brace stands before `at`; the place behind it.
    pub(crate) fn object(&mut self, at: usize, path: &[u8]) -> Result<usize, Halt> {
        self.members(at, path, DEPTH_MAX)
    }

    fn members(&mut self, mut at: usize, path: &[u8], depth: usize) -> Result<usize, Halt> {
        loop {
            at = skip_blanks(self.bytes, at);
            match self.bytes.get(at) {
                Some(b'}') => return Ok(at + 1),
                Some(b',') => at += 1,
                Some(b'"') => at = self.member(at + 1, path, depth)?,
                _ => return Err(Halt::Broken(at)),
            }
        }
    }

    /// A key, from behind its quote, and its value.
    fn member(&mut self, key: usize, path: &[u8], depth: usize) -> Result<usize, Halt> {
        let matched = string::as_prefix_of(&self.bytes[key..], path);
        let closing = matched.map(|(_, length)| key + length).or_else(|| string::end(self.bytes, key));
        let closing = closing.ok_or(Halt::Broken(self.bytes.len()))?;
        let at = behind_key(self.bytes, closing).map_err(Halt::Broken)?;
        match matched.map(|(used, _)| &path[used..]) {
            Some([]) => self.value(at, None, depth),
            Some([b'.', rest @ ..]) => self.value(at, Some(rest), depth),
            _ => skip(self.bytes, at),
        }
    }

    /// A value that is asked for, or within which `path` is.
    fn value(&mut self, at: usize, path: Option<&[u8]>, depth: usize) -> Result<usize, Halt> {
        match (self.bytes.get(at), path) {
            (Some(b'{'), Some(path)) if depth > 0 => self.members(at + 1, path, depth - 1),
            (Some(b'['), _) if depth > 0 => self.elements(at + 1, path, depth - 1),
            (None | Some(b'{' | b'['), _) | (_, Some(_)) => skip(self.bytes, at),
            (Some(first), None) => {
                let end = skip(self.bytes, at)?;
                let value = if *first == b'"' {
                    Value::Quoted(&self.bytes[at + 1..])
                } else {
                    Value::Token(&self.bytes[at..])
                };
                if (self.visit)(value) { Ok(end) } else { Err(Halt::Enough) }
            }
        }
    }

    /// The elements of an array: each stands for the field as if there were no array.
    fn elements(&mut self, mut at: usize, path: Option<&[u8]>, depth: usize) -> Result<usize, Halt> {
        loop {
            at = skip_blanks(self.bytes, at);
            match self.bytes.get(at) {
                Some(b']') => return Ok(at + 1),
                Some(b',') => at += 1,
                _ => at = self.value(at, path, depth)?,
            }
        }
    }
}

/// The place behind a value.
pub(crate) fn skip(bytes: &[u8], at: usize) -> Result<usize, Halt> {
    let broken = Halt::Broken(bytes.len());
    match bytes.get(at) {
        Some(b'"') => string::end(bytes, at + 1).map(|end| end + 1).ok_or(broken),
        Some(b'{' | b'[') => skip_nested(bytes, at).ok_or(broken),
        _ => {
            // One without an end may be cut off.
            let rest = bytes.get(at..).unwrap_or_default();
            match rest.iter().position(|byte| ends_token(*byte)) {
                Some(0) => Err(Halt::Broken(at)),
                Some(length) => Ok(at + length),
                None => Err(broken),
            }
        }
    }
}

/// Brackets of both kinds count alike: what is skipped need not be right. However deep, it takes no memory.
fn skip_nested(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut open = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = string::end(bytes, at + 1)?,
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open -= 1;
                if open == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}
