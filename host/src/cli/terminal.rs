//! What a person at a terminal sees: colour, tables, and no control characters from records.

use std::io::{self, Write};

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether output of this kind gets colour.
    pub(crate) fn applies_to(self, terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

/// `text` in an ANSI style.
pub(crate) fn paint(text: &str, style: &str, colored: bool) -> String {
    if colored { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Lines up columns, two spaces apart. The last column is not padded.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>], colored: bool) -> String {
    let heading: Vec<String> = heading.iter().map(ToString::to_string).collect();
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String]| {
        let mut line = String::new();
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(cell);
            if i + 1 < row.len() {
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
        }
        line
    };
    let mut out = paint(&line(&heading), "1", colored);
    for row in rows {
        out.push('\n');
        out.push_str(&line(row));
    }
    out.push('\n');
    out
}

/// A text of somebody else inside a line of ours, without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Writes records to a terminal so that no byte of theirs can command it: control characters become `\x1b`
/// and the like; newlines and tabs stay. Chunks may end anywhere.
pub(crate) struct Escaping<W> {
    inner: W,
    /// The byte that may begin a control character of two bytes (U+0080 to U+009F) was the last one.
    half: bool,
    escaped: Vec<u8>,
}

/// First byte of U+0080 to U+00BF in UTF-8.
const LEAD: u8 = 0xc2;

impl<W: Write> Escaping<W> {
    pub(crate) fn new(inner: W) -> Escaping<W> {
        Escaping { inner, half: false, escaped: Vec::new() }
    }

    fn push(&mut self, byte: u8) {
        if std::mem::take(&mut self.half) {
            if (0x80..=0x9f).contains(&byte) {
                self.push_hex(LEAD);
                self.push_hex(byte);
                return;
            }
            self.escaped.push(LEAD);
        }
        match byte {
            LEAD => self.half = true,
            b'\n' | b'\t' | b' '..=b'~' | 0x80.. => self.escaped.push(byte),
            _ => self.push_hex(byte),
        }
    }

    fn push_hex(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.escaped.extend([b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.escaped.clear();
        for byte in bytes {
            self.push(*byte);
        }
        self.inner.write_all(&self.escaped)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_however_the_chunks_are_cut() {
        let text = "plain ü\t✓\n\u{1b}[31mred\u{7}\r\n\u{85}\u{a0}\0".as_bytes();
        let want = "plain ü\t✓\n\\x1b[31mred\\x07\\x0d\n\\xc2\\x85\u{a0}\\x00";
        for cut in 0..=text.len() {
            let mut out = Vec::new();
            let mut escaping = Escaping::new(&mut out);
            escaping.write_all(&text[..cut]).unwrap();
            escaping.write_all(&text[cut..]).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), want, "cut at {cut}");
        }
    }

    #[test]
    fn tables_line_up_by_characters() {
        let rows = [vec!["ä".to_owned(), "1".to_owned()], vec!["long".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["NAME", "N"], &rows, false), "NAME  N\nä     1\nlong  22\n");
        assert!(table(&["NAME", "N"], &rows, true).starts_with("\x1b[1mNAME  N\x1b[0m\n"));
    }
}
