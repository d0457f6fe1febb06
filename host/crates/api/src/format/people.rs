//! Records for people at a terminal: local time, topic, what was logged, coloured by its level, with what was asked for
//! marked.

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use weir_query::{Highlights, parse_piped};
use weir_record::Level;
use weir_record::limits::TERMINAL_TOPIC_CHARS_MAX;

use crate::wire::RecordLine;

/// Styles as the numbers of an ANSI sequence.
const DIM: &str = "2";
const CYAN: &str = "36";
/// What was asked for, whatever colour its line has.
const MARKED: &str = "1;7";

/// Writes records one after the other. Topics are padded to the longest one so far.
#[derive(Debug)]
pub struct People {
    highlights: Highlights,
    colored: bool,
    zone: TimeZone,
    topic_chars: usize,
}

impl People {
    /// For the answer to a query; without colour nothing is marked.
    pub fn new(query: &str, colored: bool, zone: TimeZone) -> People {
        // What the node takes exception to is told by the node.
        let highlights = parse_piped(query).map(|piped| Highlights::of(&piped.expr)).unwrap_or_default();
        People { highlights, colored, zone, topic_chars: 0 }
    }

    /// In the zone of this machine.
    pub fn local(query: &str, colored: bool) -> People {
        People::new(query, colored, TimeZone::system())
    }

    /// Appends a record. Control characters are escaped; lines of a payload behind the first stand below it.
    pub fn push(&mut self, out: &mut String, record: &RecordLine, payload: &[u8]) {
        if record.begins_group {
            self.paint(out, DIM, "--");
            out.push('\n');
        }
        let topic: String = record.topic.chars().take(TERMINAL_TOPIC_CHARS_MAX).collect();
        let chars = topic.chars().count();
        self.topic_chars = self.topic_chars.max(chars);
        let pad = self.topic_chars - chars;
        let time = self.time(&record.time);
        let indent = time.chars().count() + self.topic_chars + 3;
        self.paint(out, DIM, &time);
        out.push(' ');
        self.paint(out, CYAN, &escaped(topic.as_bytes()));
        out.extend(std::iter::repeat_n(' ', pad + 2));
        let style = if record.context { DIM } else { style_of(Level::of(payload)) };
        let spans = if self.colored { self.highlights.spans(payload) } else { Vec::new() };
        let mut start = 0;
        for line in payload.split(|byte| *byte == b'\n') {
            if start > 0 {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
            }
            self.line(out, style, payload, start..start + line.len(), &spans);
            start += line.len() + 1;
        }
        out.push('\n');
    }

    /// One line of a payload, cut where marks begin and end.
    fn line(
        &self,
        out: &mut String,
        style: &str,
        payload: &[u8],
        line: Range<usize>,
        spans: &[Range<usize>],
    ) {
        let mut at = line.start;
        for span in spans.iter().filter(|span| span.start < line.end && span.end > line.start) {
            let (start, end) = (span.start.max(at), span.end.min(line.end));
            self.paint(out, style, &escaped(&payload[at..start]));
            self.paint(out, MARKED, &escaped(&payload[start..end]));
            at = end;
        }
        self.paint(out, style, &escaped(&payload[at..line.end]));
    }

    fn time(&self, rfc3339: &str) -> String {
        let Ok(time) = rfc3339.parse::<Timestamp>() else { return escaped(rfc3339.as_bytes()) };
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
    }

    fn paint(&self, out: &mut String, style: &str, text: &str) {
        if !self.colored || style.is_empty() || text.is_empty() {
            out.push_str(text);
        } else {
            out.extend(["\x1b[", style, "m", text, "\x1b[0m"]);
        }
    }
}

fn style_of(level: Level) -> &'static str {
    match level {
        Level::Error => "31",
        Level::Warn => "33",
        Level::Debug => DIM,
        Level::Info | Level::None => "",
    }
}

/// Bytes as a terminal may have them: control characters, and what is no UTF-8, as `\xHH`; tabs stay.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\t' {
                let mut utf8 = [0; 4];
                c.encode_utf8(&mut utf8).bytes().for_each(|byte| push_hex(&mut out, byte));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| push_hex(&mut out, *byte));
    }
    out
}

fn push_hex(out: &mut String, byte: u8) {
    out.extend(["\\x", &format!("{byte:02x}")]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(topic: &str, context: bool) -> RecordLine {
        let line = format!(
            r#"{{"id":"01HF7YAT1A0000000000000000","time":"2026-03-01T10:00:00.123Z","topic":"{topic}","context":{context}}}"#
        );
        RecordLine::parse(line.as_bytes()).unwrap()
    }

    fn zone() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(2))
    }

    #[test]
    fn records_line_up_and_cannot_command_the_terminal() {
        let mut people = People::new("", false, zone());
        let mut out = String::new();
        for (topic, payload) in [
            ("a", &b"one"[..]),
            ("orders", b"first\n\tat second\x1b[2J"),
            ("b", b"\xff\xc2\x85\xc3\xa9\r"),
            (&"x".repeat(99), b""),
        ] {
            people.push(&mut out, &record(topic, false), payload);
        }
        let long = "x".repeat(TERMINAL_TOPIC_CHARS_MAX);
        assert_eq!(
            out,
            format!(
                "2026-03-01 12:00:00.123 a  one\n\
                 2026-03-01 12:00:00.123 orders  first\n\
                 {}\tat second\\x1b[2J\n\
                 2026-03-01 12:00:00.123 b       \\xff\\xc2\\x85é\\x0d\n\
                 2026-03-01 12:00:00.123 {long}  \n",
                " ".repeat(32)
            )
        );
    }

    #[test]
    fn levels_have_colours_and_what_was_asked_for_is_marked() {
        for (query, payload, context, expected) in [
            ("", "ERROR no", false, "\x1b[31mERROR no\x1b[0m"),
            ("no", "ERROR no", false, "\x1b[31mERROR \x1b[0m\x1b[1;7mno\x1b[0m"),
            ("x | sample 1", "a x", false, "a \x1b[1;7mx\x1b[0m"),
            ("x", "INFO", true, "\x1b[2mINFO\x1b[0m"),
            ("(", "INFO (", false, "INFO ("),
        ] {
            let mut out = String::new();
            People::new(query, true, zone()).push(&mut out, &record("t", context), payload.as_bytes());
            let head = "\x1b[2m2026-03-01 12:00:00.123\x1b[0m \x1b[36mt\x1b[0m  ";
            assert_eq!(out, format!("{head}{expected}\n"), "{query}");
        }
        // A mark over the end of a line goes on below it.
        let mut out = String::new();
        People::new("/b\nc/", true, zone()).push(&mut out, &record("t", false), b"ab\ncd");
        assert!(out.contains("a\x1b[1;7mb\x1b[0m\n") && out.contains("  \x1b[1;7mc\x1b[0md\n"), "{out:?}");
    }
}
