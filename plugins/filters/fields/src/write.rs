//! Fields as a record: JSON, logfmt, or the values alone.

use weir_plugin_sdk::fields::{Number, Value};
use weir_plugin_sdk::group::push_text;
use weir_plugin_sdk::serde::Deserialize;

use crate::Found;

/// How fields are written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub(crate) enum Form {
    /// An object; `null` for a field that is not there, a list for one with several values.
    #[default]
    Json,
    /// Pairs; none for a field that is not there, several for one with several values.
    Logfmt,
    /// Values between blanks; `-` for a field that is not there, commas between several values.
    Text,
}

/// Writes a record.
pub(crate) fn record(form: Form, fields: &[Found<'_>], out: &mut Vec<u8>) {
    match form {
        Form::Json => json(fields, out),
        Form::Logfmt => logfmt(fields, out),
        Form::Text => text(fields, out),
    }
}

fn json(fields: &[Found<'_>], out: &mut Vec<u8>) {
    let mut text = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        push_text(out, &field.name);
        out.push(b':');
        if field.values.is_empty() {
            out.extend_from_slice(b"null");
        }
        let is_list = field.values.len() > 1;
        for (index, value) in field.values.iter().enumerate() {
            if is_list {
                out.push(if index == 0 { b'[' } else { b',' });
            }
            text.clear();
            value.write_text(&mut text);
            let is_word = matches!(text.as_slice(), b"true" | b"false" | b"null") || is_json_number(&text);
            if is_word && matches!(value, Value::Token(_) | Value::Bare(_)) {
                out.extend_from_slice(&text);
            } else {
                push_text(out, &text);
            }
        }
        if is_list {
            out.push(b']');
        }
    }
    out.push(b'}');
}

/// Fields are read with more kinds of numbers than JSON has: no `+7`, `007`, `.5` or `5.`.
fn is_json_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let begins = match digits {
        [b'0', second, ..] => !second.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let goes_on = point.is_none_or(|point| digits.get(point + 1).is_some_and(u8::is_ascii_digit));
    begins && goes_on && Number::parse(text).is_some()
}

fn logfmt(fields: &[Found<'_>], out: &mut Vec<u8>) {
    let (mut text, mut is_first) = (Vec::new(), true);
    for field in fields {
        for value in &field.values {
            if !is_first {
                out.push(b' ');
            }
            is_first = false;
            // A name with a blank would be read as two things.
            let is_sign = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'"' | b'{');
            out.extend(field.name.iter().map(|byte| if is_sign(byte) { b'_' } else { *byte }));
            out.push(b'=');
            text.clear();
            value.write_text(&mut text);
            if is_bare(&text) { out.extend_from_slice(&text) } else { push_text(out, &text) }
        }
    }
}

/// Whether a value can stand without quotes and be read as the same.
fn is_bare(text: &[u8]) -> bool {
    let is_sign = |byte: &u8| *byte <= b' ' || matches!(byte, b'"' | b'=' | b'{' | b'\\');
    text.last().is_some_and(|last| !matches!(last, b',' | b';' | b')' | b']' | b'}'))
        && !text.iter().any(is_sign)
}

fn text(fields: &[Found<'_>], out: &mut Vec<u8>) {
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        if field.values.is_empty() {
            out.push(b'-');
        }
        for (index, value) in field.values.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            value.write_text(out);
        }
    }
}
