//! How grave a line says it is: a guess from its first bytes, for counts, histograms and queries.

use crate::word::words;

/// A level of logging. [`Level::None`] is a line that names none in its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Errors and worse.
    Error = 0,
    /// Warnings.
    Warn = 1,
    /// Information and notices.
    Info = 2,
    /// Debugging and tracing.
    Debug = 3,
    /// None is named.
    None = 4,
}

/// Number of levels, [`Level::None`] included.
pub const LEVELS: usize = 5;

/// Their names, in order.
pub const LEVEL_NAMES: [&str; LEVELS] = ["error", "warn", "info", "debug", "none"];

/// Where a level is looked for: behind time stamp, host and process in all common forms.
pub const HEAD_BYTES: usize = 96;

impl Level {
    /// The level of a payload: a syslog priority `<n>`, the letter of the glog form (`E0102 …`), or the first
    /// word that names one. Words in small letters count only right behind one of `= " [ ( < : |`, since prose
    /// has them too.
    pub fn of(payload: &[u8]) -> Level {
        let in_head = words(payload).take_while(|&(_, end)| end <= HEAD_BYTES);
        let named = |(start, end)| Level::of_word(payload, start, end);
        Level::of_prefix(payload).or_else(|| { in_head }.find_map(named)).unwrap_or(Level::None)
    }

    /// The level that a line's very first bytes name.
    #[inline]
    pub fn of_prefix(payload: &[u8]) -> Option<Level> {
        match payload {
            [b'<', rest @ ..] => {
                let end = rest.iter().take(4).position(|&byte| byte == b'>')?;
                let priority: u16 = core::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
                Some(match priority & 7 {
                    0..=3 => Level::Error,
                    4 => Level::Warn,
                    5 | 6 => Level::Info,
                    _ => Level::Debug,
                })
            }
            [letter, a, b, c, d, b' ', ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()) => {
                match letter {
                    b'E' | b'F' => Some(Level::Error),
                    b'W' => Some(Level::Warn),
                    b'I' => Some(Level::Info),
                    b'D' => Some(Level::Debug),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The level that the word `payload[start..end]` names.
    #[inline]
    pub fn of_word(payload: &[u8], start: usize, end: usize) -> Option<Level> {
        let word = &payload[start..end];
        if !(3..=9).contains(&word.len()) {
            return None;
        }
        // A quick no for nearly every word.
        let named: &[(&[u8], Level)] = match word[0] | 0x20 {
            b'e' => &[(b"error", Level::Error), (b"err", Level::Error), (b"emerg", Level::Error)],
            b'f' => &[(b"fatal", Level::Error)],
            b'c' => &[(b"critical", Level::Error), (b"crit", Level::Error)],
            b'p' => &[(b"panic", Level::Error)],
            b'a' => &[(b"alert", Level::Error)],
            b's' => &[(b"severe", Level::Error)],
            b'w' => &[(b"warn", Level::Warn), (b"warning", Level::Warn)],
            b'i' => &[(b"info", Level::Info)],
            b'n' => &[(b"notice", Level::Info)],
            b'd' => &[(b"debug", Level::Debug)],
            b't' => &[(b"trace", Level::Debug)],
            _ => return None,
        };
        let (_, level) = named.iter().find(|(name, _)| word.eq_ignore_ascii_case(name))?;
        let marked =
            start > 0 && matches!(payload[start - 1], b'=' | b'"' | b'[' | b'(' | b'<' | b':' | b'|');
        (word[0].is_ascii_uppercase() || marked).then_some(*level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_forms_are_recognised() {
        for (line, level) in [
            ("2024-01-02T03:04:05Z ERROR db: connection refused", Level::Error),
            ("time=1 level=error msg=\"no info\"", Level::Error),
            ("{\"level\":\"warn\",\"msg\":\"error\"}", Level::Warn),
            ("[info] started", Level::Info),
            ("W0102 03:04:05 file.go:1] x", Level::Warn),
            ("<11>host app: x", Level::Error),
            ("<191>host app: x", Level::Debug),
            ("Jan  2 host app[1]: an error occurred", Level::None),
            ("GET /error 200", Level::None),
            ("thread main TRACE enter", Level::Debug),
            ("Notice: x", Level::Info),
            ("<", Level::None),
            ("", Level::None),
        ] {
            assert_eq!(Level::of(line.as_bytes()), level, "{line}");
        }
    }
}
