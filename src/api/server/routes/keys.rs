//! The keys of the ring.

use axum::body::Body;
use axum::extract::{Path, State};

use super::{Context, part};
use crate::api::Backend;
use crate::api::server::body;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{KeyInstall, KeyOrder, KeyShown, KeysChanged, RingKeys};

pub(super) async fn list<B: Backend>(State(context): State<Context<B>>) -> Reply<RingKeys> {
    json(context.backend.ring_keys().await)
}

pub(super) async fn show_in_use<B: Backend>(State(context): State<Context<B>>) -> Reply<KeyShown> {
    json(context.backend.show_key(None).await)
}

pub(super) async fn show<B: Backend>(State(context): State<Context<B>>, Path(key): Path<String>) -> Reply<KeyShown> {
    json(context.backend.show_key(Some(part(&key)?)).await)
}

pub(super) async fn install<B: Backend>(State(context): State<Context<B>>, request: Body) -> Reply<KeysChanged> {
    let request: KeyInstall = body::json(request).await?;
    json(context.backend.install_key(request).await)
}

pub(super) async fn use_it<B: Backend>(State(context): State<Context<B>>, request: Body) -> Reply<KeysChanged> {
    let request: KeyOrder = body::json(request).await?;
    json(context.backend.use_key(request).await)
}

pub(super) async fn remove<B: Backend>(State(context): State<Context<B>>, request: Body) -> Reply<KeysChanged> {
    let request: KeyOrder = body::json(request).await?;
    json(context.backend.remove_key(request).await)
}
