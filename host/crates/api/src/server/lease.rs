//! Answers that last: a query under way, live records. They end when the token that asked for them is good for nothing
//! any more, however long their client would listen; and what the caller holds is held as long as they last.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::{Body as _, Frame, SizeHint};

use super::respond::{BodyError, Response};
use crate::access::Caller;

/// An answer for a caller. One that is there as a whole is left as it is.
pub(crate) fn leased(response: Response, caller: Caller) -> Response {
    if !caller.may_end() || response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| Body::new(Leased { body, ended: Box::pin(caller.clone().ended()), _caller: caller }))
}

struct Leased {
    body: Body,
    ended: BoxFuture<'static, ()>,
    _caller: Caller,
}

impl hyper::body::Body for Leased {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            let why = BodyError("the token that asked for it is good for nothing any more".into());
            return Poll::Ready(Some(Err(axum::Error::new(why))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
