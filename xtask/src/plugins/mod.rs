//! Builds plugins: crate → core module for wasm → component.
//!
//! The host's own build embeds what this leaves in `target/plugins/`. The guests have a target
//! folder of their own, so that neither build disturbs the other's cache.

mod component;
mod stamp;
mod toolchain;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::args;
use crate::plugins::stamp::Stamp;
use crate::plugins::toolchain::{TARGET, Toolchain};
use crate::proc;
use crate::steps::Steps;
use crate::workspace::{Crate, Workspace};

/// The cargo profile of guests.
const PROFILE: &str = "guest";

/// What is in it: small, and a panic is a trap. Said here and not in a manifest, so that crates
/// outside the workspace get the same and std for wasm is compiled once for all of them.
const PROFILE_SETTINGS: [&str; 7] = [
    "profile.guest.inherits='release'",
    "profile.guest.opt-level=3",
    "profile.guest.lto=true",
    "profile.guest.codegen-units=1",
    "profile.guest.panic='abort'",
    "profile.guest.debug=false",
    "profile.guest.strip='debuginfo'",
];

/// `cargo xtask plugins`.
pub(crate) fn run(workspace: &Workspace, options: &args::Plugins) -> anyhow::Result<()> {
    match &options.path {
        Some(dir) => {
            let component = outside(workspace, dir, options.toolchain)?;
            println!("{}", component.display());
        }
        None => {
            for component in all(workspace, options.toolchain)? {
                println!("{}", component.display());
            }
        }
    }
    Ok(())
}

/// Builds every plugin of the workspace. Costs a few hashes when nothing has changed.
pub(crate) fn all(
    workspace: &Workspace,
    forced: Option<args::ToolchainName>,
) -> anyhow::Result<Vec<PathBuf>> {
    let guests = workspace.guests()?;
    let components: Vec<PathBuf> =
        guests.iter().map(|guest| workspace.components.join(format!("{}.wasm", guest.name))).collect();

    // Looked at before anything is said: an unchanged tree stays silent.
    if let Some(toolchain) = Toolchain::at_hand(workspace, forced)?
        && Stamp::of(workspace, &toolchain)?.holds(workspace, &components)
    {
        eprintln!("plugins: {} up to date", count(guests.len()));
        return Ok(components);
    }

    let mut steps = Steps::new("plugins", 3);
    let toolchain = steps.run("toolchain for wasm", || Toolchain::choose(workspace, forced))?;
    let _turn = turn(workspace)?;
    // Taken before the build: a file that changes during it makes the next run build again.
    let stamp = Stamp::of(workspace, &toolchain)?;
    let what = format!("compile {}{}", count(guests.len()), std_note(workspace, &toolchain));
    steps.run(&what, || guests.iter().try_for_each(|guest| compile(workspace, &toolchain, guest)))?;
    steps.run("make components of the modules", || {
        std::fs::create_dir_all(&workspace.components)?;
        remove_strangers(workspace, &components)?;
        for (guest, component) in guests.iter().zip(&components) {
            component::write(&module_of(workspace, guest), component)?;
        }
        stamp.save(workspace, &components)
    })?;
    Ok(components)
}

/// Builds one plugin crate that need not lie in this repository, and returns its component:
/// `target/weir/<name>.wasm` below the crate.
pub(crate) fn outside(
    workspace: &Workspace,
    dir: &Path,
    forced: Option<args::ToolchainName>,
) -> anyhow::Result<PathBuf> {
    let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    let guest = Crate::read(&dir)?;
    let component = dir.join("target/weir").join(format!("{}.wasm", guest.name));

    let mut steps = Steps::new("plugins", 3);
    let toolchain = steps.run("toolchain for wasm", || Toolchain::choose(workspace, forced))?;
    let what = format!("compile {}{}", guest.name, std_note(workspace, &toolchain));
    let _turn = turn(workspace)?;
    forget_namesake(workspace, &guest)?;
    steps.run(&what, || compile(workspace, &toolchain, &guest))?;
    steps.run("make a component of the module", || {
        std::fs::create_dir_all(dir.join("target/weir"))?;
        component::write(&module_of(workspace, &guest), &component)
    })?;
    Ok(component)
}

/// Held from the compilation to the component: crates of one name leave their modules in one place, and another
/// process may be compiling such a crate, too.
fn turn(workspace: &Workspace) -> anyhow::Result<File> {
    let path = workspace.guest_target.join("plugins.lock");
    let locked = std::fs::create_dir_all(&workspace.guest_target)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .and_then(|file| file.lock().map(|()| file));
    locked.with_context(|| format!("lock {}", path.display()))
}

/// Makes cargo compile a crate again when the last one of its name lay elsewhere. Cargo tells crates apart by their
/// place within their workspace, and what is fresh by times of files: to it, two crates of one name whose sources
/// were written at the same time are one.
fn forget_namesake(workspace: &Workspace, guest: &Crate) -> anyhow::Result<()> {
    let note = workspace.guest_target.join(format!("{}.dir", guest.name));
    let dir = guest.dir.to_string_lossy();
    if std::fs::read_to_string(&note).is_ok_and(|last| last == dir) {
        return Ok(());
    }
    let fingerprints = workspace.guest_target.join(TARGET).join(PROFILE).join(".fingerprint");
    let prefix = format!("{}-", guest.name);
    for entry in std::fs::read_dir(&fingerprints).into_iter().flatten() {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_dir_all(entry.path())
                .with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    std::fs::write(&note, &*dir).with_context(|| format!("write {}", note.display()))
}

/// Compiles the crate to a core module.
fn compile(workspace: &Workspace, toolchain: &Toolchain, guest: &Crate) -> anyhow::Result<()> {
    let mut cargo = toolchain.cargo();
    // A guest is an `rlib` too, for its tests on the host. Here it must not be: cargo optimises
    // across crates only where no `rlib` is asked for.
    cargo.args(["rustc", "--lib", "--crate-type", "cdylib", "--target", TARGET, "--profile", PROFILE]);
    cargo.arg("--target-dir").arg(&workspace.guest_target).args(toolchain.build_std());
    for setting in PROFILE_SETTINGS {
        cargo.args(["--config", setting]);
    }
    proc::run(cargo.current_dir(&guest.dir))
}

fn module_of(workspace: &Workspace, guest: &Crate) -> PathBuf {
    workspace.guest_target.join(TARGET).join(PROFILE).join(guest.module_file())
}

/// Components of plugins that are gone would be embedded for ever.
fn remove_strangers(workspace: &Workspace, components: &[PathBuf]) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(&workspace.components)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") && !components.contains(&path) {
            std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Warns of the one slow part, where it lies ahead.
fn std_note(workspace: &Workspace, toolchain: &Toolchain) -> &'static str {
    let deps = workspace.guest_target.join(TARGET).join(PROFILE).join("deps");
    let has_std = std::fs::read_dir(deps).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    });
    if toolchain.build_std().is_empty() || has_std { "" } else { " and std for wasm, about 90 s, once" }
}

fn count(guests: usize) -> String {
    if guests == 1 { "1 plugin".to_owned() } else { format!("{guests} plugins") }
}

/// The toolchain that the environment asks for, where the command line does not.
fn from_environment() -> anyhow::Result<Option<args::ToolchainName>> {
    match std::env::var("WEIR_WASM_TOOLCHAIN") {
        Ok(name) if !name.is_empty() => match args::toolchain(&name) {
            Ok(toolchain) => Ok(Some(toolchain)),
            Err(error) => bail!("WEIR_WASM_TOOLCHAIN: {error}"),
        },
        _ => Ok(None),
    }
}
