//! Rules about the text of source files.

use super::tree::{SourceFile, Tree};

/// More than one reads in one sitting.
const LINES_MAX: usize = 500;

/// Files that hold source code, of any language of ours.
const CODE: [&str; 6] = ["rs", "ts", "js", "toml", "wit", "sh"];

/// Crates without clock, disk, socket and global randomness.
const PURE: [&str; 4] =
    ["host/crates/record/", "host/crates/query/", "host/crates/segment/", "host/crates/replication/"];

/// Where a ban holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Everywhere,
    /// Folders of tests and test modules.
    Tests,
    /// What goes into the host's binaries.
    Host,
}

/// Something that must not be written.
struct Ban {
    needle: &'static str,
    place: Where,
    /// Paths (or their beginnings) to which it does not apply, and why not.
    but: &'static [(&'static str, &'static str)],
    why: &'static str,
    instead: &'static str,
}

/// The needles are cut in two, or this file would be the first to break its own rules.
const BANS: [Ban; 14] = [
    Ban {
        needle: concat!("TO", "DO"),
        place: Where::Everywhere,
        but: &[],
        why: "A reminder in the code is a debt that nobody is asked to pay.",
        instead: "Do it now, or open an issue and leave no trace here.",
    },
    Ban {
        needle: concat!("FIX", "ME"),
        place: Where::Everywhere,
        but: &[],
        why: "A reminder in the code is a debt that nobody is asked to pay.",
        instead: "Do it now, or open an issue and leave no trace here.",
    },
    Ban {
        needle: concat!("todo", "!("),
        place: Where::Everywhere,
        but: &[],
        why: "It is a panic that waits for a user.",
        instead: "Write the case, or make it unrepresentable.",
    },
    Ban {
        needle: concat!("unimplemented", "!("),
        place: Where::Everywhere,
        but: &[],
        why: "It is a panic that waits for a user.",
        instead: "Write the case, or return an error that says what is not supported.",
    },
    Ban {
        needle: concat!("#[", "ignore"),
        place: Where::Everywhere,
        but: &[],
        why: "A test that does not run guards nothing, and nobody sees that.",
        instead: "Make it fast enough, give it a share with WEIR_LONG, or delete it.",
    },
    Ban {
        needle: concat!("should", "_panic"),
        place: Where::Everywhere,
        but: &[],
        why: "It passes on any panic, the wrong one included.",
        instead: "Return an error and compare it.",
    },
    Ban {
        needle: concat!("::", "sleep"),
        place: Where::Tests,
        but: &[],
        why: "A sleep is too short on a busy machine and too long on every other.",
        instead: "Wait for the event: a line of output, a channel, an answer; with a limit.",
    },
    Ban {
        needle: concat!(".sync", "_data("),
        place: Where::Host,
        but: &[("host/crates/storage/", "calls its trait Disk, which the simulator stands in for")],
        why: "A sync outside storage is durable in an order that no simulated power cut has tried.",
        instead: "Go through weir-storage.",
    },
    Ban {
        needle: concat!(".sync", "_all("),
        place: Where::Host,
        but: &[
            ("host/crates/storage/", "calls its trait Disk, which the simulator stands in for"),
            ("host/crates/export/src/out_file.rs", "calls the same trait, and its tests cut the power"),
        ],
        why: "A sync outside storage is durable in an order that no simulated power cut has tried.",
        instead: "Go through weir-storage.",
    },
    Ban {
        needle: concat!("fs::", "rename"),
        place: Where::Host,
        but: &[
            ("host/crates/storage/src/disk/real.rs", "is the real disk"),
            ("host/crates/plugin-runtime/src/cache.rs", "a lost artifact is compiled again"),
        ],
        why: "A rename is durable only with the sync of its folder, which storage knows how to order.",
        instead: "Go through weir-storage.",
    },
    Ban {
        needle: concat!("fdata", "sync("),
        place: Where::Host,
        but: &[],
        why: "A sync outside storage is durable in an order that no simulated power cut has tried.",
        instead: "Go through weir-storage.",
    },
    Ban {
        needle: concat!("::f", "sync("),
        place: Where::Host,
        but: &[],
        why: "A sync outside storage is durable in an order that no simulated power cut has tried.",
        instead: "Go through weir-storage.",
    },
    Ban {
        needle: concat!("rename", "at("),
        place: Where::Host,
        but: &[],
        why: "A rename is durable only with the sync of its folder, which storage knows how to order.",
        instead: "Go through weir-storage.",
    },
    Ban {
        needle: concat!("extern crate", " std"),
        place: Where::Host,
        but: &[],
        why: "It opens clock, disk and sockets to a crate that is pure so that it can be simulated.",
        instead: "Put #[cfg(test)] above it, or pass what you need in from above.",
    },
];

