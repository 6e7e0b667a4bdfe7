//! Services of this node.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::{Context, part};
use crate::api::server::admission::Granted;
use crate::api::server::body;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{Acted, Action, HealthReport, Service, Services, Started};
use crate::api::{Backend, Problem};
use crate::base::GroupId;
use crate::records::value::Health;

pub(super) async fn list<B: Backend>(State(context): State<Context<B>>) -> Reply<Services> {
    json(context.backend.services().await)
}

pub(super) async fn show<B: Backend>(
    State(context): State<Context<B>>,
    Extension(granted): Extension<Granted>,
    Path(service): Path<String>,
) -> Reply<Service> {
    let service = context.backend.service(&part(&service)?).await?;
    Ok(Json(if granted.sees_output() { service } else { service.without_output() }))
}

/// Loads and starts.
pub(super) async fn start<B: Backend>(State(context): State<Context<B>>, request: Body) -> Reply<Started> {
    let request = body::json(request).await?;
    json(context.backend.start(request).await)
}

pub(super) async fn stop<B: Backend>(
    State(context): State<Context<B>>,
    Path(target): Path<String>,
    request: Body,
) -> Reply<Acted> {
    act(&context.backend, Action::Stop, &target, request).await
}

pub(super) async fn restart<B: Backend>(
    State(context): State<Context<B>>,
    Path(target): Path<String>,
    request: Body,
) -> Reply<Acted> {
    act(&context.backend, Action::Restart, &target, request).await
}

pub(super) async fn unload<B: Backend>(
    State(context): State<Context<B>>,
    Path(target): Path<String>,
    request: Body,
) -> Reply<Acted> {
    act(&context.backend, Action::Unload, &target, request).await
}

async fn act<B: Backend>(backend: &B, action: Action, target: &str, request: Body) -> Reply<Acted> {
    let target = part(target)?;
    let request = body::json(request).await?;
    json(backend.act(action, &target, request).await)
}

/// For load balancers: the status says it all.
pub(super) async fn health<B: Backend>(
    State(context): State<Context<B>>,
    Extension(granted): Extension<Granted>,
    Path((service, group)): Path<(String, String)>,
) -> Result<(StatusCode, Json<HealthReport>), Problem> {
    let group = GroupId::new(part(&service)?, part(&group)?);
    let report = context.backend.health(&group).await?;
    let status = match report.health {
        Health::Ok | Health::Warning => StatusCode::OK,
        Health::Critical => StatusCode::SERVICE_UNAVAILABLE,
        Health::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let shown = if granted.sees_output() { report } else { HealthReport { output: String::new(), ..report } };
    Ok((status, Json(shown)))
}
