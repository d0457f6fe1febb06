//! Filters in queries: pipes as they are written become stages that run.
//!
//! What can run beside the data does: filters and rewrites, and the first aggregate, whose states are merged on the node
//! that was asked. The rest runs there, over what comes back.

mod chain;
mod failing;
mod late;
mod others;
mod params;
mod policy;
mod sent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use weir_api::backend::peer::StageSpec;
use weir_api::backend::{ApiError, InstanceInfo, OfferedFilter, PluginInfo, TailRequest};
use weir_plugin_runtime::{Counters, Hints, Kind, Limits, OnTrap, Plugin, SourceError, Stage, StageOptions};
use weir_query::{Expr, Stage as Written};
use weir_record::limits::FILTER_PARAMS_BYTES_MAX;

use crate::metrics::Metrics;
use crate::plugins::{FILTER_LIMITS, Plugins};
use crate::sources::observe::ToNode;

pub(crate) use chain::Chain;
use failing::{Stopped, Then};
pub(crate) use late::{Late, finish};
pub(crate) use others::{FILTER_REFUSED, FILTER_WANTED};
pub(crate) use policy::Policy;
use sent::{Component, Sent};

/// The filters of this process.
pub(crate) struct Filters {
    plugins: Arc<Plugins>,
    policy: RwLock<Policy>,
    sent: Sent,
    metrics: Arc<Metrics>,
    counters: Mutex<BTreeMap<String, Arc<Counters>>>,
    stopped: Stopped,
}

/// Under what name filters are counted that others have sent: the names are theirs, and may be any number.
const SENT: &str = "sent";
/// What a pipe begins with that names a component by its digest.
const BY_DIGEST: &str = "sha256:";

/// A stage of a query, ready to be opened.
#[derive(Clone)]
pub(crate) struct Spec {
    plugin: Arc<Plugin>,
    file: File,
    params: Arc<str>,
    limits: Limits,
    on_trap: OnTrap,
    stopped: Stopped,
    /// Under what name it is counted.
    counted_as: Arc<str>,
    counters: Arc<Counters>,
    metrics: Arc<Metrics>,
}

/// Where the file of a component is.
#[derive(Clone)]
enum File {
    /// Where all plugins of this process are.
    Own(Arc<Plugins>),
    /// It was sent.
    Sent(Component),
}

/// The pipes of a query.
pub(crate) struct Pipes {
    /// What runs beside the data.
    pub(crate) near: Arc<[Spec]>,
    /// Whether the last of those is an aggregate.
    pub(crate) sums: bool,
    /// What runs on the node that was asked, over what comes back.
    pub(crate) late: Vec<Spec>,
    /// What every record has that the stages keep.
    pub(crate) hint: Expr,
}

impl Filters {
    /// Those of some plugins, and what the policy lets others bring.
    pub(crate) fn new(plugins: Arc<Plugins>, policy: Policy, metrics: Arc<Metrics>) -> Arc<Filters> {
        Arc::new(Filters {
            plugins,
            policy: RwLock::new(policy),
            sent: Sent::default(),
            metrics,
            counters: Mutex::default(),
            stopped: Stopped::default(),
        })
    }

    /// Has another policy count from now on, and forgets what came in by the one before. `false` when it is the same.
    pub(crate) fn follow(&self, policy: Policy) -> bool {
        let mut before = self.policy.write();
        let differs = *before != policy;
        if differs {
            *before = policy;
            self.sent.clear();
        }
        differs
    }

