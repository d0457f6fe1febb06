//! The configuration, read again while the process runs: on `POST /-/reload` and on SIGHUP.
//!
//! It is checked as a whole before anything changes: settings, plugins, the secrets in files, tokens. Then sources,
//! plugins, policy and tokens change, and what else differs is named, since it counts from the next start.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use weir_api::access::{Token, TokenChanges};
use weir_api::backend::{ApiError, ErrorKind, Reloaded};

use crate::clock;
use crate::config::{Config, Gravity, Loaded, changes, in_force};
use crate::filters::{Filters, Policy};
use crate::metrics::Metrics;
use crate::run::{RunError, RunOptions};
use crate::sources::Sources;
use crate::sources::reload::Plan;
use crate::tokens::Tokens;

/// How long is waited for the last batches of sources that end, before they are only named.
const ENDING: Duration = Duration::from_secs(10);

/// Reads the configuration once more, from where the process got it. The error says why it cannot be read.
pub type Reread = Arc<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// Brings what is configured now into a running process.
pub(crate) struct Reloader {
    /// What the process began with: all but sources, plugins and policy is in force until it ends.
    started: Config,
    /// What is in force. Held while it is exchanged.
    in_force: Mutex<Config>,
    reread: Reread,
    sources: Arc<Sources>,
    /// `None` where no queries are answered.
    filters: Option<Arc<Filters>>,
    /// `None` where no token is asked for.
    tokens: Option<Tokens>,
    metrics: Arc<Metrics>,
}

/// A configuration that can be put in force.
struct Checked {
    config: Config,
    plan: Plan,
    tokens: Option<Vec<Token>>,
    waiting: Vec<&'static str>,
}

impl Reloader {
    /// Of the sources of a process that begins. Ends with `stop`.
    pub(crate) fn new(
        options: &RunOptions,
        sources: Arc<Sources>,
        filters: Option<Arc<Filters>>,
        tokens: Option<Tokens>,
        metrics: Arc<Metrics>,
        stop: &CancellationToken,
    ) -> Result<Arc<Reloader>, RunError> {
        metrics.config_reload_success.set(1);
        metrics.config_reload_timestamp.set(clock::now_ms() as f64 / 1e3);
        let started = options.config.clone();
        let in_force = Mutex::new(started.clone());
        let reloader = Arc::new(Reloader {
            started,
            in_force,
            reread: options.reread.clone(),
            sources,
            filters,
            tokens,
            metrics,
        });
        if options.hangup_reloads {
            reloader.on_hangup(stop).map_err(RunError::Start)?;
        }
        Ok(reloader)
    }

    /// For a backend: reloads in a task of its own, which ends whether or not the client waits for it.
    pub(crate) fn asked(self: &Arc<Self>) -> BoxFuture<'static, Result<Reloaded, ApiError>> {
        let task = tokio::spawn(self.clone().reload());
        Box::pin(async move {
            let reloaded =
                task.await.map_err(|error| ApiError::internal(format!("reloading ended: {error}")))?;
            reloaded.map_err(|problems| {
                ApiError::new(ErrorKind::BadConfig, "bad_config", problems.join("\n"))
                    .hint("nothing has changed; mend the configuration and reload once more")
            })
        })
    }

    /// Reloads whenever SIGHUP comes. Without this the signal ends the process.
    fn on_hangup(self: &Arc<Self>, stop: &CancellationToken) -> std::io::Result<()> {
        let (reloader, stop) = (self.clone(), stop.clone());
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
                // What came of it is in the log.
                let _ = reloader.clone().reload().await;
            }
        });
        Ok(())
    }

    /// One after the other. The error has a line for all that is wrong.
    async fn reload(self: Arc<Self>) -> Result<Reloaded, Vec<String>> {
        let mut in_force = self.in_force.lock().await;
        let (reloader, old) = (self.clone(), in_force.clone());
        let checking = tokio::task::spawn_blocking(move || reloader.check(&old));
        let checked = checking.await.unwrap_or_else(|error| Err(vec![format!("checking it ended: {error}")]));
        let Checked { config, plan, tokens, waiting } = match checked {
            Ok(checked) => checked,
            Err(problems) => {
                self.metrics.config_reload_success.set(0);
                let told = problems.join("; ");
                tracing::error!("the configuration is not reloaded, the one before stays in force: {told}");
                return Err(problems);
            }
        };
        let TokenChanges { added, removed } =
            self.tokens.as_ref().zip(tokens).map(|(held, read)| held.replace(read)).unwrap_or_default();
        let policy = Policy::new(&config.policy);
        *in_force = config;
        let follows = self.filters.as_ref().is_some_and(|filters| filters.follow(policy));
        let sources = self.sources.clone();
        let following = tokio::task::spawn_blocking(move || sources.follow(plan)).await;
        let exchanged = following.map_err(|error| vec![format!("exchanging the sources ended: {error}")])?;
        let _ = tokio::time::timeout(ENDING, exchanged.ended()).await;
        self.metrics.config_reload_success.set(1);
        self.metrics.config_reload_timestamp.set(clock::now_ms() as f64 / 1e3);
        let ending = exchanged.still_ending();
        let reloaded = Reloaded {
            started: exchanged.started,
            restarted: exchanged.restarted,
            stopped: exchanged.stopped,
            ending,
            plugins: exchanged.plugins,
            policy: follows,
            tokens_added: added,
            tokens_removed: removed,
            waiting,
        };
        tracing::info!("configuration {}", reloaded.to_string().replace('\n', "; "));
        Ok(reloaded)
    }

    /// Reads, and looks at everything that is named. Blocks.
    fn check(&self, old: &Config) -> Result<Checked, Vec<String>> {
        let Loaded { config, problems, .. } = (self.reread)().map_err(|why| vec![why])?;
        let told = |gravity: fn(&Gravity) -> bool| {
            let those = problems.iter().filter(move |problem| gravity(&problem.gravity));
            those.map(ToString::to_string).collect::<Vec<String>>()
        };
        let tokens = self.tokens.as_ref().map(Tokens::reread).transpose();
        let (Some(config), Ok(tokens)) = (config, &tokens) else {
            let mut wrong = told(|gravity| *gravity != Gravity::NotYet);
            wrong.extend(tokens.err().unwrap_or_default());
            return Err(wrong);
        };
        let waiting = changes(&self.started, &config).waiting;
        let config = in_force(&self.started, old, config);
        let plan = self.sources.plan(old, &config)?;
        for problem in told(|gravity| *gravity == Gravity::NotYet) {
            tracing::warn!("{problem}");
        }
        Ok(Checked { config, plan, tokens: tokens.clone(), waiting })
    }
}
