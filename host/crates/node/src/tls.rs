//! TLS of a running process: what its files say is in force, and stays so until they say something else that is right.

mod files;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use weir_api::tls::{ClientTls, ServerTls, ServerTlsOptions};
use weir_record::limits::TLS_LOOK_MS;

use crate::clock;
use crate::config;
use crate::metrics::Metrics;
use crate::run::RunError;
use files::{Stamps, of_files, trust};

pub(crate) use files::Material;
pub use files::{TlsRemark, remarks};

/// The listeners' side, the clients' side, and the files of both.
pub(crate) struct Tls {
    config: config::Tls,
    server: Option<ServerTls>,
    client: ClientTls,
    stamps: Mutex<Stamps>,
    metrics: Arc<Metrics>,
}

impl Tls {
    /// Reads the files, and says what is remarkable about them.
    pub(crate) fn open(config: &config::Tls, metrics: &Arc<Metrics>) -> Result<Arc<Tls>, RunError> {
        let material = Material::read(config).map_err(|why| RunError::Tls(why.join("\n")))?;
        let stamps = Mutex::new(material.stamps.clone());
        for remark in material.remarks(config, clock::now_ms() / 1000) {
            tracing::warn!("{remark}");
        }
        let server = match material.server() {
            None => None,
            Some(options) => {
                let counted = metrics.clone();
                let server = ServerTls::new(&options, move |port, failure| {
                    counted.tls_failed.with_label_values(&[port.name(), failure.name()]).inc();
                });
                Some(server.map_err(|error| RunError::Tls(error.to_string()))?)
            }
        };
        let of_files = config.clone();
        let client = ClientTls::new(move || {
            let material = Material::read(&of_files).map_err(|why| why.join("; "))?;
            trust(&material)
        });
        let tls = Tls { config: config.clone(), server, client, stamps, metrics: metrics.clone() };
        tls.tell_end(&material);
        Ok(Arc::new(tls))
    }

    /// For listeners. `None`: they speak without TLS.
    pub(crate) fn server(&self) -> Option<ServerTls> {
        self.server.clone()
    }

    /// For clients.
    pub(crate) fn client(&self) -> ClientTls {
        self.client.clone()
    }

    /// The scheme of URLs of this process.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.server.is_some() { "https" } else { "http" }
    }

    /// Reads the files once more. Nothing has changed by that. Blocks.
    pub(crate) fn read(&self) -> Result<Material, Vec<String>> {
        Material::read(&self.config)
    }

    /// Puts in force what was read, and says whether the files are others than those before. Open connections stay as
    /// they are. Blocks.
    pub(crate) fn exchange(&self, material: &Material) -> Result<bool, String> {
        let options: Option<ServerTlsOptions> = material.server();
        if let (Some(server), Some(options)) = (&self.server, &options) {
            server.exchange(options).map_err(|error| error.to_string())?;
        }
        // Without any trust to be had, what is in force may still do.
        match trust(material) {
            Ok(trust) => self.client.exchange(&trust).map_err(|error| error.to_string())?,
            Err(why) => tracing::debug!("{why}"),
        }
        self.tell_end(material);
        for remark in material.remarks(&self.config, clock::now_ms() / 1000) {
            tracing::warn!("{remark}");
        }
        let before = std::mem::replace(&mut *self.stamps.lock(), material.stamps.clone());
        Ok(before != material.stamps)
    }

    /// Looks again and again whether the files have changed, until the process stops.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        if self.config.files().next().is_none() {
            return;
        }
        let mut look = interval(Duration::from_millis(TLS_LOOK_MS));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            let tls = self.clone();
            // A panic has been told.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
    }

    fn look(&self) {
        let stamps = Stamps::of(&self.config);
        if *self.stamps.lock() == stamps {
            return;
        }
        match self.read().and_then(|material| self.exchange(&material).map_err(|why| vec![why])) {
            Ok(_) => tracing::info!("the certificates have changed: new connections see the new ones"),
            Err(problems) => {
                // Told once: the next look waits for the next change.
                *self.stamps.lock() = stamps;
                tracing::error!(
                    "the certificates have changed and cannot be used, those before stay in force: {}",
                    problems.join("; ")
                );
            }
        }
    }

    /// Warns when the certificate is not for the URL that others are told.
    pub(crate) fn fits(&self, url: &str) {
        let Ok(material) = Material::read(&self.config) else { return };
        let Some(identity) = material.identity.as_ref().filter(|_| url.starts_with("https://")) else {
            return;
        };
        let host = host_of(url);
        if !identity.chain().is_for(host) {
            tracing::warn!(
                "tls.cert is for {}, and other nodes are told to come to {host}: they will refuse this node; set \
                 cluster.advertise to one of these names, or issue a certificate with this one",
                names(identity.chain().names()),
            );
        }
    }

    fn tell_end(&self, material: &Material) {
        if let Some(identity) = &material.identity {
            self.metrics.tls_expiry.with_label_values(&[] as &[&str]).set(identity.chain().ends_s() as f64);
        }
    }
}

/// Why the files that a command names cannot be used.
pub fn check_files(ca: Option<&Path>, pair: Option<(&Path, &Path)>) -> Result<(), String> {
    of_files(ca, pair).map(drop)
}

/// TLS of a command that asks nodes: whom it believes (else whom the system trusts), and what it shows.
pub fn client_tls(ca: Option<&Path>, pair: Option<(&Path, &Path)>) -> ClientTls {
    let (ca, pair) = (ca.map(Path::to_owned), pair.map(|(cert, key)| (cert.to_owned(), key.to_owned())));
    ClientTls::new(move || {
        let pair = pair.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
        let material = of_files(ca.as_deref(), pair)?;
        trust(&material)
    })
}

fn host_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

fn names(names: &[String]) -> String {
    if names.is_empty() { "no host (no subjectAltName)".to_owned() } else { names.join(", ") }
}

/// A time as people read it.
fn date(unix_s: i64) -> String {
    let since = Duration::from_secs(u64::try_from(unix_s).unwrap_or(0));
    weir_api::http_date(UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests;
