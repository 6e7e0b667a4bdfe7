//! `sup stop`, `sup restart`, `sup unload`.

use std::collections::BTreeMap;

use super::args::{ActArgs, ChangePatience};
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::progress::{End, Since, Sought, Wants, follow};
use super::rollout::interrupted;
use super::start::{explained, is_up, process};
use super::update::failed;
use super::watch::{Progress, Watch};
use crate::api::client::Client;
use crate::api::shape::{
    Acted, Action, ActionRequest, Group, GroupMember, MemberServiceState, MemberState, Scope, Target,
};
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::base::{GroupId, NodeId};
use crate::records::value::Strategy;

pub(super) async fn stop(client: &Client, out: &mut Out<'_>, args: &ActArgs) -> Outcome {
    let (mut watch, acted) = begin(client, args, Action::Stop).await?;
    let group = &acted.group;
    if args.patience.no_wait {
        return accepted(out, &acted, "stops");
    }
    let service = group.service.clone();
    let done = match args.scope() {
        Scope::Here => watch.until(out, async || Ok(is_down(client.service(&service).await?.member))).await,
        Scope::Everywhere if client.group(group).await?.strategy == Strategy::Rolling => {
            match rolls(client, out, &args.patience, &acted).await? {
                Rolled::Done => Ok(()),
                Rolled::Otherwise(outcome) => return outcome,
            }
        }
        Scope::Everywhere => {
            watch
                .until(out, async || everyone(client, group, |member| member.state == MemberServiceState::Down).await)
                .await
        }
    };
    done.map_err(|failure| explained(failure, group))?;
    out.result(&acted, |out| out.line(format_args!("{group} is down{}", place(args))))?;
    let everywhere = if args.everywhere { " --everywhere" } else { "" };
    out.next(format_args!("sup start {service}{everywhere}, or sup unload {service}"))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn restart(client: &Client, out: &mut Out<'_>, args: &ActArgs) -> Outcome {
    let before = match args.scope() {
        Scope::Here => BTreeMap::new(),
        Scope::Everywhere => pids(&client.group(&group_of(client, &args.target).await?).await?),
    };
    let here = client.service(args.target.service()).await.map(|service| service.member.pid);
    let (mut watch, acted) = begin(client, args, Action::Restart).await?;
    let group = &acted.group;
    if args.patience.no_wait {
        return accepted(out, &acted, "restarts");
    }
    let service = group.service.clone();
    match args.scope() {
        Scope::Here => {
            let pid = here.unwrap_or(None);
            let look = async || {
                let service = client.service(&service).await?;
                if service.member.pid == pid && service.member.state == MemberServiceState::Up {
                    return Ok(Progress::Missing(format!("{} is being restarted", service.group)));
                }
                is_up(service)
            };
            let up = watch.until(out, look).await.map_err(|failure| explained(failure, group))?;
            out.result(&up, |out| out.line(format_args!("{group} is up again{}", process(&up))))?;
        }
        Scope::Everywhere => {
            let is_new = |member: &GroupMember| {
                member.state == MemberServiceState::Up && before.get(&member.node_id) != Some(&member.pid)
            };
            let done = watch.until(out, async || everyone(client, group, is_new).await).await;
            done.map_err(|failure| explained(failure, group))?;
            out.result(&acted, |out| out.line(format_args!("{group} is up again everywhere")))?;
        }
    }
    out.next(format_args!("sup status {service}"))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn unload(client: &Client, out: &mut Out<'_>, args: &ActArgs) -> Outcome {
    let (mut watch, acted) = begin(client, args, Action::Unload).await?;
    let group = &acted.group;
    if args.patience.no_wait {
        return accepted(out, &acted, "is being unloaded");
    }
    let service = group.service.clone();
    let done = match args.scope() {
        Scope::Here => watch.until(out, async || is_gone(client.service(&service).await, group)).await,
        Scope::Everywhere => {
            let look = async || match everyone(client, group, |_| false).await {
                Err(problem) if problem.kind == ProblemKind::UnknownGroup => Ok(Progress::Done(())),
                progress => progress,
            };
            watch.until(out, look).await
        }
    };
    done.map_err(|failure| explained(failure, group))?;
    out.result(&acted, |out| out.line(format_args!("{group} is unloaded{}", place(args))))?;
    out.next(format_args!("sup start PLAN, to load it again; its data is kept"))?;
    Ok(ExitStatus::Done)
}

async fn begin(client: &Client, args: &ActArgs, action: Action) -> Result<(Watch, Acted), Problem> {
    let watch = Watch::open(client, None, args.patience.at_once()).await?;
    let request = ActionRequest { scope: args.scope() };
    let acted = match client.act(action, &args.target, request).await {
        Ok(acted) => acted,
        Err(problem) => return Err(did_you_mean(client, &args.target, problem).await),
    };
    Ok((watch, acted))
}

fn accepted(out: &mut Out<'_>, acted: &Acted, what: &str) -> Outcome {
    out.result(acted, |out| out.line(format_args!("{} {what}", acted.group)))?;
    out.next(format_args!("sup status {}", acted.group.service))?;
    Ok(ExitStatus::Done)
}

const fn place(args: &ActArgs) -> &'static str {
    match args.scope() {
        Scope::Here => " here",
        Scope::Everywhere => " everywhere",
    }
}

fn is_down(member: GroupMember) -> Progress<()> {
    match member.state {
        MemberServiceState::Down => Progress::Done(()),
        state => Progress::Missing(format!("it is {}", state.as_str())),
    }
}

fn is_gone(service: Result<crate::api::shape::Service, Problem>, group: &GroupId) -> Result<Progress<()>, Problem> {
    match service {
        Ok(service) => Ok(Progress::Missing(format!("{group} is {}", service.member.state.as_str()))),
        Err(problem) if problem.kind == ProblemKind::UnknownService => Ok(Progress::Done(())),
        Err(problem) => Err(problem),
    }
}

/// What came of a state that rolls through its group.
pub(super) enum Rolled {
    /// It is there.
    Done,
    /// It is not, and that was said.
    Otherwise(Outcome),
}

/// Follows a state that was asked for on its way through a rolling group. It goes on without this command, and takes as
/// long as it takes: patience is that with a rollout, unless another was asked for.
pub(super) async fn rolls(
    client: &Client,
    out: &mut Out<'_>,
    patience: &ChangePatience,
    acted: &Acted,
) -> Result<Rolled, Failure> {
    let group = &acted.group;
    let mut watch = Watch::open(client, Some(group), patience.rolling()).await?;
    // What was asked for before already has its rollout already.
    let since = if acted.changed { acted.asked } else { 0 };
    let sought = Sought { since: Since::Asked(since), wants: Wants::Forward };
    Ok(match follow(client, out, &mut watch, group, &sought).await? {
        End::Done(_) => Rolled::Done,
        End::Interrupted => Rolled::Otherwise(interrupted(out, group)),
        End::Failed(report, problem) => Rolled::Otherwise(failed(out, &report, problem)),
    })
}

/// Whether all members of a group that answer are as they should be.
async fn everyone(
    client: &Client,
    group: &GroupId,
    is_done: impl Fn(&GroupMember) -> bool,
) -> Result<Progress<()>, Problem> {
    let members = client.group(group).await?.members.unwrap_or_default();
    let answer = |member: &&GroupMember| matches!(member.node_state, MemberState::Alive | MemberState::Suspect);
    let left: Vec<_> = members.iter().filter(answer).filter(|member| !is_done(member)).collect();
    match left.first() {
        None => Ok(Progress::Done(())),
        Some(first) => {
            let (count, state) = (left.len(), first.state.as_str());
            Ok(Progress::Missing(format!("{count} of {group} left; {} is {state}", first.address)))
        }
    }
}

fn pids(group: &Group) -> BTreeMap<NodeId, Option<u32>> {
    group.members.iter().flatten().map(|member| (member.node_id, member.pid)).collect()
}

async fn group_of(client: &Client, target: &Target) -> Result<GroupId, Problem> {
    match target {
        Target::Group(group) => Ok(group.clone()),
        Target::Service(service) => match client.service(service).await {
            Ok(service) => Ok(service.group),
            Err(problem) => Err(did_you_mean(client, target, problem).await),
        },
    }
}

/// The problem that a service or a group is not known, with the one that may have been meant.
pub(super) async fn did_you_mean(client: &Client, target: &Target, problem: Problem) -> Problem {
    let known: Vec<String> = match problem.kind {
        ProblemKind::UnknownService => match client.services().await {
            Ok(list) => list.services.iter().map(|service| service.service.to_string()).collect(),
            Err(_) => return problem,
        },
        ProblemKind::UnknownGroup => match client.groups().await {
            Ok(list) => list.groups.iter().map(|group| group.group.to_string()).collect(),
            Err(_) => return problem,
        },
        _ => return problem,
    };
    let typed = target.to_string();
    match crate::plan::complaint::nearest(&typed, known.iter().map(String::as_str)) {
        // It is the one that was typed: it is known, and cannot be loaded.
        Some(nearest) if nearest == typed => problem,
        Some(nearest) => problem.next(format!("did you mean {nearest}?")),
        None if known.is_empty() || problem.next.is_some() => problem,
        None => problem.next(format!("known here: {}", known.join(", "))),
    }
}
