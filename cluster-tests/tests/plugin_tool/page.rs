//! The commands of `docs/PLUGINS.md`, as they are written there.

use anyhow::{Context, Result, ensure};

use super::{bash, said};

const PAGE: &str = include_str!("../../../docs/PLUGINS.md");
/// A network of its own, so that the ports of the page are free.
const ALONE: [&str; 3] = ["unshare", "--map-root-user", "--net"];

#[test]
fn from_nothing_to_a_filter_in_a_query_in_as_many_commands_as_the_page_says() -> Result<()> {
    let blocks = PAGE.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<&str> = blocks.collect();
    let commands = blocks.iter().flat_map(|block| block.lines()).filter(|line| !line.is_empty()).count();
    ensure!(PAGE.contains(&format!("In {commands} commands")), "the page has {commands} commands");
    let from = blocks.iter().position(|block| block.contains("weir run ")).context("a node is run")?;
    let (first, second) = blocks.split_at(from);

    let dir = tempfile::tempdir()?;
    let made = said(&bash(dir.path(), &[], &first.concat())?)?;
    ensure!(made.contains("2 passed, 0 failed") && made.contains("ok         order"), "{made}");
    let project = dir.path().join("error-lines");
    // The node of the page goes on until it is told to end.
    let script = format!("ip link set lo up\n{}kill %1\nwait\n", second.concat());
    let asked = bash(&project, &ALONE, &script)?;
    let lines = String::from_utf8_lossy(&asked.stdout).into_owned();
    let err = String::from_utf8_lossy(&asked.stderr);
    ensure!(lines.contains("an error here") && !lines.contains("all is fine"), "{lines}\n{err}");
    Ok(())
}
