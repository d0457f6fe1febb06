//! `docs/FORMATS.md`: bytes on disk and on the wire do not change unnoticed.
//!
//! Above the description of a format stands a line
//! `<!-- format: path/of/its/code.rs sha256:… -->` with the digest of that file's shipped code
//! without whitespace. When the code changes, somebody reads the page again, mends it where it
//! is wrong, and sets the digest anew with `WEIR_BLESS=1`.

use std::fmt::Write as _;

use anyhow::Result;
use regex::Regex;
use sha2::{Digest as _, Sha256};

use super::tree::{SourceFile, Tree};

const PAGE: &str = "docs/FORMATS.md";

/// Files that decide what bytes look like: each must be named on the page.
const FORMATS: [&str; 44] = [
    "host/crates/record/src/codec.rs",
    "host/crates/record/src/word.rs",
    "host/crates/api/src/wire/batch.rs",
    "host/crates/api/src/auth/key.rs",
    "host/crates/api/src/auth/signature.rs",
    "host/crates/api/src/wire/peer/info.rs",
    "host/crates/api/src/wire/peer/handover.rs",
    "host/crates/api/src/wire/peer/moving.rs",
    "host/crates/api/src/wire/peer/plan.rs",
    "host/crates/api/src/wire/peer/tail.rs",
    "host/crates/api/src/wire/peer/frame.rs",
    "host/crates/api/src/wire/peer/rows.rs",
    "host/crates/api/src/wire/peer/hashes.rs",
    "host/crates/api/src/wire/peer/counts.rs",
    "host/crates/api/src/wire/peer/search.rs",
    "host/crates/api/src/wire/peer/around.rs",
    "host/crates/api/src/wire/peer/end.rs",
    "host/crates/storage/src/ingest_log/header.rs",
    "host/crates/storage/src/ingest_log/frame.rs",
    "host/crates/storage/src/ingest_log/entry.rs",
    "host/crates/storage/src/ingest_log/footer.rs",
    "host/crates/storage/src/key_file/entry.rs",
    "host/crates/segment/src/envelope.rs",
    "host/crates/segment/src/token.rs",
    "host/crates/segment/src/fuse.rs",
    "host/crates/segment/src/filter.rs",
    "host/crates/segment/src/ids.rs",
    "host/crates/segment/src/columns.rs",
    "host/crates/segment/src/pending.rs",
    "host/crates/segment/src/directory.rs",
    "host/crates/segment/src/lineage.rs",
    "host/crates/segment/src/unit.rs",
    "host/crates/segment/src/footer.rs",
    "host/crates/segment/src/name.rs",
    "host/crates/storage/src/store/watermark.rs",
    "host/crates/storage/src/backup/manifest.rs",
    "host/crates/node/src/jobs.rs",
    "host/crates/replication/src/origin_set.rs",
    "host/crates/replication/src/changes/bytes.rs",
    "host/crates/replication/src/completeness/bytes.rs",
    "host/crates/membership/src/envelope.rs",
    "host/crates/membership/src/codec.rs",
    "host/crates/membership/src/record.rs",
    "host/crates/membership/src/memory.rs",
];

/// Formats whose code has changed since the page was last looked at, or that it does not name.
pub(crate) fn out_of_step(tree: &Tree) -> Result<Vec<String>> {
    let Some(page) = tree.file(PAGE) else {
        return Ok(vec![format!("{PAGE} is missing. It describes the bytes on disk and on the wire.")]);
    };
    let marks = Regex::new(r"<!-- format: (\S+) sha256:([0-9a-f]*) -->")?;
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut blessed = page.text.clone();
    let mut problems = Vec::new();
    let mut named = Vec::new();
    for (number, line, _) in page.lines() {
        let Some(mark) = marks.captures(line) else { continue };
        let (path, old) = (&mark[1], &mark[2]);
        named.push(path.to_owned());
        let Some(file) = tree.file(path) else {
            problems.push(format!(
                "{PAGE}:{number}: there is no file {path}.\n  Name the file that has the format now."
            ));
            continue;
        };
        let new = digest(file);
        if new != old {
            blessed = blessed.replace(&mark[0], &format!("<!-- format: {path} sha256:{new} -->"));
            problems.push(format!(
                "{PAGE}:{number}: {path} has changed since this page was last read beside it.\n  \
                 Data and peers outlive the code: what the page says must be what the code does.\n  \
                 Read both, mend the page, then run the test once with WEIR_BLESS=1. The digest is now\n  \
                 sha256:{new}"
            ));
        }
    }
    for path in FORMATS.iter().filter(|path| !named.iter().any(|name| name == *path)) {
        problems.push(format!(
            "{PAGE}:1: no line names {path}.\n  \
             It decides what bytes look like, so somebody will need its description.\n  \
             Add a section with the line `<!-- format: {path} sha256: -->` above it."
        ));
    }
    if bless && blessed != page.text {
        std::fs::write(tree.root.join(PAGE), blessed)?;
        problems.retain(|problem| !problem.contains("WEIR_BLESS=1"));
    }
    Ok(problems)
}

/// SHA-256 of the code without its tests and whitespace, so that moving lines about is no change.
fn digest(file: &SourceFile) -> String {
    let mut digest = Sha256::new();
    for word in file.shipped().split_whitespace() {
        digest.update(word);
    }
    digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[test]
fn only_shipped_code_counts_for_the_digest() {
    let of = |text: &str| digest(&SourceFile { path: "host/a.rs".into(), text: text.into() });
    let code = of("fn a() { 1 }\n");
    assert_eq!(code, of("fn a() {\n    1\n}\n#[cfg(test)]\nmod tests {\n}\n"));
    assert_ne!(code, of("fn a() { 2 }\n"));
}
