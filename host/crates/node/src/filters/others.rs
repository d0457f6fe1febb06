//! What others have this node run: stages of the queries of other nodes, and components that clients and nodes send.

use std::sync::Arc;

use weir_api::backend::peer::StageSpec;
use weir_api::backend::{ApiError, ErrorKind, FilterAdded, OfferedFilter};
use weir_plugin_runtime::{Digest, Kind};

use super::{Filters, Policy, Spec};

/// Code of the answer of a node that would run a component if it had it.
pub(crate) const FILTER_WANTED: &str = "filter_wanted";
/// Code of the answer of a node that does not run a component.
pub(crate) const FILTER_REFUSED: &str = "filter_refused";

impl Filters {
    /// The stages that another node asks for. Blocks as [`Filters::prepare`] does.
    pub(crate) fn of_peer(&self, specs: &[StageSpec]) -> Result<Arc<[Spec]>, ApiError> {
        specs.iter().map(|spec| self.of_peer_one(spec)).collect()
    }

    fn of_peer_one(&self, asked: &StageSpec) -> Result<Spec, ApiError> {
        let StageSpec { name, sha256, params } = asked;
        let (digest, params) = (Digest::from_bytes(*sha256), params.as_str().into());
        let own = if self.plugins.has(name) {
            let plugin =
                self.plugins.load(name).map_err(|why| lacking(format!("the filter {name}: {why}")))?;
            if plugin.digest() == digest {
                return self.spec(plugin, params).map_err(lacking);
            }
            Some(plugin.digest())
        } else {
            None
        };
        if let Some(component) = self.sent.get(&digest) {
            return Ok(self.spec_of_sent(component, params));
        }
        if self.policy.read().may_run(&digest) {
            let message = format!("the filter {name} ({digest:.12}) is not here yet");
            return Err(
                ApiError::new(ErrorKind::NotFound, FILTER_WANTED, message).hint("send it, and ask again")
            );
        }
        Err(lacking(match own {
            Some(own) => {
                format!("the filter {name} is {own:.12} on this node, and {digest:.12} on the one that asks")
            }
            None => format!("the filter {name} ({digest:.12}) is not known on this node"),
        }))
    }

    /// Takes a component that another node sends along with a search. Blocks, for seconds when it has to be compiled.
    pub(crate) fn offer(&self, offered: OfferedFilter) -> Result<(), ApiError> {
        self.take(offered).map(drop)
    }

    /// Takes a component that a client brings along for a query. Blocks as [`Filters::offer`] does.
    pub(crate) fn add(&self, offered: OfferedFilter) -> Result<FilterAdded, ApiError> {
        self.take(offered)
    }

    fn take(&self, offered: OfferedFilter) -> Result<FilterAdded, ApiError> {
        let OfferedFilter { name, component, signature } = offered;
        let digest = Digest::of(&component);
        let refused = |refusal| {
            let message = format!("the filter {name} ({digest:.12}) does not run on this node: {refusal}");
            ApiError::new(ErrorKind::Forbidden, FILTER_REFUSED, message).hint(format!(
                "on the node, write sha256:{digest} into policy.filters, or the key of its signature into policy.keys, \
                 or policy.ad_hoc_filters = true to run what anybody brings along"
            ))
        };
        // Whoever asks sends all stages of a question: what is here itself needs no leave.
        let own = self.plugins.has(&name).then(|| self.plugins.load(&name)).and_then(Result::ok);
        let own = own.filter(|plugin| plugin.digest() == digest);
        let check = |policy: &Policy| match own {
            Some(_) => Ok(()),
            None => policy.check(&digest, signature.as_deref()).map_err(refused),
        };
        check(&self.policy.read())?;
        let known = self.sent.get(&digest).map(|component| component.plugin().clone());
        let plugin = match own.clone().or(known) {
            Some(plugin) => plugin,
            None => self.plugins.load_bytes(&name, component.to_vec(), None).map_err(bad)?,
        };
        let kind = plugin.kind();
        if kind == Kind::Source {
            return Err(bad(
                "it is a source; records of a query go through filters, rewrites and aggregates".into(),
            ));
        }
        // Compiling takes long enough for the policy to change.
        let policy = self.policy.read();
        check(&policy)?;
        self.sent.keep(plugin, component, signature);
        Ok(FilterAdded { sha256: digest.to_string(), kind: kind.to_string() })
    }
}

fn bad(why: String) -> ApiError {
    ApiError::bad_request("bad_filter", why).hint("weir plugin inspect says what is in a component")
}

fn lacking(what: String) -> ApiError {
    ApiError::new(ErrorKind::BadRequest, "filter_unknown", what).hint(
        "run one version of weir, configure the filter with one file on all nodes, or have the node run it by its \
         policy.filters or policy.keys",
    )
}
