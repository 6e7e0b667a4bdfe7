//! A group's config.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{Context, bad_query, part};
use crate::api::Backend;
use crate::api::server::body;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{
    ApplyRequest, Config, ConfigApplied, ConfigHistory, ConfigPreview, RollbackRequest, UnknownKeys, UnsetRequest,
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ShowQuery {
    revision: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ApplyQuery {
    expect: Option<String>,
    unknown_keys: UnknownKeys,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UnsetQuery {
    expect: Option<String>,
}

pub(super) async fn show<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Reply<Config> {
    let group = part(&group)?;
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    json(context.backend.config(&group, query.revision.as_deref()).await)
}

pub(super) async fn history<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
) -> Reply<ConfigHistory> {
    json(context.backend.config_history(&part(&group)?).await)
}

pub(super) async fn apply<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
    query: Result<Query<ApplyQuery>, QueryRejection>,
    toml: Body,
) -> Reply<ConfigApplied> {
    let group = part(&group)?;
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let toml = body::text(toml, body::CONFIG_BODY_BYTES).await?;
    let request = ApplyRequest { toml, expect: query.expect, unknown: query.unknown_keys };
    json(context.backend.apply_config(&group, request).await)
}

pub(super) async fn preview<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
    query: Result<Query<ApplyQuery>, QueryRejection>,
    toml: Body,
) -> Reply<ConfigPreview> {
    let group = part(&group)?;
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let toml = body::text(toml, body::CONFIG_BODY_BYTES).await?;
    let request = ApplyRequest { toml, expect: query.expect, unknown: query.unknown_keys };
    json(context.backend.preview_config(&group, request).await)
}

pub(super) async fn rollback<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
    request: Body,
) -> Reply<ConfigApplied> {
    let group = part(&group)?;
    let request: RollbackRequest = body::json(request).await?;
    json(context.backend.rollback_config(&group, request).await)
}

pub(super) async fn unset<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
    query: Result<Query<UnsetQuery>, QueryRejection>,
) -> Reply<ConfigApplied> {
    let group = part(&group)?;
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    json(context.backend.unset_config(&group, UnsetRequest { expect: query.expect }).await)
}
