//! Directories of the simulated disk: names that are only there for certain once synced.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use crate::disk::sim::prng::Prng;

/// A directory or file, by its place in the table of the disk.
pub(crate) type NodeId = usize;

/// The root directory.
pub(crate) const ROOT: NodeId = 0;

/// Names of one directory in two states at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) cached: BTreeMap<OsString, NodeId>,
    durable: BTreeMap<OsString, NodeId>,
}

/// All directories, and what was done to their names but is not yet durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    dirs: BTreeMap<NodeId, Names>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Link {
        dir: NodeId,
        name: OsString,
        node: NodeId,
    },
    Unlink {
        dir: NodeId,
        name: OsString,
    },
    /// One change, also across directories: journals of file systems keep it whole.
    Rename {
        from: (NodeId, OsString),
        to: (NodeId, OsString),
        node: NodeId,
    },
}

impl Change {
    fn touches(&self, dirs: &BTreeSet<NodeId>) -> bool {
        match self {
            Change::Link { dir, .. } | Change::Unlink { dir, .. } => dirs.contains(dir),
            Change::Rename { from, to, .. } => dirs.contains(&from.0) || dirs.contains(&to.0),
        }
    }

    fn dirs(&self) -> [NodeId; 2] {
        match self {
            Change::Link { dir, .. } | Change::Unlink { dir, .. } => [*dir, *dir],
            Change::Rename { from, to, .. } => [from.0, to.0],
        }
    }
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree { dirs: BTreeMap::from([(ROOT, Names::default())]), pending: Vec::new() }
    }

    /// The directory and the last name of a path.
    pub(crate) fn parent<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.dir(path.parent().unwrap_or(Path::new("")))?;
        Ok((dir, name))
    }

    pub(crate) fn dir(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => {
                    at = *self.names(at)?.cached.get(name).ok_or(io::ErrorKind::NotFound)?;
                }
                Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        self.names(at)?;
        Ok(at)
    }

    pub(crate) fn names(&self, dir: NodeId) -> io::Result<&Names> {
        self.dirs.get(&dir).ok_or(io::ErrorKind::NotADirectory.into())
    }

    pub(crate) fn lookup(&self, path: &Path) -> io::Result<NodeId> {
        let (dir, name) = self.parent(path)?;
        Ok(*self.names(dir)?.cached.get(name).ok_or(io::ErrorKind::NotFound)?)
    }

    /// Everything that has a name at the moment.
    pub(crate) fn linked(&self) -> impl Iterator<Item = NodeId> {
        self.dirs.values().flat_map(|names| names.cached.values().copied())
    }

    pub(crate) fn is_dir(&self, node: NodeId) -> bool {
        self.dirs.contains_key(&node)
    }

    pub(crate) fn link(&mut self, path: &Path, node: NodeId, is_dir: bool) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        if self.names(dir)?.cached.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if is_dir {
            self.dirs.insert(node, Names::default());
        }
        self.change(Change::Link { dir, name: name.to_owned(), node });
        Ok(())
    }

    pub(crate) fn unlink(&mut self, path: &Path) -> io::Result<NodeId> {
        let node = self.lookup(path)?;
        let (dir, name) = self.parent(path)?;
        self.change(Change::Unlink { dir, name: name.to_owned() });
        Ok(node)
    }

    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.lookup(from)?;
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        self.change(Change::Rename {
            from: (from_dir, from_name.to_owned()),
            to: (to_dir, to_name.to_owned()),
            node,
        });
        Ok(())
    }

    /// Makes durable what was done in a directory, and what that hangs on.
    pub(crate) fn sync(&mut self, dir: NodeId) {
        let mut dirs = BTreeSet::from([dir]);
        let mut synced = vec![false; self.pending.len()];
        for (change, synced) in self.pending.iter().zip(&mut synced).rev() {
            *synced = change.touches(&dirs);
            if *synced {
                dirs.extend(change.dirs());
            }
        }
        let mut synced = synced.into_iter();
        let (now, later) =
            std::mem::take(&mut self.pending).into_iter().partition(|_| synced.next().unwrap_or(false));
        self.pending = later;
        let now: Vec<Change> = now;
        for change in &now {
            apply(&mut self.dirs, change, false);
        }
    }

    /// The power goes: of the pending changes either a prefix or any subset is found. Returns how many
    /// were lost.
    pub(crate) fn power_cut(&mut self, prng: &mut Prng) -> u64 {
        let pending = std::mem::take(&mut self.pending);
        let in_order = prng.below(2) == 0;
        let prefix = prng.below(pending.len() as u64 + 1) as usize;
        let mut lost = 0;
        for (index, change) in pending.iter().enumerate() {
            let kept = if in_order { index < prefix } else { prng.below(2) == 0 };
            if kept {
                apply(&mut self.dirs, change, false);
            } else {
                lost += 1;
            }
        }
        for names in self.dirs.values_mut() {
            names.cached.clone_from(&names.durable);
        }
        lost
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.dirs, &change, true);
        self.pending.push(change);
    }
}

fn apply(dirs: &mut BTreeMap<NodeId, Names>, change: &Change, cached: bool) {
    let mut edit = |dir: NodeId, name: &OsString, node: Option<NodeId>| {
        let Some(names) = dirs.get_mut(&dir) else { return };
        let names = if cached { &mut names.cached } else { &mut names.durable };
        match node {
            Some(node) => names.insert(name.clone(), node),
            None => names.remove(name),
        };
    };
    match change {
        Change::Link { dir, name, node } => edit(*dir, name, Some(*node)),
        Change::Unlink { dir, name } => edit(*dir, name, None),
        Change::Rename { from, to, node } => {
            edit(from.0, &from.1, None);
            edit(to.0, &to.1, Some(*node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tree: &Tree) -> Vec<String> {
        let names = tree.names(ROOT).unwrap();
        names.cached.keys().map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_synced_directory_keeps_its_names_and_an_unsynced_one_may_lose_them() {
        let (mut lost, mut kept) = (0, 0);
        for seed in 0..100 {
            let mut tree = Tree::new();
            tree.link(Path::new("a"), 1, false).unwrap();
            tree.sync(ROOT);
            tree.link(Path::new("b"), 2, false).unwrap();
            tree.rename(Path::new("a"), Path::new("c")).unwrap();
            tree.power_cut(&mut Prng::new(seed));
            let found = found(&tree);
            assert!(found.contains(&"a".into()) != found.contains(&"c".into()), "{found:?}");
            if found.contains(&"b".into()) { kept += 1 } else { lost += 1 }
        }
        assert!(lost > 20 && kept > 20, "{lost} {kept}");
    }

    #[test]
    fn a_rename_across_directories_is_durable_with_either() {
        for synced in ["d", ""] {
            let mut tree = Tree::new();
            tree.link(Path::new("d"), 1, true).unwrap();
            tree.link(Path::new("a"), 2, false).unwrap();
            tree.rename(Path::new("a"), Path::new("d/a")).unwrap();
            let dir = tree.dir(Path::new(synced)).unwrap();
            tree.sync(dir);
            tree.power_cut(&mut Prng::new(1));
            assert_eq!((found(&tree), tree.lookup(Path::new("d/a")).unwrap()), (vec!["d".to_owned()], 2));
        }
    }
}
