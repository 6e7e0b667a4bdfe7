//! Problems and JSON as responses.

use axum::Json;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body::Stream;
use crate::api::{Problem, ProblemKind};

/// What a handler returns.
pub(super) type Reply<T> = Result<Json<T>, Problem>;

/// A result as JSON.
pub(super) fn json<T: Serialize>(result: Result<T, Problem>) -> Reply<T> {
    result.map(Json)
}

/// A text, or the pieces of one, of some type.
pub(super) fn typed(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A stream of some type, that nobody on the way is to keep.
pub(super) fn stream(content_type: &'static str, stream: Stream) -> Response {
    let mut response = typed(content_type, Body::new(stream));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is texts and numbers; should it ever not be writable, its status still says what counts.
        let mut response = typed("application/problem+json", serde_json::to_vec(&self).unwrap_or_default());
        *response.status_mut() = status;
        if self.kind == ProblemKind::Unauthorized {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sup\""));
        }
        response
    }
}
