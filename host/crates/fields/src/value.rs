//! One value of a field, where it stands in a payload.

use alloc::vec::Vec;

use crate::number::Number;
use crate::string;

/// A value. The slices begin with it and go to the end of the payload: where it ends is found only as far as
/// somebody asks.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Behind an opening quote, up to the closing one, with escapes.
    Quoted(&'a [u8]),
    /// A number or a word of JSON.
    Token(&'a [u8]),
    /// A value of logfmt without quotes, up to the next blank.
    Bare(&'a [u8]),
    /// All of a text.
    Whole(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Whether it is a text.
    pub fn is_text(&self, text: &[u8]) -> bool {
        match *self {
            Value::Quoted(bytes) => string::is(bytes, text),
            Value::Token(bytes) | Value::Bare(bytes) | Value::Whole(bytes) => {
                bytes.starts_with(text) && self.ends(&bytes[text.len()..])
            }
        }
    }

    /// Appends the text that it is, without quotes and escapes.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let rest = match *self {
            Value::Quoted(raw) => return string::decode(raw, out),
            Value::Token(bytes) | Value::Bare(bytes) | Value::Whole(bytes) => bytes,
        };
        let end = match self {
            Value::Token(_) => rest.iter().position(|byte| ends_token(*byte)),
            Value::Bare(_) => {
                let blank = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                rest[..blank]
                    .iter()
                    .rposition(|byte| !is_punctuation(*byte))
                    .map_or(Some(0), |last| Some(last + 1))
            }
            Value::Quoted(_) | Value::Whole(_) => None,
        };
        out.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
    }

    /// The number that it reads as, in quotes or not.
    pub fn number(&self) -> Option<Number<'a>> {
        let (Value::Quoted(bytes) | Value::Token(bytes) | Value::Bare(bytes) | Value::Whole(bytes)) = *self;
        Number::prefix(bytes).filter(|(_, length)| self.ends(&bytes[*length..])).map(|(number, _)| number)
    }

    /// Whether the value ends where `rest` begins.
    fn ends(&self, rest: &[u8]) -> bool {
        match self {
            Value::Quoted(_) => rest.first() == Some(&b'"'),
            Value::Token(_) => rest.first().is_some_and(|byte| ends_token(*byte)),
            // Signs of the sentence around it may belong to it or not.
            Value::Bare(_) => {
                rest.iter().find(|byte| !is_punctuation(**byte)).is_none_or(u8::is_ascii_whitespace)
            }
            Value::Whole(_) => rest.is_empty(),
        }
    }
}

/// Whether a byte behind a value without quotes may belong to the sentence around it.
fn is_punctuation(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b')' | b']' | b'}')
}

/// Whether a number or word of JSON ends before a byte.
pub(crate) fn ends_token(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}')
}
