//! Compiled plugins on disk, so that a start does not compile again what it compiled before.
//!
//! An artifact is native code: whoever can write one can do what the node can. So the directory belongs
//! to this process's user alone (mode 0700), artifacts are made here and taken from nowhere else, and
//! each carries its own SHA-256, which a flipped bit does not survive. A cache that cannot be used costs
//! time, never correctness: every failure here ends in compiling.
//!
//! File `<sha256 of the component>-<engine>.cwasm`: 8 bytes of magic, 32 bytes SHA-256 of the rest, the
//! artifact as wasmtime serializes it. The engine's part of the name covers wasmtime's version, the
//! target and every setting that code depends on. Written under another name, then renamed; not synced,
//! since a file that did not survive is compiled again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::component::Component;
use weir_record::limits::PLUGIN_ARTIFACTS_MAX;

use crate::digest::Digest;
use crate::engine::Engine;

const MAGIC: [u8; 8] = *b"weircw\0\x01";
const HEADER_BYTES: usize = MAGIC.len() + 32;
const SUFFIX: &str = ".cwasm";
const TEMPORARY: &str = ".tmp";
/// Enough of the engine's fingerprint to tell engines apart that differ by accident.
const ENGINE_DIGITS: usize = 16;

/// Where a compiled plugin came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Compiled just now.
    Compiled,
    /// Taken from the cache.
    Cached,
}

/// A directory of artifacts, or none.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: Option<PathBuf>,
}

impl Cache {
    /// The cache in `dir`, which is created. Artifacts of other engines and all but the newest
    /// [`PLUGIN_ARTIFACTS_MAX`] are deleted. Without a directory, or with one that somebody else can
    /// write to, nothing is cached, and the log says why.
    pub(crate) fn open(dir: Option<&Path>, engine: &Engine) -> Cache {
        let Some(dir) = dir else { return Cache { dir: None } };
        if let Err(error) = secure(dir) {
            tracing::warn!(dir = %dir.display(), %error, "plugins are compiled at every start: the artifact cache cannot be used");
            return Cache { dir: None };
        }
        prune(dir, engine);
        Cache { dir: Some(dir.to_owned()) }
    }

    /// The component as code: from the cache if it is there and whole, else compiled and kept.
    pub(crate) fn component(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<(Component, Origin)> {
        let path = self.dir.as_deref().map(|dir| dir.join(name(&Digest::of(wasm), engine)));
        if let Some(path) = &path
            && let Some(component) = load(engine, path)
        {
            return Ok((component, Origin::Cached));
        }
        let component = Component::from_binary(engine.wasm(), wasm)?;
        if let Some(path) = &path
            && let Err(error) =
                component.serialize().map_err(io::Error::other).and_then(|it| store(path, &it))
        {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin could not be kept");
        }
        Ok((component, Origin::Compiled))
    }
}

fn name(component: &Digest, engine: &Engine) -> String {
    format!("{component}-{:.ENGINE_DIGITS$}{SUFFIX}", engine.fingerprint())
}

fn secure(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not a directory of the user that runs weir; remove it or give another data_dir",
        ));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn load(engine: &Engine, path: &Path) -> Option<Component> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin could not be read; compiling it");
            return None;
        }
    };
    let Some(artifact) = whole(&bytes) else {
        tracing::warn!(path = %path.display(), "a compiled plugin is damaged; compiling it again");
        return None;
    };
    // SAFETY: the bytes are what `store` wrote: the directory is ours alone, which `secure` checked, and
    // the digest of exactly these bytes fits. wasmtime itself refuses another version or setting.
    #[expect(unsafe_code, reason = "the one place where native code is taken in")]
    let component = unsafe { Component::deserialize(engine.wasm(), artifact) };
    component
        .inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin does not fit; compiling it again");
        })
        .ok()
}

fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (digest, artifact) = rest.split_first_chunk()?;
    (*magic == MAGIC && Digest::of(artifact) == Digest::from_bytes(*digest)).then_some(artifact)
}

