//! Who asks, once that is known.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use weir_query::{Expr, parse};

use super::Topics;
use super::tokens::InForce;
use crate::error::{ApiError, ErrorKind};

/// Longer than any process lives, and short enough for every clock.
const EXPIRES_S_MAX: u64 = 10 * 365 * 24 * 3600;

/// Who asks: a token, or anybody where none is asked for.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    token: Option<Arc<InForce>>,
    topics: Topics,
    expires: Option<Instant>,
    /// Held until the answer has ended.
    _place: Option<Arc<OwnedSemaphorePermit>>,
}

impl Caller {
    pub(super) fn of(token: Arc<InForce>, now_ms: u64, place: Option<OwnedSemaphorePermit>) -> Caller {
        let expires = token.token.expires_ms.map(|expires_ms| {
            let left = Duration::from_millis(expires_ms.saturating_sub(now_ms));
            Instant::now() + left.min(Duration::from_secs(EXPIRES_S_MAX))
        });
        let topics = token.token.topics.clone();
        Caller { token: Some(token), topics, expires, _place: place.map(Arc::new) }
    }

    /// Somebody else's question, which another node has passed on.
    pub(crate) fn restricted(topics: Topics) -> Caller {
        Caller { topics, ..Caller::default() }
    }

    /// What may be read and written.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Refuses to write to a topic that is not the caller's.
    pub fn may_write(&self, topic: &str) -> Result<(), ApiError> {
        if self.topics.allows(topic) {
            return Ok(());
        }
        let shown: String = topic.chars().take(80).collect();
        let message = format!("the token may not write to the topic {shown:?}; nothing was stored");
        Err(ApiError::new(ErrorKind::Forbidden, "wrong_topic", message)
            .hint("send to a topic of the token, or use one that has this among its topics"))
    }

    /// A query that finds of what was asked for what the caller may read.
    pub(crate) fn restrict(&self, expr: Expr) -> Result<Expr, ApiError> {
        if !self.topics.is_restricted() {
            return Ok(expr);
        }
        let expr = Expr::all_of([self.topics.expr(), expr]);
        // As other nodes will read it: with the topics it may be more than they take.
        parse(&expr.to_string()).map_err(|error| {
            ApiError::bad_request("bad_query", format!("with the topics of the token: {}", error.message))
                .hint("ask for less at once")
        })?;
        Ok(expr)
    }

    /// Whether something may end what is under way for this caller.
    pub(crate) fn may_end(&self) -> bool {
        self.token.is_some()
    }

    /// Returns when the token is good for nothing any more; never without one.
    pub async fn ended(self) {
        let Some(token) = &self.token else { return std::future::pending().await };
        let expired = async {
            match self.expires {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = token.taken_back.cancelled() => {}
            () = expired => {}
        }
    }
}
