//! What every request must pass.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::{Problem, ProblemKind};

/// Answers in time, whatever the handler does. A stream's answer is its head: it has no end of its own.
pub(super) async fn deadline(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("{what} was not answered within {} ms", limit.as_millis());
        Problem::new(ProblemKind::Timeout, detail)
            .next("see what the supervisor does: sup status, and its log")
            .into_response()
    })
}

/// Keeps pages of other sites, open in a browser on this machine, from changing anything: a browser says where a page
/// comes from, and no other program does.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || is_same_origin(request.headers()) {
        next.run(request).await
    } else {
        Problem::new(ProblemKind::Forbidden, "a page of another site may not change anything here").into_response()
    }
}

/// No origin at all, or the very address that was asked. The address must be literal: the name of another site may have
/// been made to resolve to this machine.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    let literal = |authority: &str| {
        authority.parse::<Authority>().is_ok_and(|authority| {
            let host = authority.host().trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok()
        })
    };
    match (origin, host) {
        (Some(origin), Some(host)) => origin == host && literal(host),
        (_, None) | (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::{HOST, ORIGIN};

    use super::is_same_origin;

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_very_address_that_was_asked_is_the_same_origin() {
        assert!(is_same_origin(&headers("127.0.0.1:9631", None)));
        assert!(is_same_origin(&headers("127.0.0.1:9631", Some("http://127.0.0.1:9631"))));
        assert!(is_same_origin(&headers("[::1]:9631", Some("http://[::1]:9631"))));
        assert!(is_same_origin(&headers("localhost:9631", Some("http://localhost:9631"))));
        assert!(!is_same_origin(&headers("127.0.0.1:9631", Some("http://127.0.0.1:80"))));
        assert!(!is_same_origin(&headers("127.0.0.1:9631", Some("null"))));
        assert!(!is_same_origin(&headers("127.0.0.1:9631", Some("https://example.org"))));
    }

    #[test]
    fn a_name_that_was_made_to_resolve_here_is_not_the_same_origin() {
        assert!(!is_same_origin(&headers("evil.example:9631", Some("http://evil.example:9631"))));
    }
}
