//! `sup group recover`.

use super::act::did_you_mean;
use super::args::RecoverArgs;
use super::failure::Outcome;
use super::out::Out;
use super::watch::{Progress, Watch};
use crate::api::client::Client;
use crate::api::shape::{Group, Members, RecoverRequest, Target};
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::base::{NodeId, Term};
use crate::census::ElectionState;
use crate::records::value::Topology;

pub(super) async fn recover(client: &Client, out: &mut Out<'_>, args: &RecoverArgs) -> Outcome {
    let mut watch = Watch::open(client, Some(&args.group), args.patience.timeout).await?;
    if !args.yes {
        let group = client.group(&args.group).await?;
        return Err(warning(&group, &client.members().await?).into());
    }
    let request = RecoverRequest { accept_split_brain_risk: true };
    let recovery = match client.recover(&args.group, request).await {
        Ok(recovery) => recovery,
        Err(problem) => return Err(did_you_mean(client, &Target::Group(args.group.clone()), problem).await.into()),
    };
    if args.patience.no_wait {
        out.result(&recovery, |out| out.line(format_args!("{} is being recovered", args.group)))?;
        out.next(format_args!("sup group show {}", args.group))?;
        return Ok(ExitStatus::Done);
    }
    let look = async || Ok(progress(client.group(&args.group).await?, recovery.version));
    let group = watch.until(out, look).await?;
    out.result(&group, |out| {
        let voters = group.council.as_ref().map_or(0, |council| council.voters.len());
        let plural = if voters == 1 { "voter" } else { "voters" };
        out.line(format_args!("{} has a new council of {voters} {plural}", args.group))?;
        if let Some(leader) = &group.leader {
            out.line(format_args!("leader    {} (term {})", leader.address, leader.term))?;
        }
        out.line("a lost voter that comes back gives way, and may become a voter again")
    })?;
    let lost: Vec<String> = recovery.lost.iter().map(|node| node.short()).collect();
    out.next(format_args!("sup group show {}; if they never come back: sup depart {}", args.group, lost.join(", ")))?;
    Ok(ExitStatus::Done)
}

/// What a person has to know before it is done.
fn warning(group: &Group, members: &Members) -> Problem {
    let voters = group.council.as_ref().map(|council| council.voters.as_slice()).unwrap_or_default();
    let named = |voter: &NodeId| {
        let member = members.members.iter().find(|member| member.node_id == *voter);
        let (address, state) =
            member.map_or(("not known here", "unknown"), |member| (member.address.as_str(), member.state.as_str()));
        format!("{} ({address}, {state})", voter.short())
    };
    let voters: Vec<String> = voters.iter().map(named).collect();
    let detail = format!(
        "this gives up the council of {} and founds another one from the members that this node sees alive. Its voters \
         are {}. If those that are down live where this node cannot see them, they go on with a leader of their own, and \
         two members lead: writes to one of them will be lost",
        group.group,
        voters.join(", ")
    );
    Problem::new(ProblemKind::Unconfirmed, detail)
        .next(format!("switch the lost ones off, then: sup group recover {} --accept-split-brain-risk", group.group))
}

fn progress(group: Group, before: (Term, u64)) -> Progress<Group> {
    let founded = group.council.as_ref().is_some_and(|council| council.version > before);
    let led = group.topology != Topology::Leader || group.election == ElectionState::Finished;
    if founded && led {
        return Progress::Done(group);
    }
    let what = if founded { "waiting for a leader" } else { "waiting for the new council" };
    let why = if group.election_why.is_empty() { String::new() } else { format!(": {}", group.election_why) };
    Progress::Missing(format!("{what}{why}"))
}
