//! A small file system of its own, for tests that fill it.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A tmpfs that only its holder and the processes started in it see. It is there, with what is in it, until this
/// is dropped; processes may come and go.
pub struct SmallDisk {
    holder: Child,
    dir: PathBuf,
    used: u64,
}

impl SmallDisk {
    /// Mounts so many MiB on `dir`, in namespaces of their own: no privileges are needed where the system gives
    /// user namespaces to everybody.
    pub fn mount(dir: &Path, mebibytes: u64) -> Result<SmallDisk> {
        std::fs::create_dir_all(dir)?;
        let script = format!("mount -t tmpfs -o size={mebibytes}m weir \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start unshare of util-linux")?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        ensure!(
            line == "mounted\n",
            "no tmpfs in a user namespace; try sysctl kernel.unprivileged_userns_clone=1, or run this as root"
        );
        Ok(SmallDisk { holder, dir: dir.to_owned(), used: 0 })
    }

    /// What a command line has to begin with to run where the disk is seen.
    pub fn prefix(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", &pid]
            .map(str::to_owned)
            .to_vec()
    }

    /// Takes all that is free but so many MiB.
    pub fn fill_but(&mut self, mebibytes: u64) -> Result<()> {
        let statistics = rustix::fs::statvfs(self.root())?;
        let free = statistics.f_bavail * statistics.f_frsize;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.ballast())?;
        let block = 1 << 16;
        for _ in 0..free.saturating_sub(mebibytes << 20) / block {
            file.write_all(&vec![7; block as usize])?;
            self.used += block;
        }
        ensure!(self.used > 0, "there was nothing to fill");
        Ok(())
    }

    /// Takes all that is free.
    pub fn fill(&mut self) -> Result<()> {
        // Small blocks at the end, so that not even a few bytes are left.
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.ballast())?;
        for block in [1 << 16, 1 << 12, 1] {
            loop {
                match file.write(&vec![7; block]) {
                    Ok(0) => break,
                    Ok(written) => self.used += written as u64,
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        ensure!(self.used > 0, "there was nothing to fill");
        Ok(())
    }

    /// Gives back what was taken.
    pub fn free(&mut self) -> Result<()> {
        self.used = 0;
        Ok(std::fs::remove_file(self.ballast())?)
    }

    /// As this process sees it.
    fn root(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.dir.strip_prefix("/").unwrap_or(&self.dir))
    }

    fn ballast(&self) -> PathBuf {
        self.root().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // One that has ended refuses both.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
