//! An authority for tests, and what it issues: PEM files in a directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::process::quoted;

/// An authority, its certificate in a file.
pub struct Authority {
    dir: PathBuf,
    name: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one; `<name>.crt` in the directory is its certificate.
    pub fn new(dir: &Path, name: &str) -> Result<Authority> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = Authority {
            dir: dir.to_owned(),
            name: name.to_owned(),
            issuer: Issuer::new(params.clone(), KeyPair::from_pem(&key.serialize_pem())?),
        };
        std::fs::write(authority.file(), params.self_signed(&key)?.pem())?;
        Ok(authority)
    }

    /// Its certificate.
    pub fn file(&self) -> PathBuf {
        self.dir.join(format!("{}.crt", self.name))
    }

    /// Writes a pair for 127.0.0.1 and localhost that ends with a year: `<pair>.crt` and `<pair>.key`.
    pub fn issue(&self, pair: &str, last_year: i32) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        params.not_after = date_time_ymd(last_year, 12, 31);
        let path = self.dir.join(format!("{pair}.key"));
        std::fs::write(&path, key.serialize_pem())?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(std::fs::write(self.dir.join(format!("{pair}.crt")), params.signed_by(&key, &self.issuer)?.pem())?)
    }

    /// The section of a configuration with a pair and more lines.
    pub fn section(&self, pair: &str, more: &str) -> String {
        let [cert, key] = ["crt", "key"].map(|kind| quoted(&self.dir.join(format!("{pair}.{kind}"))));
        format!("[tls]\ncert = {cert}\nkey = {key}\n{more}\n")
    }
}

/// Runs curl to its end, which believes one authority.
pub fn curl(ca: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(ca).args(args);
    command.output().context("start curl (Debian: curl)")
}

/// The same where it must succeed: status and body.
pub fn curled(ca: &Path, args: &[&str]) -> Result<(u16, String)> {
    let output = curl(ca, &[&["--write-out", "\n%{http_code}"], args].concat())?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl {args:?}: {told}");
    let text = String::from_utf8(output.stdout)?;
    let (body, status) = text.rsplit_once('\n').context("a status stands behind the body")?;
    Ok((status.parse()?, body.to_owned()))
}
