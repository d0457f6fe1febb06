//! Names of pieces: `<epoch, 16 hex digits>-<number, at least 8 digits>`, then the state.
//!
//! `.active`: being written, or left so by a crash: its tail may be torn.
//! `.log`: complete, it ends with a footer and never changes again.

use std::fmt;

const ACTIVE: &str = "active";
const COMPLETE: &str = "log";

/// Whether a piece may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// `.log`.
    Complete,
    /// `.active`.
    Active,
}

/// Ordered as written: numbers count up over all epochs of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PieceName {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) state: State,
}

impl PieceName {
    pub(crate) fn parse(name: &str) -> Option<PieceName> {
        let (identity, extension) = name.split_once('.')?;
        let (epoch, number) = identity.split_once('-')?;
        let state = match extension {
            ACTIVE => State::Active,
            COMPLETE => State::Complete,
            _ => return None,
        };
        let hex = epoch.len() == 16 && epoch.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        let decimal = number.len() >= 8 && number.bytes().all(|c| c.is_ascii_digit());
        if !hex || !decimal {
            return None;
        }
        let parsed = PieceName {
            number: number.parse().ok().filter(|number| *number < u64::MAX)?,
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            state,
        };
        // One piece, one name: leading zeros beyond eight digits are not ours.
        (parsed.to_string() == name).then_some(parsed)
    }

    pub(crate) fn completed(self) -> PieceName {
        PieceName { state: State::Complete, ..self }
    }
}

impl fmt::Display for PieceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extension = match self.state {
            State::Active => ACTIVE,
            State::Complete => COMPLETE,
        };
        write!(f, "{:016x}-{:08}.{extension}", self.epoch, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_sort_by_number() {
        for name in ["00000000000000ab-00000007.log", "ffffffffffffffff-123456789.active"] {
            assert_eq!(PieceName::parse(name).unwrap().to_string(), name);
        }
        let early = PieceName::parse("ff00000000000000-00000001.log").unwrap();
        assert!(early < PieceName::parse("0000000000000001-00000002.log").unwrap());
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in [
            "",
            "x",
            "00000000000000ab-0000007.log",
            "00000000000000ab-000000007.log",
            "00000000000000AB-00000007.log",
            "0000000000000ab-00000007.log",
            "00000000000000ab-00000007",
            "00000000000000ab-00000007.log.gz",
            "00000000000000ab-+0000007.log",
            "00000000000000ab-99999999999999999999.log",
        ] {
            assert_eq!(PieceName::parse(name), None, "{name}");
        }
    }
}