    /// Makes pipes ready. Blocks, for seconds when a plugin has to be compiled.
    pub(crate) fn prepare(&self, written: &[Written]) -> Result<Pipes, ApiError> {
        let (mut near, mut late, mut hints) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sums, mut is_rewritten) = (false, false);
        for stage in written {
            let spec = self.spec_of(stage)?;
            let said = spec.try_out().map_err(|error| refused(stage.column, &error))?;
            let is_near = late.is_empty() && !sums && !said.in_order;
            if !is_near {
                late.push(spec);
                continue;
            }
            // What a rewrite has changed need not have what is hinted at behind it.
            if !is_rewritten {
                hints.extend(expressions(said));
            }
            is_rewritten |= spec.kind() == Kind::Rewrite;
            sums = spec.kind() == Kind::Aggregate;
            near.push(spec);
        }
        let hint = if hints.is_empty() { Expr::All } else { Expr::all_of(hints) };
        Ok(Pipes { near: near.into(), sums, late, hint })
    }

    /// A tail as it is put to all, and the stages that its records go through here.
    pub(crate) async fn live(
        self: &Arc<Self>,
        mut request: TailRequest,
    ) -> Result<(TailRequest, Option<Arc<Chain>>), ApiError> {
        if request.stages.is_empty() {
            return Ok((request, None));
        }
        let (filters, written) = (self.clone(), std::mem::take(&mut request.stages));
        let preparing = tokio::task::spawn_blocking(move || filters.prepare(&written)).await;
        let Pipes { near, sums, late, hint } =
            preparing.map_err(|_| ApiError::internal("loading a filter has panicked"))??;
        if sums || !late.is_empty() {
            let error =
                "live records have no end that an aggregate, or a filter that needs an order, could wait for";
            return Err(ApiError::bad_request("bad_query", error).hint("ask with a query"));
        }
        request.expr = Expr::all_of([request.expr, hint]);
        // What other nodes are to find.
        request.text = request.expr.to_string();
        let chain = Chain::new(near, &request.cancel);
        Ok((request, Some(chain)))
    }

    fn spec_of(&self, stage: &Written) -> Result<Spec, ApiError> {
        let Written { name, column, .. } = stage;
        if let Some(digest) = name.strip_prefix(BY_DIGEST) {
            let digest = digest.parse().map_err(|error| wrong(*column, &format!("{name}: {error}")))?;
            let component = self.sent.get(&digest).ok_or_else(|| {
                wrong(*column, &format!("there is no filter {digest:.12} on this node"))
                    .hint("send the component before: weir query --filter ./FILE.wasm does both")
            })?;
            let params = params_of(component.plugin(), stage)?;
            return Ok(self.spec_of_sent(component, params));
        }
        if !self.plugins.has(name) {
            let mut filters = self.plugins.names();
            filters.retain(|name| self.plugins.info(name).kind != "source");
            let hint = match filters.iter().find(|known| strsim::osa_distance(known, name) <= 2) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("filters are {}", filters.join(", ")),
            };
            return Err(wrong(*column, &format!("there is no filter {name}")).hint(hint));
        }
        let plugin = self.plugins.load(name).map_err(|why| wrong(*column, &why))?;
        if plugin.kind() == Kind::Source {
            let error = wrong(*column, &format!("{name} is a source"));
            return Err(error.hint("records of a query go through filters, rewrites and aggregates"));
        }
        let params = params_of(&plugin, stage)?;
        self.spec(plugin, params).map_err(|why| wrong(*column, &why))
    }

    /// A stage of a filter that is configured here; the error says why it is not used any more.
    fn spec(&self, plugin: Arc<Plugin>, params: Arc<str>) -> Result<Spec, String> {
        let name = plugin.name();
        if let Some(why) = self.stopped.why(name) {
            return Err(why);
        }
        let limits = self.plugins.limits_of(name).unwrap_or(FILTER_LIMITS);
        let (on_trap, file) = (self.plugins.on_trap(name), File::Own(self.plugins.clone()));
        let counted_as = name.into();
        Ok(self.spec_with(plugin, file, params, (limits, on_trap), counted_as))
    }

    fn spec_of_sent(&self, component: Component, params: Arc<str>) -> Spec {
        let (plugin, file) = (component.plugin().clone(), File::Sent(component));
        self.spec_with(plugin, file, params, (FILTER_LIMITS, OnTrap::default()), SENT.into())
    }

    fn spec_with(
        &self,
        plugin: Arc<Plugin>,
        file: File,
        params: Arc<str>,
        (limits, on_trap): (Limits, OnTrap),
        counted_as: Arc<str>,
    ) -> Spec {
        let (stopped, metrics) = (self.stopped.clone(), self.metrics.clone());
        let counters = self.counters_of(&counted_as);
        Spec { plugin, file, params, limits, on_trap, stopped, counted_as, counters, metrics }
    }

    /// Has filters used again that their `on_trap` has stopped: the configuration was read anew.
    pub(crate) fn revive(&self) {
        self.stopped.forget();
    }

    fn counters_of(&self, name: &str) -> Arc<Counters> {
        self.counters.lock().entry(name.to_owned()).or_default().clone()
    }

    /// What others have sent and is still here.
    pub(crate) fn sent(&self) -> Vec<PluginInfo> {
        let info = |plugin: &Arc<Plugin>| PluginInfo {
            name: plugin.name().to_owned(),
            kind: plugin.kind().to_string(),
            version: Some(plugin.info().version.clone()),
            summary: Some(plugin.info().summary.clone()),
            sha256: plugin.digest().to_string(),
            imports: plugin.imports().to_vec(),
            sent: true,
            memory_bytes_max: Some(FILTER_LIMITS.memory_bytes as u64),
            call_ms_max: Some(FILTER_LIMITS.call_ms),
            ..PluginInfo::default()
        };
        self.sent.all().iter().map(info).collect()
    }

    /// What queries have made of a filter on this node, if any has.
    pub(crate) fn use_of(&self, name: &str) -> Option<InstanceInfo> {
        let stats = self.counters.lock().get(name)?.stats();
        let state = if self.stopped.why(name).is_some() { "stopped" } else { "ready" };
        Some(InstanceInfo {
            name: "queries".to_owned(),
            state: state.to_owned(),
            restarts: stats.traps,
            records: stats.records,
            bytes: stats.bytes,
            ..InstanceInfo::default()
        })
    }

    /// Brings the metrics of all filters up to date.
    pub(crate) fn refresh(&self) {
        for (name, counters) in &*self.counters.lock() {
            let stats = counters.stats();
            self.metrics.filter_calls.set(&[name], stats.calls as f64);
            self.metrics.filter_traps.set(&[name], stats.traps as f64);
            self.metrics.filter_seconds.set(&[name], stats.running.as_secs_f64());
            self.metrics.filter_records.set(&[name], stats.records as f64);
        }
    }
}