/// Files that are too long.
pub(crate) fn long_files(tree: &Tree) -> Vec<String> {
    let long = |file: &SourceFile| {
        let lines = file.text.lines().count();
        (lines > LINES_MAX).then(|| {
            format!(
                "{}:{LINES_MAX}: {lines} lines, the limit is {LINES_MAX}.\n  \
                 A file is one noun, read in one sitting.\n  \
                 Find the second noun in it and give it a file of its own.",
                file.path
            )
        })
    };
    tree.with(&["rs", "ts"]).filter_map(long).collect()
}

/// Lines with something banned.
pub(crate) fn bans(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in tree.with(&CODE) {
        for ban in &BANS {
            if ban.but.iter().any(|(path, _)| file.path.starts_with(path)) {
                continue;
            }
            let mut before = "";
            for (number, line, in_tests) in file.lines() {
                let holds = match ban.place {
                    Where::Everywhere => true,
                    Where::Tests => in_tests,
                    Where::Host => !in_tests && file.path.starts_with("host/"),
                };
                // Test code lives in the same file as what it tests.
                let only_in_tests = ban.place == Where::Host && before.trim() == "#[cfg(test)]";
                if holds && !only_in_tests && has_word(line, ban.needle) {
                    problems.push(format!(
                        "{}:{number}: `{}` is banned here.\n  {}\n  {}",
                        file.path, ban.needle, ban.why, ban.instead
                    ));
                }
                before = line;
            }
        }
    }
    problems
}

/// Pure crates that are not marked as such.
pub(crate) fn impure(tree: &Tree) -> Vec<String> {
    let marked = |path: &String| {
        tree.file(path).is_some_and(|file| file.text.lines().any(|line| line == "#![no_std]"))
    };
    let roots = PURE.iter().map(|dir| format!("{dir}src/lib.rs")).filter(|path| !marked(path));
    let problem = |path| {
        format!(
            "{path}:1: `#![no_std]` is missing.\n  \
             Without std there is no clock, disk or socket to reach for, so the simulation sees \
             everything.\n  \
             Put it at the top, unconditionally; tests say `extern crate std` under #[cfg(test)]."
        )
    };
    roots.map(problem).collect()
}

/// Lines that hold a path of somebody's machine.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in &tree.files {
        for (number, line, _) in file.lines() {
            for needle in [concat!("/wo", "rk/"), concat!("/ro", "ot/")] {
                // Of a longer path or an address, such as `docs/…`, it is a part like any other.
                let at = line.find(needle);
                let alone = at.is_some_and(|at| !line[..at].ends_with(|c: char| c.is_alphanumeric()));
                if alone {
                    problems.push(format!(
                        "{}:{number}: `{needle}` is a path of one machine.\n  \
                         It means nothing on the next one.\n  \
                         Write it relative to the repository, or take it from the environment.",
                        file.path
                    ));
                }
            }
        }
    }
    problems
}

/// Whether `needle` stands in the line on its own, not within a longer name.
fn has_word(line: &str, needle: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + needle.len()..].chars().next();
        let begins = !(before.is_some_and(part) && needle.starts_with(part));
        let ends = !(after.is_some_and(part) && needle.ends_with(part));
        begins && ends
    })
}

#[test]
fn a_banned_word_is_found_on_its_own_only() {
    for (line, needle, found) in [
        ("// KEEP: later", "KEEP", true),
        ("let KEEPER = 1;", "KEEP", false),
        ("std::thread::nap(x)", "::nap", true),
        ("x::napkin()", "::nap", false),
        ("file.sink(", ".sink(", true),
    ] {
        assert_eq!(has_word(line, needle), found, "{line}");
    }
}

#[test]
fn every_ban_is_found_where_it_holds_and_nowhere_else() {
    for ban in &BANS {
        let found = |path: &str, text: String| {
            let file = SourceFile { path: path.into(), text };
            let problems = bans(&Tree { root: "/".into(), files: vec![file] });
            problems.iter().filter(|problem| problem.contains(ban.needle)).count()
        };
        let line = format!("    {} x)\n", ban.needle);
        let test = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{line}}}\n");
        let (host, tests) = match ban.place {
            Where::Everywhere => (1, 1),
            Where::Tests => (0, 1),
            Where::Host => (1, 0),
        };
        let needle = ban.needle;
        assert_eq!(found("host/src/a.rs", line.clone()), host, "{needle}");
        assert_eq!(found("host/src/a.rs", test), tests, "{needle}");
        assert_eq!(found("cluster-tests/tests/a.rs", line.clone()), tests, "{needle}");
        for (path, _) in ban.but {
            assert_eq!(found(path, line.clone()), 0, "{needle} in {path}");
        }
    }
}
