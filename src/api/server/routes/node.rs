//! This node and the ring.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Context;
use crate::api::server::body;
use crate::api::server::reply::{Reply, json, typed};
use crate::api::shape::{DepartRequest, Departed, Members, Node};
use crate::api::{Backend, Problem};

/// Whether the supervisor answers: its loop is asked, not only its HTTP.
pub(super) async fn healthz<B: Backend>(State(context): State<Context<B>>) -> Result<Response, Problem> {
    context.backend.node().await?;
    Ok(typed("text/plain; charset=utf-8", "ok\n"))
}

pub(super) async fn metrics<B: Backend>(State(context): State<Context<B>>) -> Result<Response, Problem> {
    let page = context.backend.metrics().await? + &context.admission.refusals.metrics();
    Ok(typed("text/plain; version=0.0.4; charset=utf-8", page))
}

pub(super) async fn node<B: Backend>(State(context): State<Context<B>>) -> Reply<Node> {
    json(context.backend.node().await)
}

pub(super) async fn members<B: Backend>(State(context): State<Context<B>>) -> Reply<Members> {
    json(context.backend.members().await)
}

pub(super) async fn depart<B: Backend>(
    State(context): State<Context<B>>,
    Path(node): Path<String>,
    request: Body,
) -> Reply<Departed> {
    let request: DepartRequest = body::json(request).await?;
    json(context.backend.depart(&node, request).await)
}

pub(super) async fn undepart<B: Backend>(
    State(context): State<Context<B>>,
    Path(node): Path<String>,
) -> Reply<Departed> {
    json(context.backend.undepart(&node).await)
}

pub(super) async fn shutdown<B: Backend>(State(context): State<Context<B>>) -> Result<StatusCode, Problem> {
    context.backend.shutdown().await?;
    Ok(StatusCode::ACCEPTED)
}
