//! A file tree with inodes, so that renaming, truncating and reusing an inode look as they do on a disk.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

use crate::failure::Failure;
use crate::files::{Entry, Identity};
use crate::limits::CAPABILITY_READ_BYTES_MAX;
use crate::testing::world::State;

/// The files of one grant. Clones speak of the same tree.
#[derive(Debug, Clone)]
pub struct Files {
    state: Rc<RefCell<State>>,
    grant: String,
}

impl Files {
    pub(crate) fn new(state: Rc<RefCell<State>>, grant: &str) -> Files {
        Files { state, grant: grant.into() }
    }

    /// Every change is a moment of its own: modification times of a real disk may be coarser.
    fn change<R>(&self, f: impl FnOnce(&mut Tree, u64) -> R) -> R {
        let mut state = self.state.borrow_mut();
        state.monotonic_ns += 1;
        let now = state.now_unix_ns();
        let Ok(tree) = state.tree(&self.grant) else { panic!("the grant {} is gone", self.grant) };
        let done = f(tree, now);
        tree.changed = tree.notifies;
        done
    }

    /// Appends to a file, making it if need be.
    pub fn append(&self, path: &str, bytes: &[u8]) {
        self.change(|tree, now| {
            let node = tree.node_or_new(path);
            let mut node = node.borrow_mut();
            node.data.extend_from_slice(bytes);
            node.modified_unix_ns = now;
        });
    }

    /// Cuts or extends (with NUL) a file, as `truncate -s` does. The file stays the same one.
    pub fn truncate(&self, path: &str, size: usize) {
        self.change(|tree, now| {
            let node = tree.node_or_new(path);
            let mut node = node.borrow_mut();
            node.data.resize(size, 0);
            node.modified_unix_ns = now;
        });
    }

    /// Truncates and writes anew, as `>` in a shell does. The file stays the same one.
    pub fn rewrite(&self, path: &str, bytes: &[u8]) {
        self.truncate(path, 0);
        self.append(path, bytes);
    }

    /// Moves a file; what stood at `to` is unlinked.
    pub fn rename(&self, from: &str, to: &str) {
        self.change(|tree, _| {
            let Some(node) = tree.paths.remove(from) else { panic!("there is no {from} to be renamed") };
            tree.paths.insert(to.into(), node);
        });
    }

    /// Copies a file into a new one.
    pub fn copy(&self, from: &str, to: &str) {
        let bytes = self.read(from);
        self.remove(to);
        self.append(to, &bytes);
    }

    /// Unlinks a file, if it is there. Open handles keep its contents.
    pub fn remove(&self, path: &str) {
        self.change(|tree, _| tree.paths.remove(path));
    }

    /// What a file holds; empty if there is none.
    pub fn read(&self, path: &str) -> Vec<u8> {
        self.change(|tree, _| tree.paths.get(path).map_or_else(Vec::new, |node| node.borrow().data.clone()))
    }

    /// From now on the grant shows only paths of which this is true.
    pub fn show_only(&self, shows: impl Fn(&str) -> bool + 'static) {
        self.change(|tree, _| tree.shows = Shows(Box::new(shows)));
    }

    /// Opening and reading this path fails with this code until it is allowed again.
    pub fn deny(&self, path: &str, denied: bool) {
        self.change(|tree, _| {
            let mut all = tree.denied.borrow_mut();
            if denied { all.insert(path.into()) } else { all.remove(path) }
        });
    }

    /// As a filesystem without times of birth that gives a free inode to the next file.
    pub fn reuse_inodes(&self) {
        self.change(|tree, _| tree.reuse_inodes = true);
    }

    /// As a filesystem without notifications: `changed` never tells anything.
    pub fn silence(&self) {
        self.change(|tree, _| tree.notifies = false);
    }

    /// Handles open now.
    pub fn open_count(&self) -> usize {
        self.state.borrow_mut().tree(&self.grant).map_or(0, |tree| tree.open_count.get())
    }
}

#[derive(Debug)]
struct Node {
    inode: u64,
    birth: u64,
    data: Vec<u8>,
    modified_unix_ns: u64,
}

struct Shows(Box<dyn Fn(&str) -> bool>);

impl std::fmt::Debug for Shows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shows")
    }
}

