//! `docs/PROMISES.md` and `docs/robustness.md`: what we promise is what we test.
//!
//! Their tables have a column `test`, in which every row names at least one test between
//! backticks: `path/from/the/root.rs::name_of_the_function`.

use super::tree::Tree;

const PAGES: [&str; 2] = ["docs/PROMISES.md", "docs/robustness.md"];

/// Rows that no existing test stands behind.
pub(crate) fn unguarded(tree: &Tree) -> Vec<String> {
    PAGES.iter().flat_map(|page| unguarded_in(tree, page)).collect()
}

fn unguarded_in(tree: &Tree, path: &str) -> Vec<String> {
    let Some(page) = tree.file(path) else {
        return vec![format!("{path} is missing. It lists what weir promises, each promise with its test.")];
    };
    let problem = |number, what: &str| problem(path, number, what);
    let mut problems = Vec::new();
    let mut rows = 0;
    // The column of the table that the line belongs to.
    let mut column = None;
    for (number, line, _) in page.lines() {
        let Some(cells) = cells(line) else {
            column = None;
            continue;
        };
        if let Some(header) = cells.iter().position(|cell| *cell == "test") {
            column = Some(header);
            continue;
        }
        let Some(column) = column else { continue };
        if cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':'))) {
            continue;
        }
        rows += 1;
        let tests: Vec<&str> = cells.get(column).map_or(Vec::new(), |cell| names(cell));
        if tests.is_empty() {
            problems.push(problem(number, "this promise names no test"));
        }
        for test in tests {
            if let Err(why) = find(tree, test) {
                problems.push(problem(number, &format!("`{test}`: {why}")));
            }
        }
    }
    if rows == 0 {
        problems.push(problem(1, "there is no table with a column `test`, or it is empty"));
    }
    problems
}

fn problem(path: &str, number: usize, what: &str) -> String {
    format!(
        "{path}:{number}: {what}.\n  \
         A promise without a test is a hope, and the page is for promises.\n  \
         Name a test as `path/to/file.rs::function` in the column `test`, or take the row out."
    )
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(line.split('|').map(str::trim).collect())
}

/// What stands between backticks and looks like a test.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect()
}

fn find(tree: &Tree, test: &str) -> Result<(), String> {
    let (path, _) = test.split_once("::").ok_or("no `::` in it")?;
    let (_, function) = test.rsplit_once("::").ok_or("no `::` in it")?;
    let file = tree.file(path).ok_or_else(|| format!("there is no file {path}"))?;
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let head = format!("fn {function}(");
    let at = lines.iter().position(|line| line.contains(&head));
    let at = at.ok_or_else(|| format!("there is no function {function} in {path}"))?;
    let attributes =
        lines[..at].iter().rev().take_while(|line| line.starts_with('#') || line.starts_with("//"));
    let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    if attributes.copied().any(|line| is_test(&line)) {
        Ok(())
    } else {
        Err(format!("the function {function} in {path} is no test"))
    }
}

#[test]
fn promises_without_an_existing_test_are_found() {
    use super::tree::SourceFile;

    let code = "#[test]\n// Why.\nfn good() {}\n\nfn helper() {}\n#[tokio::test(start_paused = true)]\n\
                async fn later() {}\n";
    let head = "| # | promise | test |\n|---|---|---|\n";
    for (page, wrong) in [
        (format!("{head}| 1 | a | `a/b.rs::good`, `a/b.rs::later` |\n"), ""),
        (format!("{head}| 1 | a | `a/b.rs::tests::good` |\n"), ""),
        (format!("{head}| 1 | a | |\n"), "names no test"),
        (format!("{head}| 1 | a | some day |\n"), "names no test"),
        (format!("{head}| 1 | a | `a/c.rs::good` |\n"), "no file a/c.rs"),
        (format!("{head}| 1 | a | `a/b.rs::bad` |\n"), "no function bad"),
        (format!("{head}| 1 | a | `a/b.rs::helper` |\n"), "is no test"),
        (head.to_owned(), "it is empty"),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n".to_owned(), "no table"),
    ] {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let files = vec![file("a/b.rs", code), file(PAGES[0], &page)];
        let problems = unguarded_in(&Tree { root: "/".into(), files }, PAGES[0]).join("\n");
        assert_eq!(problems.is_empty(), wrong.is_empty(), "{page}: {problems}");
        assert!(problems.contains(wrong), "{page}: {problems}");
    }
}
