//! What a request that fails gets: one code for programs, one message and one hint for people, and what
//! only the operator may read.

use serde::{Deserialize, Serialize};

/// What kind of failure it is: decides the HTTP status, and with it what the client should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be understood: mend it.
    BadRequest,
    /// The request does not show that it may be made: sign it.
    Unauthorized,
    /// The request shows no token, or one that is good for nothing: show another one.
    NoToken,
    /// Not from there, or not with this token: a browser page of another site asked, a machine that may not, or somebody
    /// who may do something else.
    Forbidden,
    /// No such route.
    NotFound,
    /// The route exists, not with this method.
    MethodNotAllowed,
    /// Another one is at it: come again.
    Conflict,
    /// It was here and will not come back.
    Gone,
    /// The body came too slowly.
    Timeout,
    /// The body is larger than the node takes, as sent or after decompression.
    TooLarge,
    /// A content type or encoding that the node does not read.
    MediaType,
    /// The node is busy with as many requests as it takes: come again.
    TooMany,
    /// A defect of weir: report it.
    Internal,
    /// The node's configuration is wrong. The request is not: an operator has to mend it.
    BadConfig,
    /// Comes with a later version.
    NotYet,
    /// The node cannot answer now: it starts, stops, or has lost its log. Come again, or go elsewhere.
    Unavailable,
    /// The disk is full. Nothing of the request was stored.
    DiskFull,
}

impl ErrorKind {
    /// The HTTP status.
    pub fn status(self) -> http::StatusCode {
        use http::StatusCode as Status;
        match self {
            ErrorKind::BadRequest => Status::BAD_REQUEST,
            ErrorKind::Unauthorized | ErrorKind::NoToken => Status::UNAUTHORIZED,
            ErrorKind::Forbidden => Status::FORBIDDEN,
            ErrorKind::NotFound => Status::NOT_FOUND,
            ErrorKind::MethodNotAllowed => Status::METHOD_NOT_ALLOWED,
            ErrorKind::Conflict => Status::CONFLICT,
            ErrorKind::Gone => Status::GONE,
            ErrorKind::Timeout => Status::REQUEST_TIMEOUT,
            ErrorKind::TooLarge => Status::PAYLOAD_TOO_LARGE,
            ErrorKind::MediaType => Status::UNSUPPORTED_MEDIA_TYPE,
            ErrorKind::TooMany => Status::TOO_MANY_REQUESTS,
            ErrorKind::Internal | ErrorKind::BadConfig => Status::INTERNAL_SERVER_ERROR,
            ErrorKind::NotYet => Status::NOT_IMPLEMENTED,
            ErrorKind::Unavailable => Status::SERVICE_UNAVAILABLE,
            ErrorKind::DiskFull => Status::INSUFFICIENT_STORAGE,
        }
    }

    /// After how many seconds a client may come again when the error names no time of its own.
    fn retry_after_s(self) -> Option<u32> {
        match self {
            ErrorKind::Conflict | ErrorKind::TooMany | ErrorKind::Unavailable => Some(1),
            ErrorKind::DiskFull => Some(10),
            _ => None,
        }
    }
}

/// A failed request. The client sees code, message, hint and column; the log sees the detail as well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default())]
pub struct ApiError {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    hint: Option<Box<str>>,
    detail: Option<Box<str>>,
    column: Option<u32>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    /// An error of a kind. `code` is for programs: lower case, words joined by `_`, never changed.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> ApiError {
        let retry_after_s = kind.retry_after_s();
        ApiError {
            kind,
            code,
            message: message.into(),
            hint: None,
            detail: None,
            column: None,
            retry_after_s,
        }
    }

    /// A request that cannot be understood.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::BadRequest, code, message)
    }

    /// A defect of weir. The client learns that there was one, the log what it was.
    pub fn internal(detail: impl Into<Box<str>>) -> ApiError {
        ApiError::new(ErrorKind::Internal, "internal", "the node failed to answer")
            .hint("the node's log says why; please report it")
            .detail(detail)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Box<str>>) -> ApiError {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what only the log may say.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Box<str>>) -> ApiError {
        self.detail = Some(detail.into());
        self
    }

    /// Adds where in the query it is wrong: characters from 1.
    #[must_use]
    pub fn column(mut self, column: u32) -> ApiError {
        self.column = Some(column);
        self
    }

    /// Sets when to come again, in seconds.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> ApiError {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What the client reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// When to come again, in seconds.
    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// The envelope that goes to the client.
    pub fn envelope(&self) -> ErrorEnvelope {
        ErrorEnvelope {
            error: ErrorBody {
                code: self.code.into(),
                message: self.message.clone(),
                hint: self.hint.as_deref().map(Into::into),
                column: self.column,
            },
        }
    }
}

/// `{"error":{…}}`: the body of every answer with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    /// The error.
    pub error: ErrorBody,
}

/// What is wrong, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs: stable.
    pub code: String,
    /// For people: what is wrong and why.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where the query is wrong: characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_never_sees_the_detail() {
        let error = ApiError::internal("fdatasync of /secret failed");
        assert_eq!(error.to_string(), "the node failed to answer (fdatasync of /secret failed)");
        let sent = serde_json::to_string(&error.envelope()).unwrap();
        assert!(!sent.contains("secret"), "{sent}");
        assert!(sent.starts_with(r#"{"error":{"code":"internal","message":"the node failed"#), "{sent}");
    }

    #[test]
    fn who_may_come_again_is_told_when() {
        for (kind, expected) in [
            (ErrorKind::TooMany, Some(1)),
            (ErrorKind::Unavailable, Some(1)),
            (ErrorKind::DiskFull, Some(10)),
            (ErrorKind::BadRequest, None),
        ] {
            assert_eq!(ApiError::new(kind, "x", "y").retry_after(), expected, "{kind:?}");
        }
        assert_eq!(ApiError::new(ErrorKind::TooMany, "x", "y").retry_after_s(7).retry_after(), Some(7));
    }
}