#[derive(Debug)]
pub(crate) struct Tree {
    grant: String,
    paths: BTreeMap<String, Rc<RefCell<Node>>>,
    /// Every file there ever was; one that cannot be reached any more has freed its inode.
    nodes: Vec<Weak<RefCell<Node>>>,
    births: u64,
    reuse_inodes: bool,
    shows: Shows,
    denied: Rc<RefCell<BTreeSet<String>>>,
    open_count: Rc<Cell<usize>>,
    notifies: bool,
    pub(crate) changed: bool,
}

impl Tree {
    pub(crate) fn new(grant: &str) -> Tree {
        Tree {
            grant: grant.into(),
            paths: BTreeMap::new(),
            nodes: Vec::new(),
            births: 0,
            reuse_inodes: false,
            shows: Shows(Box::new(|_| true)),
            denied: Rc::default(),
            open_count: Rc::default(),
            notifies: true,
            changed: true,
        }
    }

    fn node_or_new(&mut self, path: &str) -> Rc<RefCell<Node>> {
        if let Some(node) = self.paths.get(path) {
            return node.clone();
        }
        self.births += 1;
        let inode = if self.reuse_inodes { self.free_inode() } else { self.births };
        let node = Node { inode, birth: self.births, data: Vec::new(), modified_unix_ns: 0 };
        let node = Rc::new(RefCell::new(node));
        self.nodes.push(Rc::downgrade(&node));
        self.paths.insert(path.into(), node.clone());
        node
    }

    fn free_inode(&mut self) -> u64 {
        self.nodes.retain(|node| node.strong_count() > 0);
        let used: BTreeSet<u64> =
            self.nodes.iter().filter_map(Weak::upgrade).map(|node| node.borrow().inode).collect();
        (1..=self.births).find(|inode| !used.contains(inode)).unwrap_or(self.births)
    }

    fn identity(&self, node: &Node) -> Identity {
        identity(node, self.reuse_inodes)
    }

    pub(crate) fn scan(&self) -> Vec<Entry> {
        let shown = self.paths.iter().filter(|(path, _)| (self.shows.0)(path));
        shown
            .map(|(path, node)| Entry { path: path.clone(), identity: self.identity(&node.borrow()) })
            .collect()
    }

    pub(crate) fn stat_path(&self, path: &str) -> Option<Identity> {
        let node = self.paths.get(path).filter(|_| (self.shows.0)(path))?;
        Some(self.identity(&node.borrow()))
    }

    pub(crate) fn open(&mut self, path: &str) -> Result<OpenFile, Failure> {
        check_denied(&self.denied, path)?;
        let Some(node) = self.paths.get(path).filter(|_| (self.shows.0)(path)) else {
            return Err(Failure::retry("files.not-found", format_args!("there is no {path}")));
        };
        self.open_count.set(self.open_count.get() + 1);
        Ok(OpenFile {
            grant: self.grant.clone(),
            path: path.into(),
            node: node.clone(),
            reuse_inodes: self.reuse_inodes,
            denied: self.denied.clone(),
            open_count: self.open_count.clone(),
        })
    }
}

fn check_denied(denied: &RefCell<BTreeSet<String>>, path: &str) -> Result<(), Failure> {
    if denied.borrow().contains(path) {
        return Err(Failure::retry("files.denied", format_args!("{path} may not be read")));
    }
    Ok(())
}

fn identity(node: &Node, by_inode_alone: bool) -> Identity {
    let birth = if by_inode_alone { 0 } else { node.birth };
    let id = [node.inode.to_le_bytes(), birth.to_le_bytes()].concat();
    Identity { id, size: node.data.len() as u64, modified_unix_ns: node.modified_unix_ns }
}

/// A handle: keeps the file when its path is gone.
#[derive(Debug)]
pub(crate) struct OpenFile {
    grant: String,
    path: String,
    node: Rc<RefCell<Node>>,
    reuse_inodes: bool,
    denied: Rc<RefCell<BTreeSet<String>>>,
    open_count: Rc<Cell<usize>>,
}

impl OpenFile {
    pub(crate) fn grant(&self) -> &str {
        &self.grant
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn stat(&self) -> Identity {
        identity(&self.node.borrow(), self.reuse_inodes)
    }

    pub(crate) fn read_at(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        check_denied(&self.denied, &self.path)?;
        let node = self.node.borrow();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(node.data.len());
        let to = node.data.len().min(from + bytes_max.min(CAPABILITY_READ_BYTES_MAX));
        Ok(node.data[from..to].to_vec())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.open_count.set(self.open_count.get() - 1);
    }
}