impl Spec {
    pub(crate) fn kind(&self) -> Kind {
        self.plugin.kind()
    }

    /// What becomes of records in whose call it trapped; `None`: the query ends. An aggregate has lost what it had summed
    /// up, and no setting makes its answer right.
    fn after_a_trap(&self) -> Option<Then> {
        match (self.on_trap, self.kind()) {
            (_, Kind::Aggregate | Kind::Source) | (OnTrap::Restart | OnTrap::Stop, _) => None,
            (OnTrap::Pass, _) => Some(Then::Pass),
            (OnTrap::Drop, _) => Some(Then::Drop),
        }
    }

    /// Whether it is an aggregate.
    pub(crate) fn is_sum(&self) -> bool {
        self.kind() == Kind::Aggregate
    }

    /// As it goes to other nodes.
    pub(crate) fn for_peer(&self) -> StageSpec {
        StageSpec {
            name: self.plugin.name().to_owned(),
            sha256: *self.plugin.digest().as_bytes(),
            params: self.params.to_string(),
        }
    }

    /// What other nodes are sent that would run it. Blocks: it may be read from disk.
    pub(crate) fn offer(&self) -> Result<OfferedFilter, String> {
        match &self.file {
            File::Own(plugins) => plugins.offer(&self.plugin),
            File::Sent(component) => Ok(component.offer()),
        }
    }

    fn open(&self, cancel: Arc<AtomicBool>) -> Result<Stage, SourceError> {
        let options = StageOptions {
            params: self.params.clone(),
            limits: self.limits,
            observer: Arc::new(ToNode(self.metrics.clone())),
            counters: self.counters.clone(),
            cancel,
        };
        Stage::open(&self.plugin, &options)
    }

    /// Opens it to hear what it says of its parameters.
    fn try_out(&self) -> Result<Hints, SourceError> {
        self.open(Arc::default()).map(|stage| stage.hints().clone())
    }
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.plugin, self.params)
    }
}

/// The parameters of a stage as its filter wants them, as JSON.
fn params_of(plugin: &Plugin, stage: &Written) -> Result<Arc<str>, ApiError> {
    let name = plugin.name();
    let mut params = params::of(&plugin.info().schema, stage)?;
    plugin.info().schema.check(&mut params).map_err(|violations| {
        let told: Vec<String> =
            violations.iter().map(|it| it.to_string().trim_start_matches("config.").to_owned()).collect();
        wrong(stage.text_column, &format!("{name}: {}", told.join("; ")))
    })?;
    let params = params.to_string();
    if params.len() > FILTER_PARAMS_BYTES_MAX {
        let message =
            format!("{name}: parameters of {} bytes, at most {FILTER_PARAMS_BYTES_MAX}", params.len());
        return Err(wrong(stage.text_column, &message));
    }
    Ok(params.into())
}

/// What every record has that a stage keeps.
fn expressions(hints: Hints) -> impl Iterator<Item = Expr> {
    let words = hints
        .words
        .into_iter()
        .map(|list| Expr::any_of(list.into_iter().map(|text| Expr::Word { text, any_case: false })));
    let literals = hints
        .literals
        .into_iter()
        .map(|list| Expr::any_of(list.into_iter().map(|bytes| Expr::Bytes { bytes, any_case: false })));
    words.chain(literals)
}

/// An error in the text of a query.
fn wrong(column: usize, message: &str) -> ApiError {
    ApiError::bad_request("bad_query", format!("column {column}: {message}")).column(column as u32)
}

/// What a filter says to its parameters.
fn refused(column: usize, error: &SourceError) -> ApiError {
    wrong(column, &error.to_string())
}
