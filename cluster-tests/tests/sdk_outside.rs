//! A source written from the SDK's README alone, outside the workspace: it is built by the documented
//! command and runs in a real node.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use weir_cluster_tests::process::{Node, config_head, query, quoted, until};

/// The README of the SDK.
fn readme() -> Result<String> {
    Ok(std::fs::read_to_string(sdk()?.join("README.md"))?)
}

fn sdk() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk").canonicalize()?)
}

/// The README's project in `dir`, its source changed by `change`, as a component.
fn counter(dir: &Path, change: impl Fn(String) -> String) -> Result<PathBuf> {
    build(&project(dir, change)?)
}

/// The README's project in `dir`, its source changed by `change`.
fn project(dir: &Path, change: impl Fn(String) -> String) -> Result<PathBuf> {
    let (sdk, readme) = (sdk()?, readme()?);
    let project = dir.join("counter-source");
    std::fs::create_dir_all(project.join("src"))?;
    // Where the checkout lies is the reader's to say.
    let manifest =
        block(&readme, "`Cargo.toml`:", "toml")?.replace("../weir/plugin-sdk", &sdk.display().to_string());
    std::fs::write(project.join("Cargo.toml"), manifest)?;
    std::fs::write(project.join("src/lib.rs"), change(block(&readme, "`src/lib.rs`:", "rust")?))?;
    Ok(project)
}

#[test]
fn the_counter_of_the_readme_builds_outside_and_runs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let component = counter(dir.path(), |source| source)?;
    let config = dir.path().join("weir.toml");
    let text = block(&readme()?, "Name it in a `weir.toml`", "toml")?
        .replace("../counter-source/target/weir/counter-source.wasm", &component.display().to_string());
    std::fs::write(&config, config_head(dir.path()) + &text)?;

    let node = Node::start(&config)?;
    let some = "q=topic:numbers%20label.parity:even";
    until("some numbers", || query(&node, some), |answer| !answer.rows.is_empty())?;
    ensure!(node.terminate()? == 0);

    // The second process goes on behind the cursor of the first: every number once.
    let node = Node::start(&config)?;
    let answer = until("all numbers", || query(&node, "q=topic:numbers"), |answer| answer.rows.len() >= 100)?;
    let found: Vec<&str> = answer.rows.iter().filter_map(|row| row["payload"].as_str()).collect();
    let expected: Vec<String> = (1..=100).map(|number| format!("number {number}")).collect();
    ensure!(found == expected, "{found:?}");
    Ok(())
}

#[test]
fn crates_of_one_name_written_at_the_same_time_are_not_mixed_up() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ours = project(&dir.path().join("ours"), |source| source)?;
    let theirs = project(&dir.path().join("theirs"), |source| source.replace("number {", "count {"))?;
    // The sources of the second are older than what is made of the first.
    let components = [build(&ours)?, build(&theirs)?];
    let [ours, theirs] = components.map(std::fs::read);
    ensure!(ours? != theirs?, "the second crate became the component of the first");
    Ok(())
}

#[test]
fn sources_that_panic_or_loop_are_named_and_the_others_go_on() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let evil = "match (self.config.until, self.next) {
            (200, 3) => panic!(\"three is too much\"),
            (300, 3) => loop { std::hint::black_box(()) },
            _ => {}
        }
        self.due_ms = now_ms + self.config.every_ms;";
    let component =
        counter(dir.path(), |source| source.replace("self.due_ms = now_ms + self.config.every_ms;", evil))?;
    let sources: String = [("good", 100), ("panics", 200), ("loops", 300)]
        .map(|(name, until)| {
            format!("[sources.{name}]\nplugin = \"counter\"\nconfig = {{ until = {until}, every_ms = 1 }}\n")
        })
        .concat();
    let config = dir.path().join("weir.toml");
    let plugin = format!("[plugins.counter]\npath = {}\n", quoted(&component));
    std::fs::write(&config, config_head(dir.path()) + &plugin + &sources)?;

    let mut node = Node::start(&config)?;
    let panicked = node.wait_line("in poll: panicked at src/lib.rs:")?;
    ensure!(panicked.contains("source panics: plugin counter (sha256 "), "{panicked}");
    ensure!(panicked.contains("three is too much"), "{panicked}");
    let looped = node.wait_line("took longer than")?;
    ensure!(looped.contains("source loops: plugin counter (sha256 "), "{looped}");
    until("the good one", || query(&node, "q=topic:good"), |answer| answer.rows.len() == 100)?;
    for name in ["panics", "loops"] {
        // What was handed over before the trap is stored, and read once however often it starts anew.
        let answer = query(&node, &format!("q=topic:{name}"))?;
        let found: Vec<&str> = answer.rows.iter().filter_map(|row| row["payload"].as_str()).collect();
        ensure!(found == ["number 1", "number 2"], "{name}: {found:?}");
    }
    Ok(())
}

/// The first code block of a language behind a mark.
fn block(page: &str, mark: &str, language: &str) -> Result<String> {
    let (_, rest) = page.split_once(mark).with_context(|| format!("the README has no {mark}"))?;
    let (_, rest) = rest.split_once(&format!("```{language}\n")).context("no code block behind it")?;
    let (code, _) = rest.split_once("\n```").context("the code block does not end")?;
    // Lines that rustdoc hides are not part of the example.
    let shown: Vec<&str> = code.lines().filter(|line| *line != "#" && !line.starts_with("# ")).collect();
    Ok(shown.join("\n") + "\n")
}

/// `cargo xtask plugins --path …`, as the README says.
fn build(project: &Path) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = std::env::var_os("WEIR_XTASK").map_or_else(
        || {
            let mut cargo = Command::new("cargo");
            cargo.arg("xtask");
            cargo
        },
        Command::new,
    );
    let output = command.current_dir(root).args(["plugins", "--path"]).arg(project).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
