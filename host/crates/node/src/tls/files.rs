//! The files: read, made sense of, and looked at for changes.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use weir_api::tls::{
    Authorities, Chain, ClientCertificates, Identity, Key, PemError, ServerTlsOptions, Trust,
};
use weir_record::limits::{TLS_ENDS_SOON_S, TLS_FILE_BYTES_MAX};

use super::{date, names};
use crate::config::{Place, Tls, TlsFile};

/// What the files hold.
pub(crate) struct Material {
    pub(super) identity: Option<Identity>,
    clients: Option<ClientCertificates>,
    ca: Option<Authorities>,
    /// How the files looked just before.
    pub(super) stamps: Stamps,
}

/// Something to say about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsRemark {
    place: Place,
    setting: &'static str,
    text: String,
}

impl fmt::Display for TlsRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.setting, self.text)
    }
}

/// What is wrong with the files of a configuration, one line each; else what is remarkable about them.
pub fn remarks(config: &Tls, now_s: u64) -> Result<Vec<TlsRemark>, Vec<String>> {
    Material::read(config).map(|material| material.remarks(config, now_s))
}

impl Material {
    /// Reads all files. The error has a line for each that cannot be used.
    pub(crate) fn read(config: &Tls) -> Result<Material, Vec<String>> {
        let stamps = Stamps::of(config);
        let mut problems = Vec::new();
        let mut told = |file: &TlsFile, why: String| {
            let remark = TlsRemark { place: file.place.clone(), setting: file.setting, text: why };
            problems.push(remark.to_string());
        };
        let mut identity = None;
        if let Some((cert, key)) = &config.pair {
            let chain = parsed(&cert.path, Chain::parse).map_err(|why| told(cert, why));
            let secret = parsed(&key.path, Key::parse).map_err(|why| told(key, why));
            if let (Ok(chain), Ok(secret)) = (chain, secret) {
                let made = Identity::new(chain, &secret).map_err(|error| about(&key.path, &error));
                identity = made.map_err(|why| told(key, why)).ok();
            }
        }
        let mut authorities = |file: &Option<TlsFile>| {
            let file = file.as_ref()?;
            parsed(&file.path, Authorities::parse).map_err(|why| told(file, why)).ok()
        };
        let of_all = config.client_auth_of_all;
        let clients =
            authorities(&config.client_ca).map(|authorities| ClientCertificates { authorities, of_all });
        let ca = authorities(&config.ca);
        if problems.is_empty() { Ok(Material { identity, clients, ca, stamps }) } else { Err(problems) }
    }

    /// For listeners.
    pub(super) fn server(&self) -> Option<ServerTlsOptions> {
        let identity = self.identity.clone()?;
        Some(ServerTlsOptions { identity, clients: self.clients.clone() })
    }

    /// What does not hinder this process, and will hinder others.
    pub(super) fn remarks(&self, config: &Tls, now_s: u64) -> Vec<TlsRemark> {
        let (Some(identity), Some((cert, key))) = (&self.identity, &config.pair) else { return Vec::new() };
        let chain = identity.chain();
        let of = |file: &TlsFile, text: String| TlsRemark {
            place: file.place.clone(),
            setting: file.setting,
            text,
        };
        let mut remarks = Vec::new();
        let now = i64::try_from(now_s).unwrap_or(i64::MAX);
        let is_over = chain.ends_s() < now;
        if is_over {
            let text = format!(
                "the certificate expired on {}: clients refuse it; have it renewed",
                date(chain.ends_s())
            );
            remarks.push(of(cert, text));
        } else if chain.begins_s() > now {
            let text = format!(
                "the certificate counts only from {}: clients refuse it until then; look at this machine's clock",
                date(chain.begins_s())
            );
            remarks.push(of(cert, text));
        } else if chain.ends_s() < now.saturating_add(TLS_ENDS_SOON_S) {
            remarks.push(of(
                cert,
                format!("the certificate expires on {}; have it renewed", date(chain.ends_s())),
            ));
        }
        if chain.is_authority() {
            let text = "the certificate is that of an authority (CA:TRUE): weir's clients, and others, refuse it for a \
                        server; issue one with basicConstraints=CA:FALSE";
            remarks.push(of(cert, text.to_owned()));
        }
        if chain.names().is_empty() {
            remarks.push(of(
                cert,
                format!(
                    "the certificate is for {}: clients refuse it; issue one with the names and \
                                           addresses of this node",
                    names(chain.names())
                ),
            ));
        }
        let refused = self.clients.as_ref().filter(|_| !is_over);
        if let Some(why) = refused.and_then(|clients| chain.refused_by(&clients.authorities, now_s)) {
            let text =
                format!("nodes with the same tls.client_ca would refuse this one: its certificate {why}");
            remarks.push(of(cert, text));
        }
        if let Ok(mode) = std::fs::metadata(&key.path).map(|found| found.mode())
            && mode & 0o007 != 0
        {
            let text = format!(
                "every user of this machine can read {}; take that away: chmod o= {}",
                key.path.display(),
                key.path.display()
            );
            remarks.push(of(key, text));
        }
        remarks
    }
}

