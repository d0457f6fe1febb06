//! What is said about the mistakes of an author: what it is, where, and what to do.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{built, plugin};

/// What a command says that ends with an exit code.
fn refused(dir: &Path, args: &[&str], code: i32) -> Result<String> {
    let output = plugin(dir, args)?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(code), "{args:?}: {}: {out}{err}", output.status);
    Ok(format!("{out}{err}"))
}

#[test]
fn wrong_calls_are_told_what_would_be_right() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("text.wasm"), "(module)")?;
    std::fs::write(dir.path().join("empty.wasm"), "")?;
    std::fs::write(dir.path().join("bare.wasm"), b"\0asm\x01\0\0\0")?;
    for (args, code, words) in [
        (&["new", "filter", "Bad Name"][..], 2, "small letters, digits and hyphens"),
        (&["new", "filtre", "x"], 2, "possible values: source, filter, rewrite, aggregate"),
        (
            &["build"],
            2,
            "has no Cargo.toml, package.json or pyproject.toml: go to the folder of a plugin, or begin one with `weir plugin new`",
        ),
        (&["check"], 2, "say `weir plugin build` first"),
        (&["check", "none.wasm"], 1, "no such file"),
        (&["check", "text.wasm"], 1, "it is WebAssembly text; assemble it first"),
        (&["check", "empty.wasm"], 1, "it is empty"),
        (&["check", "bare.wasm"], 1, "no component metadata; build it with the weir plugin SDK"),
        (&["check", "grep", "--params", "{"], 2, "not JSON"),
        (&["check", "grep", "--params", r#"{"pattern":["x"]}"#], 2, "weir plugin inspect"),
        (&["run", "grep"], 2, "params.patterns: expected"),
        (&["run", "sample", "--params", r#"{"share":2}"#], 2, "params.share: expected"),
        (&["run", "where", "--params", r#"{"condition":"status>"}"#], 1, "in open: "),
        (&["run", "stdin-source"], 2, "is a source"),
        (&["test", "grep", "--cases", "."], 1, "no folder with an input.txt"),
        (&["bench", "grep", "--params", r#"{"patterns":["x"]}"#, "--input", "empty.wasm"], 2, "no lines"),
    ] {
        let said = refused(dir.path(), args, code)?;
        ensure!(said.contains(words), "{args:?}: {words}\n{said}");
    }
    Ok(())
}

/// Wrong versions, missing exports and the like, which no SDK makes, are in the tests of the runtime.
#[test]
fn mistakes_in_a_filter_are_told_with_what_to_do() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let project = built(dir.path(), "filter", "tool-mistakes")?;
    let lib = project.join("src/lib.rs");
    let source = std::fs::read_to_string(&lib)?;
    let keep = "record.payload.windows(self.text.len()).any(|part| part == self.text)";
    let held = "struct Plugin {\n    text: Vec<u8>,";
    let opened = "Ok(Plugin { text: text.into_bytes() })";
    ensure!(
        source.contains(keep) && source.contains(held) && source.contains(opened),
        "the template has changed"
    );
    // One build: which mistake it makes is a parameter.
    let evil = r#"match self.text.as_slice() {
            b"panic" => panic!("out of luck with {} bytes", record.payload.len()),
            b"loop" => loop {
                std::hint::black_box(());
            },
            b"memory" => {
                std::hint::black_box(vec![1_u8; 100 << 20]);
                true
            }
            b"remember" => {
                self.seen += 1;
                self.seen % 2 == 0
            }
            b"hint" => true,
            _ => record.payload.windows(self.text.len()).any(|part| part == self.text),
        }"#;
    let source = source
        .replace(keep, evil)
        .replace(held, "struct Plugin {\n    seen: u64,\n    text: Vec<u8>,")
        .replace(opened, "Ok(Plugin { seen: 0, text: text.into_bytes() })")
        .replace("literals: vec![vec![self.text.clone()]]", "literals: if self.text == b\"hint\" || self.text == b\"error\" { vec![vec![self.text.clone()]] } else { vec![] }");
    std::fs::write(&lib, source)?;
    super::said(&plugin(&project, &["build"])?)?;
    for (text, words) in [
        (
            "panic",
            &[
                "in matches: panicked at src/lib.rs:",
                "out of luck with ",
                "; at ",
                "filter::Running>::matches",
            ][..],
        ),
        (
            "loop",
            &[
                "in matches: took longer than 1000 ms and was interrupted; if it is right to, raise `limits.call`",
            ],
        ),
        ("memory", &["bytes of memory, its limit is 67108864; if it is right to, raise `limits.memory`"]),
        (
            "remember",
            &["wrong      instances", "nothing may be remembered of the records before", "wrong      order"],
        ),
        (
            "hint",
            &[
                "wrong      hints",
                "the hints say that what matters has a text of \"hint\", and records without it do, too",
            ],
        ),
    ] {
        let params = format!("{{\"text\":\"{text}\"}}");
        let told = refused(&project, &["check", "--params", &params], 1)?;
        for word in words {
            ensure!(told.contains(word), "{text}: {word}\n{told}");
        }
    }

    // A case that fails shows how, and blessing writes what came.
    let expected = project.join("cases/first/expected.txt");
    std::fs::write(&expected, "an error here\nsomething else\n")?;
    let told = refused(&project, &["test"], 1)?;
    ensure!(told.contains("from line 2:\n  - something else\n  + errors everywhere\n"), "{told}");
    ensure!(super::said(&plugin(&project, &["test", "--bless"])?)?.contains("blessed  first"));
    ensure!(std::fs::read_to_string(&expected)? == "an error here\nerrors everywhere\n");
    super::said(&plugin(&project, &["test"])?)?;

    // What the compiler says is shown, and no component is left to be mistaken for the new one.
    std::fs::write(&lib, "fn broken(")?;
    let told = refused(&project, &["build"], 1)?;
    ensure!(
        told.contains("src/lib.rs:1") && told.contains("tool-mistakes is not built, see above"),
        "{told}"
    );
    std::fs::write(&lib, "pub fn nothing() {}\n")?;
    let told = refused(&project, &["build"], 1)?;
    ensure!(told.contains("no component metadata; build it with the weir plugin SDK"), "{told}");
    Ok(())
}
