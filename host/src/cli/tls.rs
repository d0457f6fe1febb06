//! Whom a command believes, and what it shows: the same flags for all that ask nodes.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use weir_api::tls::ClientTls;
use weir_node::config::Overlay;
use weir_node::tls::{check_files, client_tls};

use crate::cli::exit::Failure;

/// For nodes at `https://`.
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Authority, a PEM file, by which nodes at https:// are believed, in place of those that the system trusts;
    /// also WEIR_CA
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate, a PEM file, to show to nodes that ask for one; also WEIR_CERT
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, a PEM file; also WEIR_KEY
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// What is meant, and by which words.
struct Named {
    by: &'static str,
    path: PathBuf,
}

impl TlsArgs {
    /// For a client of these URLs. Files that cannot be used are told at once where they are needed.
    pub(crate) fn client<'a>(
        &self,
        mut urls: impl Iterator<Item = &'a String>,
    ) -> Result<ClientTls, Failure> {
        let ca = named(self.ca.as_ref(), "--ca", "WEIR_CA");
        let pair = self.pair()?;
        let by: Vec<(&str, &str)> = [("--ca", ca.as_ref())]
            .into_iter()
            .chain(pair.iter().flat_map(|(cert, key)| [("--cert", Some(cert)), ("--key", Some(key))]))
            .filter_map(|(flag, named)| Some((flag, named?.by)))
            .collect();
        let ca = ca.as_ref().map(|named| named.path.as_path());
        let pair = pair.as_ref().map(|(cert, key)| (cert.path.as_path(), key.path.as_path()));
        if urls.any(|url| url.to_ascii_lowercase().starts_with("https://")) {
            check_files(ca, pair).map_err(|why| Failure::usage(told_by(&why, &by)))?;
        }
        Ok(client_tls(ca, pair))
    }

    /// For a command that has a configuration.
    pub(crate) fn overlays(&self) -> Result<Vec<Overlay>, Failure> {
        let overlay = |named: &Named, key: &str| {
            Overlay::exact(named.by, &["tls", key], json!(Path::new(&named.path).display().to_string()))
        };
        let mut overlays: Vec<Overlay> =
            named(self.ca.as_ref(), "--ca", "WEIR_CA").iter().map(|ca| overlay(ca, "ca")).collect();
        if let Some((cert, key)) = self.pair()? {
            overlays.extend([overlay(&cert, "cert"), overlay(&key, "key")]);
        }
        Ok(overlays)
    }

    fn pair(&self) -> Result<Option<(Named, Named)>, Failure> {
        let cert = named(self.cert.as_ref(), "--cert", "WEIR_CERT");
        let key = named(self.key.as_ref(), "--key", "WEIR_KEY");
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Failure::usage("WEIR_CERT is set without WEIR_KEY; set both")),
            (None, Some(_)) => Err(Failure::usage("WEIR_KEY is set without WEIR_CERT; set both")),
        }
    }
}

/// An error that names a flag, by the word that was meant.
fn told_by(why: &str, by: &[(&str, &str)]) -> String {
    let named =
        by.iter().find_map(|(flag, by)| Some(format!("{by}:{}", why.strip_prefix(flag)?.strip_prefix(':')?)));
    named.unwrap_or_else(|| why.to_owned())
}

fn named(flag: Option<&PathBuf>, by_flag: &'static str, variable: &'static str) -> Option<Named> {
    if let Some(path) = flag {
        return Some(Named { by: by_flag, path: path.clone() });
    }
    let path = std::env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(Named { by: variable, path: path.into() })
}
