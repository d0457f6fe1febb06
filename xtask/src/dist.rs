//! `cargo xtask dist`: what others install. A tar archive, a Debian package, and what an image is built of.
//!
//! Nothing in them says when or by whom they were made: the same tree and binary give the same bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::args;
use crate::build;
use crate::proc;
use crate::steps::Steps;
use crate::workspace::Workspace;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What goes where on a Debian system, beside what the binary writes itself: below the repository, below `/`, mode.
const FILES: [(&str, &str, u32); 10] = [
    ("host/packaging/systemd/weir.service", "usr/lib/systemd/system/weir.service", 0o644),
    ("host/packaging/weir.toml", "etc/weir/weir.toml", 0o640),
    ("host/packaging/debian/default", "etc/default/weir", 0o644),
    ("host/packaging/debian/copyright", "usr/share/doc/weir/copyright", 0o644),
    ("docs/OPERATIONS.md", "usr/share/doc/weir/OPERATIONS.md", 0o644),
    ("docs/CONFIGURATION.md", "usr/share/doc/weir/CONFIGURATION.md", 0o644),
    ("docs/TROUBLESHOOTING.md", "usr/share/doc/weir/TROUBLESHOOTING.md", 0o644),
    ("docs/prometheus/alerts.yml", "usr/share/doc/weir/prometheus/alerts.yml", 0o644),
    ("docs/prometheus/recording.yml", "usr/share/doc/weir/prometheus/recording.yml", 0o644),
    ("docs/grafana/weir.json", "usr/share/doc/weir/grafana/weir.json", 0o644),
];

/// What lies in the archive beside the binary.
const ARCHIVED: [&str; 6] = [
    "README.md",
    "LICENSE",
    "docs",
    "host/packaging/systemd",
    "host/packaging/docker",
    "host/packaging/kubernetes",
];

/// Scripts of the package.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Builds, and makes everything in `target/dist/` or where the options say.
pub(crate) fn run(workspace: &Workspace, options: &args::Dist) -> anyhow::Result<()> {
    let weir = match &options.weir {
        Some(weir) => weir.clone(),
        None => build::release(workspace)?,
    };
    let to = options.to.clone().unwrap_or_else(|| workspace.root.join("target/dist"));
    // Somebody's own binary is for trying things out: quick counts more than small.
    let dist = Dist { workspace, weir, to, level: if options.weir.is_some() { 1 } else { 9 } };
    let mut steps = Steps::new("dist", 3);
    if dist.to.exists() {
        fs::remove_dir_all(&dist.to).with_context(|| format!("empty {}", dist.to.display()))?;
    }
    fs::create_dir_all(&dist.to).with_context(|| format!("make {}", dist.to.display()))?;
    let archive = steps.run("tar archive", || dist.archive())?;
    let package = steps.run("Debian package", || dist.package())?;
    steps.run("files of the image, checksums", || dist.rest(&[&archive, &package]))?;
    for path in [&archive, &package] {
        println!("{}", path.display());
    }
    Ok(())
}

struct Dist<'a> {
    workspace: &'a Workspace,
    weir: PathBuf,
    to: PathBuf,
    level: u32,
}

