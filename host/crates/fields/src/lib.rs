//! Fields of payloads: what is found at a name, without reading more than is needed.
//!
//! A payload is text with objects of JSON and pairs of logfmt in it, in any order:
//! - A JSON object begins at a `{` that a string and a colon follow, so a line may begin with a time and a
//!   level. Members of objects within it have the path as their name, `user.id`; a key `"user.id"` is the same
//!   name. The elements of an array are several values of its name. Where it is no JSON any more, it is text
//!   again; what was read before counts. A value that is cut off is none.
//! - A pair of logfmt is a name behind the beginning, a blank, or an opening bracket, directly before a `=`.
//!   Its value is in quotes, or goes up to the next blank, and `, ; ) ] }` at its end belong to it or not.
//!   Pairs are not looked for inside of quotes that follow a `=`, and not inside of JSON.
//!
//! A name may have several values: a condition asks for any of them. Time is linear in the payload, memory is
//! none but a stack of [`DEPTH_MAX`] frames.
//!
//! Queries and plugins ask here alike, so that `status>=500` and a filter that reads `status` mean the same.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod all;
mod json;
mod number;
mod string;
mod value;

use memchr::memmem;

pub use all::visit_all;
use json::{Halt, Walk};
pub use number::{Decimal, Number};
pub use string::is_plain;
pub use value::Value;

/// How deep objects and arrays are looked into for a field. A value further down is not found.
pub const DEPTH_MAX: usize = 32;

/// Tells `visit` the values of a name in a payload, until it answers `false`.
pub fn visit<'a>(bytes: &'a [u8], name: &[u8], visit: &mut dyn FnMut(Value<'a>) -> bool) {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'=', b'{', &bytes[at..]) {
        let sign = at + found;
        at = sign + 1;
        if bytes[sign] == b'{' {
            if json::begins_object(bytes, sign) {
                match (Walk { bytes, visit: &mut *visit }).object(at, name) {
                    Ok(end) | Err(Halt::Broken(end)) => at = end,
                    Err(Halt::Enough) => return,
                }
            }
            continue;
        }
        if is_pair(bytes, sign, name)
            && let Some(value) = value_of_pair(bytes, at)
            && !visit(value)
        {
            return;
        }
        if bytes.get(at) == Some(&b'"') {
            let Some(end) = string::end(bytes, at + 1) else { return };
            at = end + 1;
        }
    }
}

/// Whether a name stands before a `=` as that of a pair does.
fn is_pair(bytes: &[u8], sign: usize, name: &[u8]) -> bool {
    let Some(before) = bytes[..sign].strip_suffix(name) else { return false };
    before.last().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b'[' | b'{'))
}

/// The value of a pair, which begins at `at`. An object is none: its members have names of their own.
fn value_of_pair(bytes: &[u8], at: usize) -> Option<Value<'_>> {
    match bytes.get(at) {
        Some(b'"') => string::end(bytes, at + 1).map(|_| Value::Quoted(&bytes[at + 1..])),
        Some(b'{') if json::begins_object(bytes, at) => None,
        _ => Some(Value::Bare(&bytes[at..])),
    }
}

/// What a payload may say of a name, told from its keys alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// The name does not occur.
    Absent,
    /// It may occur, but with no value that is wanted.
    Unwanted,
    /// Only a walk can tell.
    Unknown,
}

/// Looks at whatever looks like the last part of a name before a value, wherever it stands. Far quicker than
/// a walk, and never wrong.
#[derive(Debug)]
pub struct Key {
    finder: memmem::Finder<'static>,
}

impl Key {
    /// `None` when the name may be written in several ways.
    pub fn new(name: &str) -> Option<Key> {
        let key = last_part(name);
        let plain = !key.is_empty() && key.bytes().all(|byte| string::is_plain(byte) && byte != b' ');
        plain.then(|| Key { finder: memmem::Finder::new(key.as_bytes()).into_owned() })
    }

    /// Glances at a payload; `wanted` tells of each value whether it may be one of those that matter.
    pub fn glance(&self, bytes: &[u8], wanted: &dyn Fn(Value<'_>) -> bool) -> Glance {
        let mut glance = Glance::Absent;
        let mut at = 0;
        while let Some(found) = self.finder.find(&bytes[at..]) {
            let end = at + found + self.finder.needle().len();
            at = end;
            let value = match bytes.get(end) {
                Some(b'"') => match json::value_of(bytes, end) {
                    Some(value) => match bytes.get(value) {
                        Some(b'"') => Value::Quoted(&bytes[value + 1..]),
                        Some(b'[') => return Glance::Unknown,
                        Some(b'{') | None => continue,
                        Some(_) => Value::Token(&bytes[value..]),
                    },
                    None => continue,
                },
                Some(b'=') => match bytes.get(end + 1) {
                    Some(b'"') => Value::Quoted(&bytes[end + 2..]),
                    _ => Value::Bare(&bytes[end + 1..]),
                },
                _ => continue,
            };
            if wanted(value) {
                return Glance::Unknown;
            }
            glance = Glance::Unwanted;
        }
        glance
    }
}

/// The part of a name behind its last dot: what stands before the value in JSON and logfmt alike.
pub fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