fn store(path: &Path, artifact: &[u8]) -> io::Result<()> {
    // Two processes may compile the same plugin; each writes its own file, and either is right.
    let temporary = path.with_extension(format!("{}{TEMPORARY}", std::process::id()));
    let mut file = create(&temporary)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(Digest::of(artifact).as_bytes());
    let written = file.write_all(&header).and_then(|()| file.write_all(artifact));
    // tidy: rename without a sync is right here, see above.
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // Left over at worst; pruned at the next start.
        let _ = fs::remove_file(&temporary);
    })
}

fn create(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match open() {
        // Of a process that had our number and died.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            open()
        }
        other => other,
    }
}

fn prune(dir: &Path, engine: &Engine) {
    let ours = format!("-{:.ENGINE_DIGITS$}{SUFFIX}", engine.fingerprint());
    let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let age = entry.metadata().and_then(|found| found.modified());
        match (entry.file_name().to_str(), age) {
            (Some(name), Ok(modified)) if name.ends_with(&ours) => kept.push((modified, path)),
            (Some(name), _) if [SUFFIX, TEMPORARY].iter().any(|&it| name.ends_with(it)) => remove(&path),
            _ => {}
        }
    }
    kept.sort_unstable_by(|a, b| b.cmp(a));
    kept.iter().skip(PLUGIN_ARTIFACTS_MAX).for_each(|(_, path)| remove(path));
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "an old compiled plugin stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"(component (core module (func (export \"f\"))))";

    fn wasm() -> Vec<u8> {
        wat::parse_bytes(COMPONENT).unwrap().into_owned()
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn what_was_compiled_once_is_not_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::new().unwrap();
        let cache = Cache::open(Some(&dir.path().join("artifacts")), &engine);
        assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Compiled);
        assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Cached);
        let reopened = Cache::open(Some(&dir.path().join("artifacts")), &engine);
        assert_eq!(reopened.component(&engine, &wasm()).unwrap().1, Origin::Cached);
        assert_eq!(fs::metadata(dir.path().join("artifacts")).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_damaged_artifact_is_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::new().unwrap();
        let cache = Cache::open(Some(dir.path()), &engine);
        cache.component(&engine, &wasm()).unwrap();
        let [path] = files(dir.path()).try_into().unwrap();
        let whole = fs::read(&path).unwrap();
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        };
        for bytes in [
            flipped(0),
            flipped(MAGIC.len()),
            flipped(HEADER_BYTES),
            flipped(whole.len() / 2),
            flipped(whole.len() - 1),
            whole[..whole.len() - 1].to_vec(),
            whole[..HEADER_BYTES].to_vec(),
            Vec::new(),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Compiled);
            assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Cached);
        }
    }

    #[test]
    fn artifacts_of_another_engine_are_not_used_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::new().unwrap();
        let cache = Cache::open(Some(dir.path()), &engine);
        cache.component(&engine, &wasm()).unwrap();
        let [path] = files(dir.path()).try_into().unwrap();
        let other = dir.path().join(format!("{}-{}{SUFFIX}", Digest::of(&wasm()), "0".repeat(ENGINE_DIGITS)));
        fs::rename(&path, &other).unwrap();
        fs::write(dir.path().join("x.1.tmp"), "left over").unwrap();
        fs::write(dir.path().join("README"), "not ours").unwrap();
        let cache = Cache::open(Some(dir.path()), &engine);
        assert_eq!(files(dir.path()), [dir.path().join("README")]);
        assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Compiled);
    }

    #[test]
    fn code_for_other_settings_is_refused_even_under_the_right_name() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::new().unwrap();
        let cache = Cache::open(Some(dir.path()), &engine);
        let foreign = wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(false)).unwrap();
        let artifact = foreign.precompile_component(&wasm()).unwrap();
        store(&dir.path().join(name(&Digest::of(&wasm()), &engine)), &artifact).unwrap();
        assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Compiled);
        assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Cached);
    }

    #[test]
    fn a_directory_that_cannot_be_ours_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::new().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        for name in ["file", "link"] {
            let cache = Cache::open(Some(&dir.path().join(name)), &engine);
            assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Compiled);
            assert_eq!(cache.component(&engine, &wasm()).unwrap().1, Origin::Compiled);
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Cache::open(Some(dir.path()), &engine);
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o777, 0o700);
    }
}
