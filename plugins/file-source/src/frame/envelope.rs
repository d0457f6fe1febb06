//! What container runtimes wrap lines in.
//!
//! - Docker's `json-file`: `{"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.6Z"}`; a text without
//!   its newline goes on in the next line of the stream.
//! - CRI, what Kubernetes' runtimes write: `2026-01-02T03:04:05.6Z stdout F text`; `P` in place of `F` says that
//!   the line goes on.

use std::borrow::Cow;

use weir_plugin_sdk::serde::Deserialize;

use crate::time;

/// What lines are wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default)]
#[serde(crate = "weir_plugin_sdk::serde", rename_all = "lowercase")]
pub(crate) enum Envelope {
    /// Nothing.
    #[default]
    #[serde(rename = "lines")]
    None,
    /// Docker's `json-file`.
    Docker,
    /// CRI.
    Cri,
}

/// A line, or a piece of one, out of its envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) lane: usize,
    /// Its last byte is the last of its line.
    pub(crate) ends: bool,
    /// As the envelope has it, Unix nanoseconds.
    pub(crate) time: Option<u64>,
    pub(crate) text: Cow<'a, [u8]>,
}

/// Docker's fields; it has further ones.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde")]
struct Docker<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
}

impl Envelope {
    /// What is in it; `None` if `line` is none of this kind.
    pub(crate) fn open(self, line: &[u8]) -> Option<Line<'_>> {
        match self {
            Envelope::None => None,
            Envelope::Docker => docker(line),
            Envelope::Cri => cri(line),
        }
    }
}

fn lane(stream: &[u8]) -> Option<usize> {
    match stream {
        b"stdout" => Some(0),
        b"stderr" => Some(1),
        _ => None,
    }
}

fn docker(line: &[u8]) -> Option<Line<'_>> {
    let Docker { log, stream, time } = serde_json::from_slice(line).ok()?;
    let time = time::rfc3339(time.as_bytes());
    let lane = lane(stream.as_bytes()).unwrap_or(0);
    let ends = log.ends_with('\n');
    let text = match log {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text).as_bytes()),
        Cow::Owned(mut text) => {
            text.truncate(text.len() - usize::from(ends));
            Cow::Owned(text.into_bytes())
        }
    };
    Some(Line { lane, ends, time, text })
}

fn cri(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = time::rfc3339(parts.next()?)?;
    let lane = lane(parts.next()?)?;
    // Tags are separated by colons; the first one is the one that there is.
    let tags = parts.next()?;
    let ends = match tags.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    let text = Cow::Borrowed(parts.next().unwrap_or_default());
    Some(Line { lane, ends, time: Some(time), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_767_323_045_600_000_000;

    #[test]
    fn envelopes_are_opened_and_what_is_none_is_left_as_it_is() {
        let docker = Envelope::Docker;
        let cri = Envelope::Cri;
        let time = "2026-01-02T03:04:05.6Z";
        for (envelope, line, expected) in [
            (docker, format!(r#"{{"log":"a\n","stream":"stdout","time":"{time}"}}"#), Some((0, true, "a"))),
            (
                docker,
                format!(r#"{{"log":"a\u00e9\"\n","stream":"stderr","attrs":{{"k":"v"}},"time":"{time}"}}"#),
                Some((1, true, "aé\"")),
            ),
            (
                docker,
                format!(r#"{{"log":"half","stream":"stdout","time":"{time}"}}"#),
                Some((0, false, "half")),
            ),
            (docker, format!(r#"{{"log":"\n","stream":"stdout","time":"{time}"}}"#), Some((0, true, ""))),
            (docker, r#"{"msg":"not docker"}"#.into(), None),
            (docker, r#"{"log":"cut o"#.into(), None),
            (docker, "plain".into(), None),
            (cri, format!("{time} stdout F a b  c"), Some((0, true, "a b  c"))),
            (cri, format!("{time} stderr P half"), Some((1, false, "half"))),
            (cri, format!("{time} stderr P:x "), Some((1, false, ""))),
            (cri, format!("{time} stdout F"), Some((0, true, ""))),
            (cri, format!("{time} stdin F a"), None),
            (cri, format!("{time} stdout X a"), None),
            (cri, "plain".into(), None),
            (cri, String::new(), None),
        ] {
            let got = envelope.open(line.as_bytes());
            let got = got.as_ref().map(|l| (l.lane, l.ends, std::str::from_utf8(&l.text).unwrap(), l.time));
            assert_eq!(got, expected.map(|(lane, ends, text)| (lane, ends, text, Some(AT))), "{line}");
        }
    }
}
