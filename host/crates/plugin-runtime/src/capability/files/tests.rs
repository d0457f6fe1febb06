use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{CWD, Mode};

use super::*;
use crate::grants::FilesGrant;

struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new(files: &[&str]) -> Tree {
        let tree = Tree { dir: tempfile::tempdir().unwrap() };
        for file in files {
            tree.write(file, file);
        }
        tree
    }

    fn path(&self, name: &str) -> String {
        fs::canonicalize(self.dir.path()).unwrap().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, to: &str, name: &str) {
        symlink(to, self.path(name)).unwrap();
    }

    fn grant(&self, include: &[&str], exclude: &[&str]) -> Grant {
        let include = include.iter().map(|pattern| self.path(pattern)).collect();
        let exclude = exclude.iter().map(|&pattern| pattern.to_owned()).collect();
        Grant::new("logs", &FilesGrant { include, exclude }, Path::new("/")).unwrap()
    }

    fn scan(&self, grant: &Grant) -> Vec<String> {
        let scan = scan::scan(grant, &mut |_| {});
        let prefix = self.path("");
        scan.files.iter().map(|found| found.path.strip_prefix(&prefix).unwrap().to_owned()).collect()
    }

    /// The text of a file opened through a grant, or the code of the failure.
    fn read(&self, grant: &Grant, name: &str) -> Result<String, String> {
        let path = self.path(name);
        let opened = grant.place(&path).and_then(|place| identity::open(&place));
        let read = opened.and_then(|file| identity::read_at(&file, 0, 100));
        read.map(|bytes| String::from_utf8(bytes).unwrap())
            .map_err(|error| error.into_failure("open", name).code)
    }
}

fn code(code: &str) -> Result<String, String> {
    Err(code.to_owned())
}

