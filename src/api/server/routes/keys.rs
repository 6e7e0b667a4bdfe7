//! The keys of the ring. Only locally: who has one has the ring.

use axum::body::Body;
use axum::extract::{Path, State};

use super::{Context, part};
use crate::api::Backend;
use crate::api::server::reply::{Reply, json};
use crate::api::server::{body, guard};
use crate::api::shape::{KeyInstall, KeyOrder, KeyShown, KeysChanged, RingKeys};

/// What is refused over HTTP.
const CHANGED: &str = "the keys of the ring are changed";

pub(super) async fn list<B: Backend>(State(context): State<Context<B>>) -> Reply<RingKeys> {
    // It asks all members: nobody else is to have them asked.
    guard::local_only(context.door, "the keys of the ring are listed")?;
    json(context.backend.ring_keys().await)
}

pub(super) async fn show_in_use<B: Backend>(State(context): State<Context<B>>) -> Reply<KeyShown> {
    guard::local_only(context.door, "a key of the ring is shown")?;
    json(context.backend.show_key(None).await)
}

pub(super) async fn show<B: Backend>(State(context): State<Context<B>>, Path(key): Path<String>) -> Reply<KeyShown> {
    guard::local_only(context.door, "a key of the ring is shown")?;
    json(context.backend.show_key(Some(part(&key)?)).await)
}

pub(super) async fn install<B: Backend>(State(context): State<Context<B>>, request: Body) -> Reply<KeysChanged> {
    guard::local_only(context.door, CHANGED)?;
    let request: KeyInstall = body::json(request).await?;
    json(context.backend.install_key(request).await)
}

pub(super) async fn use_it<B: Backend>(State(context): State<Context<B>>, request: Body) -> Reply<KeysChanged> {
    guard::local_only(context.door, CHANGED)?;
    let request: KeyOrder = body::json(request).await?;
    json(context.backend.use_key(request).await)
}

pub(super) async fn remove<B: Backend>(State(context): State<Context<B>>, request: Body) -> Reply<KeysChanged> {
    guard::local_only(context.door, CHANGED)?;
    let request: KeyOrder = body::json(request).await?;
    json(context.backend.remove_key(request).await)
}
