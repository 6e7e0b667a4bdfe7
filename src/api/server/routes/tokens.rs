//! Tokens of this interface.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};

use super::{Context, part};
use crate::api::server::body;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{TokenRequest, TokenRevoked, Tokens};
use crate::api::{Backend, Problem};

pub(super) async fn list<B: Backend>(State(context): State<Context<B>>) -> Reply<Tokens> {
    json(context.backend.tokens().await)
}

pub(super) async fn make<B: Backend>(State(context): State<Context<B>>, request: Body) -> Result<Response, Problem> {
    let request: TokenRequest = body::json(request).await?;
    let mut response = json(context.backend.new_token(request).await).into_response();
    // Nobody on the way is to keep it.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(super) async fn revoke<B: Backend>(
    State(context): State<Context<B>>,
    Path(token): Path<String>,
) -> Reply<TokenRevoked> {
    json(context.backend.revoke_token(part(&token)?).await)
}
