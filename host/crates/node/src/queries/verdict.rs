//! What ends a query whoever says it: a stage that fails, or that a node cannot run, fails everywhere.

use std::sync::Arc;

use parking_lot::Mutex;
use weir_api::backend::{ApiError, ErrorKind};
use weir_api::client::ClientError;

use super::local::FILTER_FAILED;
use crate::filters::{FILTER_REFUSED, FILTER_WANTED};

/// Codes of errors that no other node can mend.
const FINAL: [&str; 5] = [FILTER_FAILED, "filter_unknown", "bad_filter", FILTER_WANTED, FILTER_REFUSED];

/// The first such error of a query. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<ApiError>>>);

impl Verdict {
    /// What another node said, in words for whoever plans anew.
    pub(super) fn of(&self, node: &str, error: &ClientError) -> String {
        if let Some(code) = error.code().and_then(|code| FINAL.iter().find(|known| **known == code)) {
            let told = ApiError::new(ErrorKind::BadRequest, code, format!("{node}: {error}"));
            self.0.lock().get_or_insert(told);
        }
        error.to_string()
    }

    /// The same of this node.
    pub(super) fn of_own(&self, error: ApiError) -> String {
        let text = error.to_string();
        if FINAL.contains(&error.code()) {
            self.0.lock().get_or_insert(error);
        }
        text
    }

    /// The error, if there was one.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match &*self.0.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}