#[test]
fn a_scan_finds_what_the_patterns_show_once_and_sorted() {
    let tree = Tree::new(&["b.log", "a.log", "x/c.log", "x/y/d.log", "x/skip/e.log", "a.txt", "old.1.log"]);
    fs::hard_link(tree.path("a.log"), tree.path("z.log")).unwrap();
    tree.link("b.log", "0-link.log");
    tree.link("x", "0-dir");
    tree.link(".", "x/loop");
    tree.link("nowhere", "dangling.log");
    rustix::fs::mknodat(
        CWD,
        tree.path("pipe.log"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for (include, exclude, expected) in [
        (&["*.log"][..], &["*.1.log"][..], &["a.log", "b.log"][..]),
        (&["**/*.log"], &["*.1.log", "skip"], &["a.log", "b.log", "x/c.log", "x/y/d.log"]),
        (&["x/*.log"], &[], &["x/c.log"]),
        (&["*/y/*"], &[], &["x/y/d.log"]),
        (&["a.txt", "x/**/e.log"], &[], &["a.txt", "x/skip/e.log"]),
        (&["0-*.log"], &[], &["0-link.log"]),
        (&["nothing/*.log"], &[], &[]),
    ] {
        let mut found = tree.scan(&tree.grant(include, exclude));
        // Which of two hard links comes first is the directory's choice.
        found.iter_mut().filter(|name| *name == "z.log").for_each(|name| *name = "a.log".into());
        found.sort();
        assert_eq!(found, expected, "{include:?}");
    }
}

#[test]
fn links_lead_nowhere_but_below_the_grant() {
    let outside = Tree::new(&["secret.log", "dir/secret.log"]);
    let tree = Tree::new(&["in/a.log", "in/deep/b.log", "side/c.log"]);
    tree.link(&outside.path("secret.log"), "in/out.log");
    tree.link(&outside.path("dir"), "in/outdir");
    tree.link("../side/c.log", "in/side.log");
    tree.link("deep/b.log", "in/b2.log");
    tree.link("/proc/self/environ", "in/proc.log");
    let grant = tree.grant(&["in/**/*.log"], &[]);
    assert_eq!(tree.scan(&grant), ["in/a.log", "in/deep/b.log"]);
    for (name, expected) in [
        ("in/a.log", Ok("in/a.log".to_owned())),
        ("in/b2.log", Ok("in/deep/b.log".to_owned())),
        ("in/out.log", code("files.denied")),
        ("in/side.log", code("files.denied")),
        ("in/proc.log", code("files.denied")),
        ("in/outdir/secret.log", code("files.denied")),
        ("in/../side/c.log", code("files.not-found")),
        ("in/deep/../a.log", code("files.not-found")),
        ("side/c.log", code("files.not-found")),
        ("in/none.log", code("files.not-found")),
        ("in/a.log/", code("files.not-found")),
    ] {
        assert_eq!(tree.read(&grant, name), expected, "{name}");
    }
    // With the other directory included, its files are shown too.
    let both = tree.grant(&["in/**/*.log", "side/*.log"], &[]);
    assert_eq!(tree.read(&both, "in/side.log"), Ok("side/c.log".into()));
}

#[test]
fn a_link_to_what_is_excluded_shows_nothing() {
    let tree = Tree::new(&["secret.key"]);
    tree.link("secret.key", "a.log");
    let grant = tree.grant(&["*.log"], &["*.key"]);
    assert_eq!(tree.scan(&grant), [""; 0]);
    assert_eq!(tree.read(&grant, "a.log"), code("files.not-found"));
}

#[test]
fn only_regular_files_are_opened_and_nothing_blocks() {
    let tree = Tree::new(&["dir.log/x"]);
    rustix::fs::mknodat(
        CWD,
        tree.path("pipe.log"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path("socket.log")).unwrap();
    let grant = tree.grant(&["*.log"], &[]);
    for name in ["dir.log", "pipe.log", "socket.log"] {
        assert_eq!(tree.read(&grant, name), code("files.not-regular"), "{name}");
    }
    assert_eq!(tree.scan(&grant), [""; 0]);
}

#[test]
fn an_open_file_survives_rename_and_unlink_and_the_path_tells() {
    let tree = Tree::new(&["a.log"]);
    let grant = tree.grant(&["*.log"], &[]);
    let place = || grant.place(&tree.path("a.log"));
    let file = identity::open(&place().unwrap()).unwrap();
    let before = identity::of_file(&file).unwrap();
    assert_eq!(before.id().len(), 28);
    assert_eq!(before.id(), identity::at(&place().unwrap()).unwrap().id());
    fs::rename(tree.path("a.log"), tree.path("a.log.1")).unwrap();
    assert!(place().err().is_some_and(|error| error.is_absence()));
    tree.write("a.log", "new");
    assert_ne!(identity::at(&place().unwrap()).unwrap().id(), before.id());
    fs::remove_file(tree.path("a.log.1")).unwrap();
    assert_eq!(identity::of_file(&file).unwrap().id(), before.id());
    assert_eq!(identity::read_at(&file, 0, 100).unwrap(), b"a.log");
}

#[test]
fn reads_end_at_the_end() {
    let tree = Tree::new(&[]);
    tree.write("a.log", &"x".repeat(10));
    let grant = tree.grant(&["*.log"], &[]);
    let file = identity::open(&grant.place(&tree.path("a.log")).unwrap()).unwrap();
    for (offset, max, bytes) in [(0, 4, 4), (8, 4, 2), (10, 4, 0), (99, 4, 0), (u64::MAX, 4, 0), (0, 0, 0)] {
        assert_eq!(identity::read_at(&file, offset, max).unwrap().len(), bytes, "{offset} {max}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_left_out_and_told() {
    use std::os::unix::ffi::OsStrExt as _;
    let tree = Tree::new(&["a.log"]);
    let name = std::ffi::OsStr::from_bytes(b"\xff.log");
    fs::write(fs::canonicalize(tree.dir.path()).unwrap().join(name), "x").unwrap();
    let scan = scan::scan(&tree.grant(&["*.log"], &[]), &mut |_| {});
    assert_eq!(scan.files.len(), 1);
    let lines = scan.troubles.lines("logs");
    assert!(lines.len() == 1 && lines[0].contains("not UTF-8"), "{lines:?}");
    if !rustix::process::geteuid().is_root() {
        let tree = Tree::new(&["private/a.log"]);
        fs::set_permissions(tree.path("private"), fs::Permissions::from_mode(0o000)).unwrap();
        let scan = scan::scan(&tree.grant(&["**/*.log"], &[]), &mut |_| {});
        fs::set_permissions(tree.path("private"), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(scan.troubles.lines("logs")[0].contains("private"));
    }
}

#[tokio::test]
async fn a_change_below_the_grant_is_noticed() {
    let tree = Tree::new(&["a.log", "x/b.log"]);
    let grant = tree.grant(&["**/*.log"], &[]);
    let watcher = Watcher::new().unwrap();
    let mut watching = Watching::new(Some(watcher.clone()));
    scan::scan(&grant, &mut |dir| watching.visit(dir));
    assert_eq!(watching.trouble, None);
    let changes: [&dyn Fn(); 4] = [
        &|| tree.write("a.log", "more"),
        &|| tree.write("x/new.log", "new"),
        &|| fs::rename(tree.path("a.log"), tree.path("a.log.1")).unwrap(),
        &|| fs::remove_file(tree.path("x/b.log")).unwrap(),
    ];
    for change in changes {
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(1), watcher.event()).await;
        assert!(quiet.is_err(), "nothing happened");
        change();
        watcher.event().await;
    }
}
