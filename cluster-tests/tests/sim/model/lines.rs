//! Lines whose words, fields and level are known, because they were made of them.

use weir_record::Level;
use weir_record::level::HEAD_BYTES;
use weir_storage::disk::sim::prng::Prng;

/// One payload, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// Names, as paths into JSON, and their values.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) level: Level,
}

/// Words of lines and of queries. None names a level where one would count.
pub(crate) const WORDS: [&str; 18] = [
    "alpha",
    "Alpha",
    "ALPHA",
    "beta",
    "gamma_9",
    "delta",
    "timeout",
    "kelvin",
    "\u{212a}elvin",
    "naïve",
    "Straße",
    "é",
    "x",
    "error",
    "42",
    "0x7f",
    "user",
    "日志",
];
/// What stands between two words.
const BETWEEN: [&str; 10] = [" ", " ", " ", " ", "-", ".", ", ", "\n", "/", "\t"];
/// Beginnings that name a level.
const HEADS: [(&str, Level); 8] = [
    ("ERROR ", Level::Error),
    ("[warn] ", Level::Warn),
    ("INFO: ", Level::Info),
    ("<15>", Level::Debug),
    ("<11>app ", Level::Error),
    ("E0102 ", Level::Error),
    ("Notice ", Level::Info),
    ("TRACE\n", Level::Debug),
];
/// Names of levels in fields.
const LEVELS: [(&str, Level); 4] =
    [("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug)];
/// Names of fields; `host` is that of a label, too, and `user.status` ends like another one.
pub(crate) const NAMES: [&str; 8] =
    ["status", "took", "msg", "host", "user.id", "user.name", "user.status", "tags"];
/// Values that are texts.
pub(crate) const TEXTS: [&str; 10] =
    ["ann", "bob", "alpha beta", "a/b", "é", "say \"hi\"", "line\nbreak", "500", "", "web1"];
/// Values that are numbers.
pub(crate) const NUMBERS: [&str; 7] = ["500", "404", "5e2", "499.9", "-3", "7", "1e3"];

pub(crate) fn one_of<T: Copy>(prng: &mut Prng, choices: &[T]) -> T {
    choices[prng.below(choices.len() as u64) as usize]
}

impl Line {
    /// A line with up to `filler_bytes` of hex digits at its end.
    pub(crate) fn draw(prng: &mut Prng, filler_bytes: u64) -> Line {
        let mut line = Line { bytes: Vec::new(), fields: Vec::new(), level: Level::None };
        if prng.once_in(12) {
            return line;
        }
        if prng.once_in(10) {
            // Too far behind to name a level.
            line.bytes.resize(HEAD_BYTES, b'.');
            line.bytes.extend_from_slice(b" ERROR ");
        } else if prng.once_in(2) {
            let (head, level) = one_of(prng, &HEADS);
            line.bytes.extend_from_slice(head.as_bytes());
            line.level = level;
        }
        match prng.below(4) {
            0 | 1 => line.prose(prng),
            2 => line.json(prng),
            _ => line.logfmt(prng),
        }
        if filler_bytes > 0 {
            line.filler(prng, filler_bytes);
        }
        line
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn prose(&mut self, prng: &mut Prng) {
        for place in 0..prng.below(6) {
            if place > 0 {
                let between = one_of(prng, &BETWEEN);
                self.text(between);
            }
            if prng.once_in(12) {
                let bytes: &[u8] = one_of(prng, &[&b"\xff\xfe"[..], b"\x80", b"\xc3", b"\0", b"\xe6\x97"]);
                self.bytes.extend_from_slice(bytes);
            }
            let word = one_of(prng, &WORDS);
            self.text(word);
        }
        if prng.once_in(8) {
            self.bytes.push(b'\n');
        }
    }

    fn filler(&mut self, prng: &mut Prng, bytes_max: u64) {
        self.text(" ");
        let until = self.bytes.len() as u64 + prng.below(bytes_max);
        while (self.bytes.len() as u64) < until {
            let word = format!("{:016x} ", prng.next_u64());
            self.text(&word);
        }
    }

    /// A level in a field counts like any other, unless it stands too far behind.
    fn level_value(&mut self, prng: &mut Prng) {
        let (name, level) = one_of(prng, &LEVELS);
        self.text(name);
        self.fields.push(("level".to_owned(), name.to_owned()));
        if self.level == Level::None && self.bytes.len() <= HEAD_BYTES {
            self.level = level;
        }
    }

    fn json(&mut self, prng: &mut Prng) {
        self.text("{");
        for place in 0..prng.below(4) {
            self.text(if place > 0 { "," } else { "" });
            if prng.once_in(4) {
                self.text("\"level\":\"");
                self.level_value(prng);
                self.text("\"");
                continue;
            }
            let name = one_of(prng, &NAMES);
            if let Some((outer, inner)) = name.split_once('.').filter(|_| prng.once_in(2)) {
                self.text(&format!("\"{outer}\":{{\"{inner}\": "));
                self.value(name, prng);
                self.text("}");
            } else {
                self.text(&format!("\"{name}\" :"));
                if name == "tags" {
                    self.text("[");
                    self.value(name, prng);
                    self.text(", ");
                    self.value(name, prng);
                    self.text("]");
                } else {
                    self.value(name, prng);
                }
            }
        }
        self.text("}");
    }

    fn value(&mut self, name: &str, prng: &mut Prng) {
        if prng.once_in(2) {
            let token = one_of(prng, &NUMBERS);
            self.text(token);
            self.fields.push((name.to_owned(), token.to_owned()));
        } else {
            self.quoted_value(name, prng);
        }
    }

    fn quoted_value(&mut self, name: &str, prng: &mut Prng) {
        let value = one_of(prng, &TEXTS);
        self.text("\"");
        for c in value.chars() {
            match c {
                '"' => self.text("\\\""),
                '\n' => self.text("\\n"),
                '/' if prng.once_in(2) => self.text("\\/"),
                'é' if prng.once_in(2) => self.text("\\u00e9"),
                c => self.text(c.encode_utf8(&mut [0; 4])),
            }
        }
        self.text("\"");
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    fn logfmt(&mut self, prng: &mut Prng) {
        if !self.bytes.last().is_none_or(u8::is_ascii_whitespace) {
            self.text(" ");
        }
        for _ in 0..prng.below(4) {
            if prng.once_in(4) {
                self.text("level=");
                self.level_value(prng);
            } else {
                let name = one_of(prng, &NAMES);
                self.text(&format!("{name}="));
                self.value(name, prng);
            }
            self.text(" ");
        }
    }
}

#[test]
fn the_levels_of_lines_are_what_weir_tells() {
    let mut prng = Prng::new(1);
    for _ in 0..20_000 {
        let line = Line::draw(&mut prng, 40);
        assert_eq!(Level::of(&line.bytes), line.level, "{}", line.bytes.escape_ascii());
    }
}
