//! What lines are searched for, in the language of each who is asked.

/// A condition on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Every line.
    All,
    /// A whole word.
    Word(&'static str),
    /// These bytes, wherever they stand. Letters and digits only, so that nothing has to be escaped.
    Bytes(&'static str),
    /// A regular expression without slashes and backticks, which delimit it in some languages.
    Regex(&'static str),
}

impl Pattern {
    /// For weir.
    pub(super) fn weir(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Word(word) => word.to_owned(),
            Self::Bytes(bytes) => format!("\"{bytes}\""),
            Self::Regex(regex) => format!("/{regex}/"),
        }
    }

    /// The arguments of ripgrep.
    pub(super) fn rg(self) -> Vec<&'static str> {
        match self {
            Self::All => vec!["-F", "-e", ""],
            Self::Word(word) => vec!["-w", "-F", "-e", word],
            Self::Bytes(bytes) => vec!["-F", "-e", bytes],
            Self::Regex(regex) => vec!["-e", regex],
        }
    }

    /// A filter of LogsQL on the message.
    pub(super) fn logsql(self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Word(word) => format!("\"{word}\""),
            Self::Bytes(bytes) => format!("~\"{bytes}\""),
            Self::Regex(regex) => format!("~`{regex}`"),
        }
    }

    /// A filter of LogQL, to stand behind a selector. It knows no words: bytes are what it finds fastest.
    pub(super) fn logql(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Word(text) | Self::Bytes(text) => format!(" |= `{text}`"),
            Self::Regex(regex) => format!(" |~ `{regex}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_said_in_every_language() {
        for (pattern, weir, rg, logsql, logql) in [
            (Pattern::All, "", "-F -e ", "*", ""),
            (Pattern::Word("a"), "a", "-w -F -e a", "\"a\"", " |= `a`"),
            (Pattern::Bytes("a"), "\"a\"", "-F -e a", "~\"a\"", " |= `a`"),
            (Pattern::Regex(r"a\d"), r"/a\d/", r"-e a\d", r"~`a\d`", r" |~ `a\d`"),
        ] {
            assert_eq!(pattern.weir(), weir);
            assert_eq!(pattern.rg().join(" "), rg);
            assert_eq!(pattern.logsql(), logsql);
            assert_eq!(pattern.logql(), logql);
        }
    }
}
