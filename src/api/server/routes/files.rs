//! A group's files.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Context, bad_query, part};
use crate::api::Backend;
use crate::api::server::body;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{FileApplied, FileHistory, Files, RollbackRequest};

/// Pieces of an upload that wait for the disk.
const PIECES: usize = 16;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExpectQuery {
    expect: Option<String>,
}

pub(super) async fn list<B: Backend>(State(context): State<Context<B>>, Path(group): Path<String>) -> Reply<Files> {
    json(context.backend.files(&part(&group)?).await)
}

pub(super) async fn history<B: Backend>(
    State(context): State<Context<B>>,
    Path((group, name)): Path<(String, String)>,
) -> Reply<FileHistory> {
    json(context.backend.file_history(&part(&group)?, &part(&name)?).await)
}

pub(super) async fn upload<B: Backend>(
    State(context): State<Context<B>>,
    Path((group, name)): Path<(String, String)>,
    query: Result<Query<ExpectQuery>, QueryRejection>,
    content: Body,
) -> Reply<FileApplied> {
    let (group, name) = (part(&group)?, part(&name)?);
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let (pieces, upload) = mpsc::channel(PIECES);
    let put = context.backend.put_file(&group, &name, query.expect.as_deref(), upload);
    let (applied, ()) = tokio::join!(put, body::pump(content, body::FILE_BODY_BYTES, pieces));
    json(applied)
}

pub(super) async fn rollback<B: Backend>(
    State(context): State<Context<B>>,
    Path((group, name)): Path<(String, String)>,
    request: Body,
) -> Reply<FileApplied> {
    let (group, name) = (part(&group)?, part(&name)?);
    let request: RollbackRequest = body::json(request).await?;
    json(context.backend.rollback_file(&group, &name, request).await)
}

pub(super) async fn remove<B: Backend>(
    State(context): State<Context<B>>,
    Path((group, name)): Path<(String, String)>,
    query: Result<Query<ExpectQuery>, QueryRejection>,
) -> Reply<FileApplied> {
    let (group, name) = (part(&group)?, part(&name)?);
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    json(context.backend.remove_file(&group, &name, query.expect.as_deref()).await)
}
