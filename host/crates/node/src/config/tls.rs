//! Certificates: which files, and who has to show one.

use std::path::PathBuf;

use crate::config::check::{Checked, Table};
use crate::config::kind::Simple;
use crate::config::place::{Place, Problems};

/// What listeners show, and whom this process believes. See the schema for what each setting does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate and key. `None`: the listeners speak without TLS.
    pub pair: Option<(TlsFile, TlsFile)>,
    /// Who issues the certificates of clients.
    pub client_ca: Option<TlsFile>,
    /// Whether every client has to show one; else only who asks what is for nodes.
    pub client_auth_of_all: bool,
    /// Whom this process believes when it asks others, in place of those that the system trusts.
    pub ca: Option<TlsFile>,
}

/// A PEM file. Equal are those with the same path.
#[derive(Debug, Clone)]
pub struct TlsFile {
    /// The setting, such as `tls.cert`.
    pub setting: &'static str,
    /// Absolute.
    pub path: PathBuf,
    /// Where it was written, for messages.
    pub place: Place,
}

impl PartialEq for TlsFile {
    fn eq(&self, other: &TlsFile) -> bool {
        (self.setting, &self.path) == (other.setting, &other.path)
    }
}

impl Eq for TlsFile {}

impl Tls {
    /// All files that are named.
    pub fn files(&self) -> impl Iterator<Item = &TlsFile> {
        let pair = self.pair.iter().flat_map(|(cert, key)| [cert, key]);
        pair.chain(&self.client_ca).chain(&self.ca)
    }
}

/// Whether listeners will speak TLS, as far as can be told: what is wrong with it is told elsewhere.
pub(crate) fn serves(settings: &Table) -> bool {
    settings.table("tls").is_some_and(|table| table.get("cert").is_some() && table.get("key").is_some())
}

pub(crate) fn tls(settings: &Table, problems: &mut Problems) -> Option<Tls> {
    let table = settings.table("tls")?;
    let mut is_valid = true;
    let mut file = |name: &'static str, setting: &'static str| {
        let item = table.get(name)?;
        let Checked::Simple(Simple::Path(path)) = &item.value else {
            is_valid = false;
            return None;
        };
        Some(TlsFile { setting, path: path.clone(), place: item.place.clone() })
    };
    let (cert, key) = (file("cert", "tls.cert"), file("key", "tls.key"));
    let (client_ca, ca) = (file("client_ca", "tls.client_ca"), file("ca", "tls.ca"));
    if !is_valid {
        return None;
    }
    let client_auth = table.get("client_auth")?;
    let Checked::Simple(Simple::Choice(whose)) = client_auth.value else { return None };
    let pair = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            let other = if one.setting == "tls.cert" { "tls.key" } else { "tls.cert" };
            let text =
                format!("expected {other} beside it, got none; a certificate is of use only with its key");
            problems.error(&one.place, one.setting, text);
            return None;
        }
    };
    if let (Some(client_ca), None) = (&client_ca, &pair) {
        let text =
            "expected tls.cert and tls.key beside it, got neither: clients show certificates only over TLS";
        problems.error(&client_ca.place, client_ca.setting, text);
    }
    if client_ca.is_none() && whose == "all" {
        let text = "expected tls.client_ca beside it, got none: it says whose certificates clients may show";
        problems.error(&client_auth.place, "tls.client_auth", text);
    }
    Some(Tls { pair, client_ca, client_auth_of_all: whose == "all", ca })
}
