//! The releases of this node.

use axum::body::Body;
use axum::extract::{Path, State};
use tokio::sync::mpsc;

use super::{Context, part};
use crate::api::Backend;
use crate::api::server::body;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{Release, ReleaseAdded, Releases, ReleasesRemoved};

/// Pieces of an upload that wait for the disk.
const PIECES: usize = 16;

pub(super) async fn list<B: Backend>(State(context): State<Context<B>>) -> Reply<Releases> {
    json(context.backend.releases().await)
}

pub(super) async fn show<B: Backend>(State(context): State<Context<B>>, Path(release): Path<String>) -> Reply<Release> {
    json(context.backend.release(&part(&release)?).await)
}

pub(super) async fn gc<B: Backend>(State(context): State<Context<B>>) -> Reply<ReleasesRemoved> {
    json(context.backend.gc_releases().await)
}

/// Takes an archive.
pub(super) async fn add<B: Backend>(State(context): State<Context<B>>, archive: Body) -> Reply<ReleaseAdded> {
    let (pieces, upload) = mpsc::channel(PIECES);
    let (added, ()) =
        tokio::join!(context.backend.add_release(upload), body::pump(archive, body::RELEASE_BODY_BYTES, pieces));
    json(added)
}
