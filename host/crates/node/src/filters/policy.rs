//! What this node runs for others beside what it has itself: pure.

use std::collections::BTreeSet;

use weir_plugin_runtime::{Digest, PublicKey, Signature};

use crate::config::PolicyConfig;

/// What the operator of a node allows others to have it run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    /// Components by digest.
    pub(crate) filters: BTreeSet<Digest>,
    /// Keys whose signature will do.
    pub(crate) keys: BTreeSet<PublicKey>,
    /// Whoever may ask queries may bring components along.
    pub(crate) ad_hoc: bool,
}

/// Why a component does not run here. Nothing was kept of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is not on the list, and nobody vouches for it.
    #[error("its digest is not in policy.filters, and it is not signed")]
    Unknown,
    /// The signature is of a key that does not count here.
    #[error("it is signed by {0}, which is not in policy.keys")]
    UnknownKey(PublicKey),
    /// The signature is of another component, or damaged.
    #[error("the signature by {0} is not one of this component")]
    BadSignature(PublicKey),
    /// The signature cannot be read.
    #[error("{0}")]
    NoSignature(String),
}

impl Policy {
    /// As it is configured.
    pub(crate) fn new(config: &PolicyConfig) -> Policy {
        Policy {
            filters: config.filters.iter().map(|&bytes| Digest::from_bytes(bytes)).collect(),
            keys: config.keys.iter().copied().collect(),
            ad_hoc: config.ad_hoc_filters,
        }
    }

    /// Whether a component may run here if it comes with what it may need: worth sending.
    pub(crate) fn may_run(&self, digest: &Digest) -> bool {
        self.ad_hoc || !self.keys.is_empty() || self.filters.contains(digest)
    }

    /// Whether a component may run here, with the signature that it has come with.
    pub(crate) fn check(&self, digest: &Digest, signature: Option<&str>) -> Result<(), Refusal> {
        if self.ad_hoc || self.filters.contains(digest) {
            return Ok(());
        }
        let signature = signature.ok_or(Refusal::Unknown)?;
        let signature: Signature =
            signature.parse().map_err(|error| Refusal::NoSignature(format!("{error}")))?;
        let key = *signature.key();
        if !self.keys.contains(&key) {
            return Err(Refusal::UnknownKey(key));
        }
        if signature.vouches_for(digest) { Ok(()) } else { Err(Refusal::BadSignature(key)) }
    }
}

#[cfg(test)]
mod tests {
    use weir_plugin_runtime::SigningKey;

    use super::*;

    #[test]
    fn what_runs_is_listed_or_signed_or_anything_where_that_is_wanted() {
        let (ours, theirs) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (listed, other) = (Digest::of(b"listed"), Digest::of(b"other"));
        let policy = Policy { filters: [listed].into(), keys: [ours.public()].into(), ad_hoc: false };
        let by = |key: &SigningKey, digest| Some(key.sign(&digest).to_string());
        for (digest, signature, expected) in [
            (listed, None, Ok(())),
            (listed, by(&theirs, listed), Ok(())),
            (other, None, Err(Refusal::Unknown)),
            (other, by(&ours, other), Ok(())),
            (other, by(&ours, listed), Err(Refusal::BadSignature(ours.public()))),
            (other, by(&theirs, other), Err(Refusal::UnknownKey(theirs.public()))),
        ] {
            assert_eq!(policy.check(&digest, signature.as_deref()), expected, "{digest:.6} {signature:?}");
        }
        assert!(matches!(policy.check(&other, Some("x")), Err(Refusal::NoSignature(_))));
        assert!(policy.may_run(&other), "it may be signed");
        let strict = Policy { keys: BTreeSet::new(), ..policy };
        assert!(strict.may_run(&listed) && !strict.may_run(&other));
        let open = Policy { ad_hoc: true, ..Policy::default() };
        assert_eq!(open.check(&other, None), Ok(()));
        assert!(open.may_run(&other) && !Policy::default().may_run(&other));
    }
}
