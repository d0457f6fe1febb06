//! The rules of the house that a compiler does not know, each as a test.
//!
//! A failure names the file and line, the rule, why it is there and what to do. The rules are
//! tables in the modules below; changing one is a change of the house, with a word in
//! `docs/decisions/`.

mod edges;
mod formats;
mod page;
mod promises;
mod sources;
mod tree;

use anyhow::Result;

use self::tree::Tree;

/// Fails with every problem, not with the first.
#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problem(s)\n\n{}\n", problems.len(), problems.join("\n\n"));
}

#[test]
fn crates_depend_only_on_those_below() -> Result<()> {
    none(&edges::between_crates(&edges::packages(&Tree::read()?)?));
    Ok(())
}

#[test]
fn each_heavy_library_is_known_to_one_crate() -> Result<()> {
    none(&edges::to_libraries(&edges::packages(&Tree::read()?)?));
    Ok(())
}

#[test]
fn files_are_short_enough_to_read() -> Result<()> {
    none(&sources::long_files(&Tree::read()?));
    Ok(())
}

#[test]
fn nothing_banned_is_called_or_left_behind() -> Result<()> {
    none(&sources::bans(&Tree::read()?));
    Ok(())
}

#[test]
fn pure_crates_have_no_std() -> Result<()> {
    none(&sources::impure(&Tree::read()?));
    Ok(())
}

#[test]
fn no_file_names_the_machine_it_was_written_on() -> Result<()> {
    none(&sources::machine_paths(&Tree::read()?));
    Ok(())
}

#[test]
fn every_promise_names_a_test_that_exists() -> Result<()> {
    none(&promises::unguarded(&Tree::read()?));
    Ok(())
}

#[test]
fn the_page_on_formats_is_in_step_with_the_code() -> Result<()> {
    none(&formats::out_of_step(&Tree::read()?)?);
    Ok(())
}

#[test]
fn the_page_is_what_its_sources_give_and_small() -> Result<()> {
    let tree = Tree::read()?;
    none(&page::out_of_step(&tree)?);
    none(&page::too_large(&tree)?);
    Ok(())
}
