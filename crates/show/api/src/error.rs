//! What a caller is told when a request cannot be served: always the same three parts, as
//! JSON: `{"error": {"code", "message", "help"}}`.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde::Serialize;
use std::borrow::Cow;

/// A refusal or failure of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Short and stable, for programs.
    pub code: &'static str,
    /// What happened, to what.
    pub message: Cow<'static, str>,
    /// What to do next.
    pub help: Cow<'static, str>,
}

/// The body of every error.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ErrorDocument {
    /// The error.
    pub error: ErrorBody,
}

/// What happened and what to do next.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// Short and stable, for programs.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What happened, to what.
    pub message: String,
    /// What to do next.
    pub help: String,
}

impl ApiError {
    /// An error of this status and code.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            help: help.into(),
        }
    }

    /// Something that is not there.
    pub fn not_found(
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, help)
    }

    /// A request that makes no sense.
    pub fn bad_request(
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, help)
    }

    /// Something that this node cannot do at the moment.
    pub fn unavailable(
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            message,
            help,
        )
    }

    /// The error as an HTTP response, ready to send.
    pub(crate) fn response(&self) -> hyper::Response<Full<Bytes>> {
        let document = ErrorDocument {
            error: ErrorBody {
                code: self.code,
                message: self.message.to_string(),
                help: self.help.to_string(),
            },
        };
        let mut body = serde_json::to_vec(&document).unwrap_or_default();
        body.push(b'\n');
        let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.response().map(axum::body::Body::new)
    }
}
