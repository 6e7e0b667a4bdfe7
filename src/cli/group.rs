//! `sup groups`, `sup group show`.

use std::io;

use super::act::did_you_mean;
use super::failure::Outcome;
use super::out::{Out, Tone, health_tone, health_word, member_tone, state_tone};
use super::rollout::strategy;
use super::table::{Cell, Table};
use crate::api::ExitStatus;
use crate::api::client::Client;
use crate::api::shape::{Group, GroupMember, Holder, MemberState, Rollout, Target, status_word};
use crate::base::{GroupId, NodeId};
use crate::census::ElectionState;
use crate::records::value::{DesiredState, RolloutStatus, Topology};

pub(super) async fn list(client: &Client, out: &mut Out<'_>) -> Outcome {
    let groups = client.groups().await?;
    out.result(&groups, |out| {
        if groups.groups.is_empty() {
            out.line("no group yet")?;
            return out.next("sup start PLAN");
        }
        let mut table = Table::new(["GROUP", "TOPOLOGY", "SERVING", "LEADER", "TERM", "RELEASE", "CONFIG", "ROLLOUT"]);
        for group in &groups.groups {
            let short = group.members_serving < group.members_total;
            let serving = format!("{}/{}", group.members_serving, group.members_total);
            table.row([
                group.group.to_string().into(),
                topology(group.topology).into(),
                Cell::toned(if short { Tone::Uneasy } else { Tone::Good }, serving),
                leader_cell(group),
                group.leader.as_ref().map_or_else(String::new, |leader| leader.term.to_string()).into(),
                group.desired.release.clone().unwrap_or_default().into(),
                group.desired.config_revision.clone().unwrap_or_default().into(),
                rollout_cell(group),
            ]);
        }
        table.print(out)
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn show(client: &Client, out: &mut Out<'_>, group: &GroupId) -> Outcome {
    let group = match client.group(group).await {
        Ok(group) => group,
        Err(problem) => return Err(did_you_mean(client, &Target::Group(group.clone()), problem).await.into()),
    };
    out.result(&group, |out| print(&group, out))?;
    Ok(ExitStatus::Done)
}

fn print(group: &Group, out: &mut Out<'_>) -> io::Result<()> {
    let members = group.members.as_deref().unwrap_or_default();
    out.line(format_args!("group     {}", group.group))?;
    out.line(format_args!("topology  {}, updates {}", topology(group.topology), strategy(group.strategy)))?;
    let desired = match group.desired.state {
        DesiredState::Up => out.paint(Tone::Good, "up"),
        DesiredState::Down => out.paint(Tone::Uneasy, "down"),
    };
    out.line(format_args!("desired   {desired}"))?;
    let release = group.desired.release.as_deref().unwrap_or("the plan that each member was started with");
    out.line(format_args!("release   {release}"))?;
    let config = group.desired.config_revision.as_deref().unwrap_or("the plan's defaults");
    out.line(format_args!("config    {config}"))?;
    if let Some(rollout) = &group.rollout {
        let (tone, text) = rollout_in_words(rollout);
        let text = out.paint(tone, &text);
        out.line(format_args!("rollout   {text}"))?;
    }
    if group.topology == Topology::Leader {
        let leader = leader(group, out);
        out.line(format_args!("leader    {leader}"))?;
    }
    if let Some(council) = &group.council {
        let voters: Vec<_> = council.voters.iter().map(|voter| address(*voter, members)).collect();
        let (term, step) = council.version;
        out.line(format_args!("council   {} (version {term}.{step})", voters.join(", ")))?;
        if !council.change.is_empty() {
            let change = out.paint(Tone::Uneasy, &council.change);
            out.line(format_args!("          {change}"))?;
        }
    }
    out.line("")?;
    table(group, members).print(out)
}

/// A rollout in a line: how it stands, and with how many members.
pub(super) fn rollout_in_words(rollout: &Rollout) -> (Tone, String) {
    let tone = match rollout.status {
        RolloutStatus::Running | RolloutStatus::Done if rollout.failed.is_empty() => Tone::Good,
        RolloutStatus::Running | RolloutStatus::Done | RolloutStatus::Paused | RolloutStatus::RollingBack => {
            Tone::Uneasy
        }
        RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted => Tone::Bad,
    };
    let counts = [
        (rollout.done.len(), "done"),
        (rollout.in_turn.len(), "in turn"),
        (rollout.waiting.len(), "waiting"),
        (rollout.failed.len(), "failed"),
    ];
    let counts: Vec<String> =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let colon = if counts.is_empty() { "" } else { ": " };
    (tone, format!("{} {}{colon}{}", rollout.id, status_word(rollout.status), counts.join(", ")))
}

fn table(group: &Group, members: &[GroupMember]) -> Table<9> {
    let mut table = Table::new(["MEMBER", "STATE", "HEALTH", "ROLE", "RELEASE", "CONFIG", "PID", "RESTARTS", "WHY"]);
    for member in members {
        let role = match (group.topology, member.leader) {
            (Topology::Leader, true) => "leader",
            (Topology::Leader, false) => "follower",
            (Topology::Standalone, _) => "",
        };
        let state = match member.node_state {
            MemberState::Alive | MemberState::Suspect => Cell::toned(state_tone(member.state), member.state.as_str()),
            gone => Cell::toned(member_tone(gone), format!("node {}", gone.as_str())),
        };
        table.row([
            member.address.as_str().into(),
            state,
            Cell::toned(health_tone(member.health), health_word(member.health)),
            role.into(),
            member.release.as_str().into(),
            member.config_revision.clone().unwrap_or_default().into(),
            member.pid.map_or_else(String::new, |pid| pid.to_string()).into(),
            member.restarts.to_string().into(),
            member.why.as_str().into(),
        ]);
    }
    table
}

/// Who leads, or why nobody does.
fn leader(group: &Group, out: &Out<'_>) -> String {
    let known = group.leader.as_ref().map(|leader| format!("{} (term {})", name(leader), leader.term));
    let (tone, state) = match group.election {
        ElectionState::Finished => (Tone::Good, ""),
        ElectionState::Running => (Tone::Uneasy, "an election runs"),
        ElectionState::NoQuorum => (Tone::Bad, "no quorum"),
        ElectionState::None => (Tone::Faint, "no election"),
    };
    let why = if group.election_why.is_empty() { String::new() } else { format!(": {}", group.election_why) };
    match (known, state) {
        (Some(known), "") => out.paint(tone, &known),
        (None, "") => out.paint(Tone::Uneasy, "not known yet"),
        (Some(known), state) => format!("{}; last {known}", out.paint(tone, &format!("{state}{why}"))),
        (None, state) => out.paint(tone, &format!("{state}{why}")),
    }
}

/// A rollout that is not over; what is over and well is no news.
fn rollout_cell(group: &Group) -> Cell {
    match &group.rollout {
        Some(rollout) if rollout.status != RolloutStatus::Done || !rollout.failed.is_empty() => {
            let (tone, text) = rollout_in_words(rollout);
            Cell::toned(tone, text)
        }
        Some(_) | None => "".into(),
    }
}

fn leader_cell(group: &Group) -> Cell {
    match (group.election, &group.leader) {
        (ElectionState::None, _) => "".into(),
        (ElectionState::Finished, Some(leader)) => name(leader).into(),
        (ElectionState::Finished | ElectionState::Running, _) => Cell::toned(Tone::Uneasy, "electing"),
        (ElectionState::NoQuorum, _) => Cell::toned(Tone::Bad, "no quorum"),
    }
}

fn name(holder: &Holder) -> String {
    if holder.address.is_empty() { holder.node_id.short() } else { holder.address.clone() }
}

fn address(node: NodeId, members: &[GroupMember]) -> String {
    let member = members.iter().find(|member| member.node_id == node);
    member.map_or_else(|| node.short(), |member| member.address.clone())
}

pub(super) const fn topology(topology: Topology) -> &'static str {
    match topology {
        Topology::Leader => "leader",
        Topology::Standalone => "standalone",
    }
}
