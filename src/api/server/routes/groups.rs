//! Groups.

use axum::body::Body;
use axum::extract::{Path, State};
use serde::Serialize;

use super::{Context, part};
use crate::api::server::body;
use crate::api::server::reply::{Reply, json};
use crate::api::shape::{Acted, DesiredRequest, Explanation, Group, GroupMember, Groups, RecoverRequest, Recovery};
use crate::api::{Backend, Problem, ProblemKind};

/// `GET /v1/groups/G/members`.
#[derive(Serialize)]
pub(super) struct GroupMembers {
    members: Vec<GroupMember>,
}

pub(super) async fn list<B: Backend>(State(context): State<Context<B>>) -> Reply<Groups> {
    json(context.backend.groups().await)
}

pub(super) async fn show<B: Backend>(State(context): State<Context<B>>, Path(group): Path<String>) -> Reply<Group> {
    json(context.backend.group(&part(&group)?).await)
}

pub(super) async fn members<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
) -> Reply<GroupMembers> {
    let group = context.backend.group(&part(&group)?).await?;
    json(Ok(GroupMembers { members: group.members.unwrap_or_default() }))
}

pub(super) async fn desired<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
    request: Body,
) -> Reply<Acted> {
    let group = part(&group)?;
    let request: DesiredRequest = body::json(request).await?;
    if request.is_empty() {
        let detail = "the body asks for nothing: it says neither state, nor release, nor options";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    json(context.backend.set_desired(&group, request).await)
}

pub(super) async fn recover<B: Backend>(
    State(context): State<Context<B>>,
    Path(group): Path<String>,
    request: Body,
) -> Reply<Recovery> {
    let group = part(&group)?;
    let request: RecoverRequest = body::json(request).await?;
    if !request.accept_split_brain_risk {
        let detail = "whether the lost voters are really gone is for a person to know: if they live where this node \
                      cannot see them, two members will lead";
        return Err(Problem::new(ProblemKind::Unconfirmed, detail)
            .next("make sure that they are off, and say accept_split_brain_risk"));
    }
    json(context.backend.recover(&group, request).await)
}

pub(super) async fn explain<B: Backend>(
    State(context): State<Context<B>>,
    Path(target): Path<String>,
) -> Result<axum::Json<Explanation>, Problem> {
    json(context.backend.explain(&part(&target)?).await)
}