/// Whom a process with these files believes. Looks for the authorities of the system if none is named.
pub(super) fn trust(material: &Material) -> Result<Trust, String> {
    let identity = material.identity.clone();
    if let Some(authorities) = material.ca.clone() {
        return Ok(Trust { authorities, identity });
    }
    let found = rustls_native_certs::load_native_certs();
    let mut authorities = Authorities::of_system(found.certs);
    if let Some(clients) = &material.clients {
        authorities = authorities.and(&clients.authorities);
    }
    if authorities.is_empty() {
        return Err(
            "this system trusts no certificate authority; name one with --ca FILE, or [tls] ca in a \
                    configuration (Debian: apt install ca-certificates)"
                .to_owned(),
        );
    }
    Ok(Trust { authorities, identity })
}

/// What is in the files that the flags of a command name.
pub(super) fn of_files(ca: Option<&Path>, pair: Option<(&Path, &Path)>) -> Result<Material, String> {
    let ca = ca.map(|ca| parsed(ca, Authorities::parse).map_err(|why| format!("--ca: {why}"))).transpose()?;
    let identity = match pair {
        None => None,
        Some((cert, key)) => {
            let chain = parsed(cert, Chain::parse).map_err(|why| format!("--cert: {why}"))?;
            let secret = parsed(key, Key::parse).map_err(|why| format!("--key: {why}"))?;
            let made = Identity::new(chain, &secret);
            Some(made.map_err(|error| format!("--key: {}", about(key, &error)))?)
        }
    };
    Ok(Material { identity, clients: None, ca, stamps: Stamps::default() })
}

fn parsed<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, PemError>) -> Result<T, String> {
    let bytes = read(path).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    parse(&bytes).map_err(|error| about(path, &error))
}

fn about(path: &Path, error: &PemError) -> String {
    format!("{}: {error}", path.display())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        match error.kind() {
            std::io::ErrorKind::NotFound => format!("{text}; name a PEM file that is there"),
            std::io::ErrorKind::PermissionDenied => format!("{text}; let the user of this process read it"),
            _ => text,
        }
    };
    let file = File::open(path).map_err(told)?;
    let mut bytes = Vec::new();
    file.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > TLS_FILE_BYTES_MAX {
        return Err(format!("it is longer than {TLS_FILE_BYTES_MAX} bytes; name a PEM file"));
    }
    Ok(bytes)
}

/// How the files looked: which ones they were, how long, and when they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<Option<[i128; 4]>>);

impl Stamps {
    pub(super) fn of(config: &Tls) -> Stamps {
        let stamp = |file: &TlsFile| {
            let found = std::fs::metadata(&file.path).ok()?;
            let written = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
            Some([i128::from(found.dev()), i128::from(found.ino()), i128::from(found.len()), written])
        };
        Stamps(config.files().map(stamp).collect())
    }
}
