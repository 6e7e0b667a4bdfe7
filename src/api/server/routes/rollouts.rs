//! A group's rollout, and releases as they are handed over.

use axum::body::Body;
use axum::extract::{Path, State};
use tokio::sync::mpsc;

use super::{Context, part};
use crate::api::Backend;
use crate::api::server::reply::{Reply, json};
use crate::api::server::{body, guard};
use crate::api::shape::{Acted, ReleaseAdded, RolloutReport};
use crate::records::value::OrderKind;

/// Pieces of an upload that wait for the disk.
const PIECES: usize = 16;

pub(super) async fn show<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
) -> Reply<RolloutReport> {
    json(context.backend.rollout(&part(&group)?).await)
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

/// Takes an archive. Only locally: its hooks will run as the supervisor's user.
pub(super) async fn add_release<B: Backend>(State(context): State<Context<B>>, archive: Body) -> Reply<ReleaseAdded> {
    guard::local_only(context.door, "a release is handed over")?;
    let (pieces, upload) = mpsc::channel(PIECES);
    let (added, ()) =
        tokio::join!(context.backend.add_release(upload), body::pump(archive, body::RELEASE_BODY_BYTES, pieces));
    json(added)
}
