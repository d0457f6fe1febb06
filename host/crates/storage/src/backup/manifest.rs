//! The list of files of a snapshot, as text:
//!
//! ```text
//! weir snapshot 1
//! node 00000000000000ab
//! made 1764028800000
//! version 0.1.0
//! file <bytes> <SHA-256 in hex, or `name`> <path>
//! end <count of files> <SHA-256 of all lines above>
//! ```
//!
//! `name` stands for a segment, whose name has the digest of its footer, which has the sums of everything else.
//! Paths have `/` between their parts and are sorted; versions have no spaces.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

const HEADER: &str = "weir snapshot 1";

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) node: u64,
    pub(crate) made_ms: u64,
    pub(crate) version: String,
    pub(crate) files: Vec<Listed>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    /// Below the snapshot.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// `None`: its name says it.
    pub(crate) sha256: Option<[u8; 32]>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> String {
        let mut text =
            format!("{HEADER}\nnode {:016x}\nmade {}\nversion {}\n", self.node, self.made_ms, self.version);
        for Listed { path, bytes, sha256 } in &self.files {
            let digest = sha256.as_ref().map_or_else(|| "name".to_owned(), hex);
            let _ = writeln!(text, "file {bytes} {digest} {path}");
        }
        let digest = hex(&Sha256::digest(text.as_bytes()).into());
        let _ = writeln!(text, "end {} {digest}", self.files.len());
        text
    }

    /// The error says what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
        let body = text.trim_end_matches('\n');
        let (body, end) = body.rsplit_once('\n').ok_or("its manifest is cut off")?;
        let (count, digest) =
            end.strip_prefix("end ").and_then(|end| end.split_once(' ')).ok_or("its manifest is cut off")?;
        let hashed = hex(&Sha256::digest(format!("{body}\n").as_bytes()).into());
        if hashed != digest {
            return Err("its manifest was changed: the digest in its last line does not fit".into());
        }
        let mut lines = body.lines();
        match lines.next() {
            Some(HEADER) => {}
            first => return Err(format!("expected {HEADER:?}, got {:?}", first.unwrap_or_default())),
        }
        let mut field = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.ok_or_else(|| format!("its manifest has no line {name:?}"))
        };
        let node = u64::from_str_radix(field("node")?, 16).map_err(|_| "its node is no number")?;
        let made_ms = field("made")?.parse().map_err(|_| "its time is no number")?;
        let version = field("version")?.to_owned();
        let files =
            lines.map(listed).collect::<Option<Vec<_>>>().ok_or("a line of its manifest is no file")?;
        if count.parse() != Ok(files.len()) {
            return Err("its manifest has another number of files than it says".into());
        }
        Ok(Manifest { node, made_ms, version, files })
    }
}

fn listed(line: &str) -> Option<Listed> {
    let mut fields = line.strip_prefix("file ")?.splitn(3, ' ');
    let bytes = fields.next()?.parse().ok()?;
    let sha256 = match fields.next()? {
        "name" => None,
        digest => Some(unhex(digest)?),
    };
    let path = fields.next()?;
    // What is restored stays below the directory that was named.
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    path.split('/').all(is_plain).then(|| Listed { path: path.to_owned(), bytes, sha256 })
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |path: &str, sha256| Listed { path: path.into(), bytes: 17, sha256 };
        let files = vec![file("log/a b.log", Some([0xab; 32])), file("store/x.zst", None)];
        Manifest { node: 0xab, made_ms: 1_764_028_800_000, version: "0.1.0".into(), files }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        assert_eq!(Manifest::parse(&manifest().encode()), Ok(manifest()));
        let none = Manifest { files: Vec::new(), ..manifest() };
        assert_eq!(Manifest::parse(&none.encode()), Ok(none));
    }

    #[test]
    fn every_change_is_noticed() {
        let text = manifest().encode();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            // The newline at the end says nothing.
            let same = Manifest::parse(&changed) == Ok(manifest());
            assert!(!same || at + 1 == text.len(), "byte {at} of {text}");
        }
        for end in 0..text.len() - 1 {
            assert!(Manifest::parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
    }

    #[test]
    fn paths_stay_below() {
        for path in ["../x", "/etc/x", "log/../../x", "", "log//x", "."] {
            let file = Listed { path: path.into(), bytes: 1, sha256: None };
            let text = Manifest { files: vec![file], ..manifest() }.encode();
            assert!(Manifest::parse(&text).is_err(), "{path}");
        }
    }
}
