//! The end of queries that take too long.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use weir_api::backend::{ApiError, ErrorKind, QueryAnswer};

/// Cancels a query when its time is over; then its answer ends with an error that says so, behind the rows that were
/// sent before. The time runs from here on, waiting for a place and for a slow reader included.
pub(super) async fn within(
    time_max: Duration,
    cancel: CancellationToken,
    start: impl Future<Output = Result<QueryAnswer, ApiError>>,
) -> Result<QueryAnswer, ApiError> {
    let deadline = Instant::now() + time_max;
    let Ok(started) = timeout_at(deadline, start).await else {
        cancel.cancel();
        return Err(too_long(time_max));
    };
    let QueryAnswer { rows, mut done, partial } = started?;
    let (finish, told) = oneshot::channel();
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = &mut done => ended,
            () = sleep_until(deadline) => {
                cancel.cancel();
                // What was under way ends first: nothing goes on behind the answer.
                done.await.map(|_| Err(too_long(time_max)))
            }
        };
        // One that ends without a word is a defect, and remains one.
        if let Ok(ended) = ended {
            let _ = finish.send(ended);
        }
    });
    Ok(QueryAnswer { rows, done: told, partial })
}

pub(super) fn too_long(time_max: Duration) -> ApiError {
    let message = format!("the query took longer than query.timeout allows, {} s", time_max.as_secs_f64());
    ApiError::new(ErrorKind::Unavailable, "query_timeout", message)
        .hint("ask for a narrower time range, fewer streams or whole words, or raise query.timeout")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    use tokio::sync::mpsc;
    use weir_query::Stats;

    const TIME: Duration = Duration::from_millis(20);

    /// A query that ends as it is cancelled, or when it is told to.
    fn query(cancel: &CancellationToken, ended: bool) -> QueryAnswer {
        let (_, rows) = mpsc::channel(1);
        let (finish, done) = oneshot::channel();
        let cancel = cancel.clone();
        tokio::spawn(async move {
            if !ended {
                cancel.cancelled().await;
            }
            let _ = finish.send(Ok(Stats::default()));
        });
        QueryAnswer { rows, done, partial: false }
    }

    #[tokio::test]
    async fn a_query_that_takes_too_long_is_cancelled_and_says_so() {
        let cancel = CancellationToken::new();
        let answer = within(TIME, cancel.clone(), ready(Ok(query(&cancel, false)))).await.unwrap();
        let error = answer.done.await.unwrap().unwrap_err();
        assert!(error.code() == "query_timeout" && cancel.is_cancelled(), "{error}");
        // Also one that waits for its turn.
        let cancel = CancellationToken::new();
        let error = within(TIME, cancel.clone(), pending()).await.unwrap_err();
        assert!(error.code() == "query_timeout" && cancel.is_cancelled(), "{error}");
    }

    #[tokio::test]
    async fn one_that_ends_in_time_is_left_alone() {
        let cancel = CancellationToken::new();
        let hour = Duration::from_hours(1);
        let answer = within(hour, cancel.clone(), ready(Ok(query(&cancel, true)))).await.unwrap();
        assert!(answer.done.await.unwrap().is_ok() && !cancel.is_cancelled());
    }
}
