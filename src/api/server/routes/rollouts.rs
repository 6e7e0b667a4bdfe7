//! A group's rollout.

use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::{Context, part};
use crate::api::Backend;
use crate::api::server::admission::Granted;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{Acted, RolloutReport};
use crate::records::value::OrderKind;

pub(super) async fn show<B: Backend>(
    State(context): State<Context<B>>,
    Extension(granted): Extension<Granted>,
    Path(group): Path<String>,
) -> Reply<RolloutReport> {
    let report = context.backend.rollout(&part(&group)?).await?;
    Ok(Json(if granted.sees_output() { report } else { report.without_output() }))
}

pub(super) async fn pause<B: Backend>(State(context): State<Context<B>>, Path(group): Path<String>) -> Reply<Acted> {
    order(&context.backend, &group, OrderKind::Pause).await
}

pub(super) async fn resume<B: Backend>(State(context): State<Context<B>>, Path(group): Path<String>) -> Reply<Acted> {
    order(&context.backend, &group, OrderKind::Resume).await
}

pub(super) async fn retry<B: Backend>(State(context): State<Context<B>>, Path(group): Path<String>) -> Reply<Acted> {
    order(&context.backend, &group, OrderKind::Retry).await
}

pub(super) async fn rollback<B: Backend>(State(context): State<Context<B>>, Path(group): Path<String>) -> Reply<Acted> {
    order(&context.backend, &group, OrderKind::Rollback).await
}

pub(super) async fn abort<B: Backend>(State(context): State<Context<B>>, Path(group): Path<String>) -> Reply<Acted> {
    order(&context.backend, &group, OrderKind::Abort).await
}

async fn order<B: Backend>(backend: &B, group: &str, order: OrderKind) -> Reply<Acted> {
    json(backend.order(&part(group)?, order).await)
}
