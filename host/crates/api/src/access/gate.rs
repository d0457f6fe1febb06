//! Where each request, and each connection that sends lines, shows what it may.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::RwLock;
use weir_record::limits::{TOKEN_BURST_S, TOKEN_QUERIES_DEFAULT, TOKEN_REQUESTS_PER_S_DEFAULT};

use super::pace::Failures;
use super::tokens::{self, InForce};
use super::{Caller, Scope, Secret, Token, TokenChanges};
use crate::error::{ApiError, ErrorKind};

/// The scheme, as `Authorization` names it.
const SCHEME: &str = "Bearer";

/// What one token may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateOptions {
    /// Requests per second, at least 1.
    pub requests_per_s: u64,
    /// Queries and live tails at once, at least 1.
    pub queries_max: usize,
}

impl Default for GateOptions {
    fn default() -> Self {
        GateOptions { requests_per_s: TOKEN_REQUESTS_PER_S_DEFAULT, queries_max: TOKEN_QUERIES_DEFAULT }
    }
}

/// The tokens in force, and what was tried with others.
pub struct Gate {
    tokens: RwLock<Arc<[Arc<InForce>]>>,
    failures: Failures,
    options: GateOptions,
}

impl Gate {
    /// A gate that these tokens open.
    pub fn new(tokens: Vec<Token>, options: GateOptions) -> Gate {
        let queries_max = options.queries_max;
        let tokens = tokens.into_iter().map(|token| InForce::new(token, queries_max)).collect();
        Gate { tokens: RwLock::new(tokens), failures: Failures::default(), options }
    }

    /// Puts other tokens in force. What is under way for one that is gone, or that differs, ends.
    pub fn replace(&self, tokens: Vec<Token>) -> TokenChanges {
        let mut in_force = self.tokens.write();
        let mut changes = TokenChanges::default();
        let mut kept: Vec<Arc<InForce>> = Vec::with_capacity(tokens.len());
        for token in tokens {
            let known = in_force.iter().find(|known| known.token == token).cloned();
            kept.push(known.unwrap_or_else(|| {
                changes.added.push(token.name.clone());
                InForce::new(token, self.options.queries_max)
            }));
        }
        for gone in in_force.iter().filter(|old| !kept.iter().any(|new| Arc::ptr_eq(old, new))) {
            changes.removed.push(gone.token.name.clone());
            gone.taken_back.cancel();
        }
        *in_force = kept.into();
        changes
    }

    /// Who asks, if that is somebody who may do one of the things that a route needs.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        address: IpAddr,
        now_ms: u64,
        needs: &[Scope],
    ) -> Result<Caller, ApiError> {
        self.admit_secret(shown(headers)?, address, now_ms, needs)
    }

    /// The same of a text that stands for a secret.
    pub fn admit_secret(
        &self,
        shown: &str,
        address: IpAddr,
        now_ms: u64,
        needs: &[Scope],
    ) -> Result<Caller, ApiError> {
        let known = shown.parse::<Secret>().ok().and_then(|secret| {
            let tokens = self.tokens.read().clone();
            tokens::find(&tokens, &secret.sha256())
        });
        let Some(known) = known else {
            self.count_failure(address, now_ms)?;
            return Err(no_token("bad_token", "the token is not one of this node's").hint(
                "it was mistyped, taken back, or made for another cluster; ask whoever runs this node",
            ));
        };
        let Token { name, scopes, expires_ms, .. } = &known.token;
        if expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
            return Err(no_token("expired_token", format!("the token {name:?} has expired"))
                .hint("ask whoever runs this node for another one"));
        }
        if !needs.iter().any(|scope| scopes.contains(scope)) {
            let needed: Vec<&str> = needs.iter().map(|scope| scope.name()).collect();
            let has: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
            let (needed, has) = (needed.join(" or "), has.join(", "));
            let message = format!("this needs a token with the scope {needed}, and {name:?} has {has}");
            return Err(ApiError::new(ErrorKind::Forbidden, "wrong_scope", message)
                .hint(format!("use a token with the scope {needed}")));
        }
        self.pace(&known, now_ms)?;
        let lasts = needs == [Scope::Query] || needs == [Scope::Tail];
        let place = if lasts { Some(place(&known)?) } else { None };
        Ok(Caller::of(known, now_ms, place))
    }

    fn count_failure(&self, address: IpAddr, now_ms: u64) -> Result<(), ApiError> {
        self.failures.count(address, now_ms).map_err(|retry_after_s| {
            ApiError::new(
                ErrorKind::TooMany,
                "too_many_failures",
                "too many wrong tokens came from this address",
            )
            .hint("come again later, with a token of this node")
            .retry_after_s(retry_after_s)
        })
    }

    fn pace(&self, known: &InForce, now_ms: u64) -> Result<(), ApiError> {
        let per_s = self.options.requests_per_s.max(1);
        let admitted = known.requests.lock().admit(now_ms, 1_000_000 / per_s, per_s * TOKEN_BURST_S);
        admitted.map_err(|retry_after_s| {
            let message =
                format!("the token {:?} makes more than {per_s} requests per second", known.token.name);
            ApiError::new(ErrorKind::TooMany, "too_many_requests", message)
                .hint("send more at once, or have auth.requests_per_s raised")
                .retry_after_s(retry_after_s)
        })
    }
}

/// A place for one more query or tail of a token.
fn place(known: &InForce) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
    known.queries.clone().try_acquire_owned().map_err(|_| {
        let message = format!(
            "the token {:?} has as many queries and live tails under way as it may",
            known.token.name
        );
        ApiError::new(ErrorKind::TooMany, "too_many_queries", message)
            .hint("wait for some to end, or have auth.queries raised")
    })
}

/// What a request shows.
fn shown(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let parts = value.and_then(|value| value.split_once(' '));
    match parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME)) {
        Some((_, shown)) => Ok(shown),
        None => Err(no_token("no_token", "this node asks for a token, and the request shows none").hint(
            "send the header Authorization: Bearer TOKEN; weir takes it from --token-file FILE, or from WEIR_TOKEN",
        )),
    }
}

fn no_token(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::NoToken, code, message)
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("tokens", &self.tokens.read().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