impl Dist<'_> {
    fn archive(&self) -> anyhow::Result<PathBuf> {
        let name = format!("weir-{VERSION}-linux-{}", std::env::consts::ARCH);
        let stage = self.to.join(&name);
        put(&self.weir, &stage.join("weir"), 0o755)?;
        put(&self.at("host/packaging/weir.toml"), &stage.join("weir.toml"), 0o644)?;
        for path in ARCHIVED {
            let to = stage.join(path.strip_prefix("host/").unwrap_or(path));
            copy_tree(&self.at(path), &to)?;
        }
        let archive = self.to.join(format!("{name}.tar.gz"));
        let gzip = format!("gzip -n -{}", self.level);
        let mut tar = Command::new("tar");
        tar.current_dir(&self.to)
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"])
            .args(["--use-compress-program", &gzip, "-cf"])
            .arg(&archive)
            .arg(&name);
        proc::run(&mut tar)?;
        fs::remove_dir_all(&stage)?;
        Ok(archive)
    }

    fn package(&self) -> anyhow::Result<PathBuf> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => {
                bail!("no name of Debian's is known for the processor {other}; add it to xtask/src/dist.rs")
            }
        };
        let stage = self.to.join("stage");
        for (from, to, mode) in FILES {
            put(&self.at(from), &stage.join(to), mode)?;
        }
        put(&self.weir, &stage.join("usr/bin/weir"), 0o755)?;
        fs::create_dir_all(stage.join("etc/weir/conf.d"))?;
        self.written_by_weir(&stage)?;
        let changelog = format!(
            "weir ({VERSION}) unstable; urgency=medium\n\n  * See the history of the repository.\n\n -- The weir authors <weir@localhost>  Thu, 01 Jan 1970 00:00:00 +0000\n"
        );
        write(&stage.join("usr/share/doc/weir/changelog"), changelog.as_bytes(), 0o644)?;
        zipped(&stage.join("usr/share/doc/weir/changelog"))?;

        let control = fs::read_to_string(self.at("host/packaging/debian/control"))?;
        let installed_kib = bytes_below(&stage)?.div_ceil(1024);
        let control = control
            .replace("@VERSION@", VERSION)
            .replace("@ARCHITECTURE@", architecture)
            .replace("@INSTALLED_KIB@", &installed_kib.to_string());
        write(&stage.join("DEBIAN/control"), control.as_bytes(), 0o644)?;
        put(&self.at("host/packaging/debian/conffiles"), &stage.join("DEBIAN/conffiles"), 0o644)?;
        for script in SCRIPTS {
            put(
                &self.at(&format!("host/packaging/debian/{script}")),
                &stage.join("DEBIAN").join(script),
                0o755,
            )?;
        }
        let sums = "find usr -type f | LC_ALL=C sort | xargs -d '\\n' md5sum > DEBIAN/md5sums";
        proc::run(Command::new("sh").current_dir(&stage).args(["-c", sums]))?;
        // Whoever builds it may have another umask.
        proc::run(
            Command::new("find").arg(&stage).args(["-type", "d", "-exec", "chmod", "0755", "{}", "+"]),
        )?;
        let package = self.to.join(format!("weir_{VERSION}_{architecture}.deb"));
        let mut deb = Command::new("dpkg-deb");
        deb.env("SOURCE_DATE_EPOCH", "0")
            .args(["--root-owner-group", "-Zgzip", &format!("-z{}", self.level), "--build"])
            .arg(&stage)
            .arg(&package);
        proc::run(&mut deb)?;
        fs::remove_dir_all(&stage)?;
        Ok(package)
    }

    /// Man pages and completions, from the one definition of the command line.
    fn written_by_weir(&self, stage: &Path) -> anyhow::Result<()> {
        let man = stage.join("usr/share/man/man1");
        fs::create_dir_all(&man)?;
        proc::run(Command::new(&self.weir).arg("man").arg(&man))?;
        for page in fs::read_dir(&man)? {
            zipped(&page?.path())?;
        }
        for (shell, path) in [
            ("bash", "usr/share/bash-completion/completions/weir"),
            ("zsh", "usr/share/zsh/vendor-completions/_weir"),
            ("fish", "usr/share/fish/vendor_completions.d/weir.fish"),
        ] {
            let script = proc::capture(Command::new(&self.weir).args(["completions", shell]))?;
            write(&stage.join(path), format!("{script}\n").as_bytes(), 0o644)?;
        }
        Ok(())
    }

    fn rest(&self, made: &[&PathBuf]) -> anyhow::Result<()> {
        put(&self.weir, &self.to.join("weir"), 0o755)?;
        for name in ["docker/weir.container.toml", "docker/Dockerfile", "kubernetes/weir.yaml"] {
            let file = Path::new(name).file_name().unwrap_or_default();
            put(&self.at(&format!("host/packaging/{name}")), &self.to.join(file), 0o644)?;
        }
        let names = made.iter().filter_map(|path| path.file_name()).chain([std::ffi::OsStr::new("weir")]);
        let sums = proc::capture(Command::new("sha256sum").current_dir(&self.to).args(names))?;
        write(&self.to.join("SHA256SUMS"), format!("{sums}\n").as_bytes(), 0o644)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.workspace.root.join(path)
    }
}

fn zipped(path: &Path) -> anyhow::Result<()> {
    proc::run(Command::new("gzip").args(["-n", "-9", "-f"]).arg(path))
}

fn put(from: &Path, to: &Path, mode: u32) -> anyhow::Result<()> {
    let bytes = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    write(to, &bytes, mode)
}

fn write(to: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(to, bytes)?;
        fs::set_permissions(to, fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("write {}", to.display()))
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        return put(from, to, 0o644);
    }
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn bytes_below(dir: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}
