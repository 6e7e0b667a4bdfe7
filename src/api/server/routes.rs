//! The paths.
//!
//! | file | paths |
//! | --- | --- |
//! | `node` | `/healthz`, `/metrics`, `/v1/node`, `/v1/members/...`, `/v1/shutdown` |
//! | `groups` | `/v1/groups/...`, `/v1/explain/...` |
//! | `config` | `/v1/groups/G/config/...` |
//! | `files` | `/v1/groups/G/files/...` |
//! | `rollouts` | `/v1/groups/G/rollout/...` |
//! | `keys` | `/v1/ring/keys/...` |
//! | `tokens` | `/v1/tokens/...` |
//! | `releases` | `/v1/releases/...` |
//! | `services` | `/v1/services/...`, `/services/SVC/GROUP/health` |
//! | `streams` | `/v1/events`, `/v1/services/SVC/logs` |

mod config;
mod files;
mod groups;
mod keys;
mod node;
mod releases;
mod rollouts;
mod services;
mod streams;
mod tokens;

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::extract::rejection::QueryRejection;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};
use tokio_util::sync::CancellationToken;

use super::{Admission, Limits, admission, guard};
use crate::api::{Backend, Problem, ProblemKind};

/// What every handler is given.
#[derive(Clone)]
struct Context<B> {
    backend: B,
    limits: Limits,
    admission: Arc<Admission>,
    /// Ends the streams, which have no end of their own.
    stop: CancellationToken,
}

/// All paths over `backend`.
pub(super) fn router<B: Backend>(
    backend: B,
    limits: Limits,
    admission: Arc<Admission>,
    stop: CancellationToken,
) -> Router {
    let context = Context { backend: backend.clone(), limits, admission: Arc::clone(&admission), stop };
    // What takes long by its nature has a deadline of its own.
    let uploads = Router::new()
        .route("/v1/releases", get(releases::list::<B>).put(releases::add::<B>))
        .route("/v1/groups/{group}/files/{name}", put(files::upload::<B>).delete(files::remove::<B>))
        .method_not_allowed_fallback(wrong_method)
        .with_state(context.clone())
        .layer(from_fn_with_state(limits.upload, guard::deadline));
    let calls = Router::new()
        .route("/healthz", get(node::healthz::<B>))
        .route("/metrics", get(node::metrics::<B>))
        .route("/services/{service}/{group}/health", get(services::health::<B>))
        .route("/v1/node", get(node::node::<B>))
        .route("/v1/members", get(node::members::<B>))
        .route("/v1/members/{node}/depart", post(node::depart::<B>))
        .route("/v1/members/{node}/undepart", post(node::undepart::<B>))
        .route("/v1/shutdown", post(node::shutdown::<B>))
        .route("/v1/groups", get(groups::list::<B>))
        .route("/v1/groups/{group}", get(groups::show::<B>))
        .route("/v1/groups/{group}/recover", post(groups::recover::<B>))
        .route("/v1/groups/{group}/members", get(groups::members::<B>))
        .route("/v1/groups/{group}/desired", put(groups::desired::<B>))
        .route("/v1/groups/{group}/config", get(config::show::<B>).put(config::apply::<B>).delete(config::unset::<B>))
        .route("/v1/groups/{group}/config/history", get(config::history::<B>))
        .route("/v1/groups/{group}/config/preview", post(config::preview::<B>))
        .route("/v1/groups/{group}/config/rollback", post(config::rollback::<B>))
        .route("/v1/groups/{group}/files", get(files::list::<B>))
        .route("/v1/groups/{group}/files/{name}/history", get(files::history::<B>))
        .route("/v1/groups/{group}/files/{name}/rollback", post(files::rollback::<B>))
        .route("/v1/groups/{group}/rollout", get(rollouts::show::<B>))
        .route("/v1/groups/{group}/rollout/pause", post(rollouts::pause::<B>))
        .route("/v1/groups/{group}/rollout/resume", post(rollouts::resume::<B>))
        .route("/v1/groups/{group}/rollout/retry", post(rollouts::retry::<B>))
        .route("/v1/groups/{group}/rollout/rollback", post(rollouts::rollback::<B>))
        .route("/v1/groups/{group}/rollout/abort", post(rollouts::abort::<B>))
        .route("/v1/releases/gc", post(releases::gc::<B>))
        .route("/v1/releases/{*release}", get(releases::show::<B>))
        .route("/v1/ring/keys", get(keys::list::<B>))
        .route("/v1/ring/keys/in-use", get(keys::show_in_use::<B>))
        .route("/v1/ring/keys/install", post(keys::install::<B>))
        .route("/v1/ring/keys/use", post(keys::use_it::<B>))
        .route("/v1/ring/keys/remove", post(keys::remove::<B>))
        .route("/v1/ring/keys/{key}", get(keys::show::<B>))
        .route("/v1/tokens", get(tokens::list::<B>).post(tokens::make::<B>))
        .route("/v1/tokens/{token}", delete(tokens::revoke::<B>))
        .route("/v1/explain/{target}", get(groups::explain::<B>))
        .route("/v1/services", get(services::list::<B>).post(services::start::<B>))
        .route("/v1/services/{target}", get(services::show::<B>))
        .route("/v1/services/{target}/stop", post(services::stop::<B>))
        .route("/v1/services/{target}/restart", post(services::restart::<B>))
        .route("/v1/services/{target}/unload", post(services::unload::<B>))
        .route("/v1/services/{target}/logs", get(streams::logs::<B>))
        .route("/v1/events", get(streams::events::<B>))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(context)
        .layer(from_fn_with_state(limits.request, guard::deadline));
    let all = calls.merge(uploads).layer(from_fn(guard::same_origin));
    // The last one is asked first: who may not ask learns nothing else.
    all.layer(from_fn_with_state((admission, backend, limits.request), admission::admit::<B>))
}

/// What a connection beyond the limit is answered, whatever it asks.
pub(super) fn busy(limits: Limits) -> Router {
    let detail = format!("{} connections are open, and no more are taken", limits.connections);
    let problem = Problem::new(ProblemKind::Busy, detail).next("close some, such as `sup logs -f` that nobody reads");
    Router::new().fallback(async move || problem).layer(from_fn(close_after))
}

/// Asks the other side not to send another request on this connection.
async fn close_after(request: Request, next: axum::middleware::Next) -> axum::response::Response {
    use axum::http::HeaderValue;
    use axum::http::header::CONNECTION;
    let mut response = next.run(request).await;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn unknown_route(request: Request) -> Problem {
    Problem::new(ProblemKind::UnknownRoute, format!("there is no {}", request.uri().path()))
        .next("the paths are /v1/{node,members,groups,services,events}, /metrics, /healthz")
}

async fn wrong_method(request: Request) -> Problem {
    Problem::new(ProblemKind::WrongMethod, format!("{} does not take {}", request.uri().path(), request.method()))
}

/// A part of the path, or the problem that it is not what belongs there.
fn part<T: FromStr>(text: &str) -> Result<T, Problem>
where
    T::Err: Error + 'static,
{
    text.parse().map_err(|error: T::Err| Problem::caused(ProblemKind::BadRequest, &error))
}

/// The problem that a query is not what is expected.
fn bad_query(rejection: &QueryRejection) -> Problem {
    Problem::caused(ProblemKind::BadRequest, rejection)
}
