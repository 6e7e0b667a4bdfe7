//! `sup wait`.

use std::fmt;
use std::str::FromStr;

use super::args::WaitArgs;
use super::failure::Outcome;
use super::out::Out;
use super::start::explained;
use super::watch::{Progress, Watch};
use crate::api::client::Client;
use crate::api::shape::{Group, GroupMember, MemberServiceState, MemberState, status_word};
use crate::api::{ExitStatus, ProblemKind};
use crate::census::ElectionState;
use crate::records::value::{Health, RolloutStatus, Strategy, Topology};

/// A change was asked for, and no updater has begun with it.
const NOT_TAKEN_UP: &str = "the last change has yet to be taken up";

/// What a group is waited for to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// It has a leader.
    Leader,
    /// It has members, all of them serve and none complains, and it has a leader where it needs one.
    Healthy,
    /// This many members, or more, serve.
    Members(usize),
    /// All members whose nodes answer run this release, and serve. By its name or its hash.
    Release(String),
    /// Nothing is on its way through it: its last rollout is done.
    RolloutDone,
}

/// A text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a condition is leader, healthy, members=N, release=NAME/VERSION/HASH or rollout=done")]
pub(super) struct ConditionError;

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "leader" => Ok(Self::Leader),
            "healthy" => Ok(Self::Healthy),
            "rollout=done" => Ok(Self::RolloutDone),
            other => match other.split_once('=') {
                Some(("members", number)) => number.parse().map(Self::Members).map_err(|_| ConditionError),
                Some(("release", name)) if !name.is_empty() => Ok(Self::Release(name.to_owned())),
                Some(_) | None => Err(ConditionError),
            },
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("a leader"),
            Self::Healthy => f.write_str("healthy members only"),
            Self::Members(number) => write!(f, "{number} members that serve"),
            Self::Release(release) => write!(f, "release {release} on all its members"),
            Self::RolloutDone => f.write_str("no change on its way"),
        }
    }
}

pub(super) async fn wait(client: &Client, out: &mut Out<'_>, args: &WaitArgs) -> Outcome {
    let mut watch = Watch::open(client, Some(&args.group), args.timeout).await?;
    let look = async || match client.group(&args.group).await {
        Ok(group) => Ok(match missing(&group, &args.condition) {
            None => Progress::Done(group),
            Some(missing) => Progress::Missing(missing),
        }),
        // It may come to be.
        Err(problem) if problem.kind == ProblemKind::UnknownGroup => Ok(Progress::Missing(problem.detail)),
        Err(problem) => Err(problem),
    };
    let group = watch.until(out, look).await.map_err(|failure| explained(failure, &args.group))?;
    out.result(&group, |out| out.line(format_args!("{} has {}", args.group, args.condition)))?;
    Ok(ExitStatus::Done)
}

/// What a group lacks; none if the condition holds.
pub(super) fn missing(group: &Group, condition: &Condition) -> Option<String> {
    let members = group.members.as_deref().unwrap_or_default();
    match condition {
        Condition::Leader => no_leader(group),
        Condition::Release(wanted) => no_release(group, wanted),
        Condition::RolloutDone => no_rest(group),
        Condition::Members(number) => {
            let serving = members.iter().filter(|member| serves(member)).count();
            (serving < *number).then(|| format!("{serving} of {number} members serve"))
        }
        Condition::Healthy if members.is_empty() => Some(format!("{} has no members", group.group)),
        Condition::Healthy => {
            let ill = members.iter().find(|member| !is_healthy(member));
            let ill = ill.map(|member| match (member.node_state, member.state) {
                (MemberState::Alive | MemberState::Suspect, MemberServiceState::Up) => {
                    format!("{} is {}", member.address, super::out::health_word(member.health))
                }
                (MemberState::Alive | MemberState::Suspect, state) => {
                    let colon = if member.why.is_empty() { "" } else { ": " };
                    format!("{} is {}{colon}{}", member.address, state.as_str(), member.why)
                }
                (gone, _) => format!("node {} is {}", member.address, gone.as_str()),
            });
            ill.or_else(|| if group.topology == Topology::Leader { no_leader(group) } else { None })
        }
    }
}

/// Whether a release is the one that is meant. Its hash says it; what may stand before that is for people.
fn is_release(shown: &str, wanted: &str) -> bool {
    let hash = |name: &str| name.rsplit('/').next().map(str::to_owned);
    hash(shown) == hash(wanted)
}

fn no_release(group: &Group, wanted: &str) -> Option<String> {
    let members = group.members.iter().flatten();
    let mut there = members.filter(|member| answers(member)).peekable();
    if there.peek().is_none() {
        return Some(format!("{} has no members", group.group));
    }
    there.find(|member| !(serves(member) && is_release(&member.release, wanted))).map(|member| {
        let release = if member.release.is_empty() { "no known release" } else { &member.release };
        format!("{} is {} with {release}", member.address, member.state.as_str())
    })
}

fn no_rest(group: &Group) -> Option<String> {
    match &group.rollout {
        Some(rollout) if rollout.is_done_with(&group.desired) => None,
        Some(rollout) if rollout.status == RolloutStatus::Done => Some(NOT_TAKEN_UP.to_owned()),
        Some(rollout) => {
            let colon = if rollout.why.is_empty() { "" } else { ": " };
            Some(format!("rollout {} is {}{colon}{}", rollout.id, status_word(rollout.status), rollout.why))
        }
        None if group.strategy == Strategy::Rolling && group.desired.asked > 0 => Some(NOT_TAKEN_UP.to_owned()),
        None => None,
    }
}

fn answers(member: &GroupMember) -> bool {
    matches!(member.node_state, MemberState::Alive | MemberState::Suspect)
}

fn no_leader(group: &Group) -> Option<String> {
    match (group.election, &group.leader) {
        (ElectionState::Finished, Some(_)) => None,
        (ElectionState::None, _) => Some(format!("{} elects no leader (topology standalone)", group.group)),
        (ElectionState::Finished | ElectionState::Running | ElectionState::NoQuorum, _) => {
            let colon = if group.election_why.is_empty() { "" } else { ": " };
            Some(format!("{} has no leader{colon}{}", group.group, group.election_why))
        }
    }
}

fn serves(member: &GroupMember) -> bool {
    matches!(member.node_state, MemberState::Alive | MemberState::Suspect)
        && member.state == MemberServiceState::Up
        && member.health != Health::Critical
}

fn is_healthy(member: &GroupMember) -> bool {
    // Who left in good order is not ill.
    matches!(member.node_state, MemberState::Left | MemberState::Departed)
        || (serves(member) && matches!(member.health, Health::Ok | Health::Warning))
}

#[cfg(test)]
mod tests {
    use super::{Condition, is_release};

    #[test]
    fn a_release_is_meant_by_its_name_or_its_hash() {
        for (shown, wanted) in [("ab", "redis/7.2/ab"), ("redis/7.2/ab", "ab"), ("redis/7.2/ab", "redis/7.2/ab")] {
            assert!(is_release(shown, wanted), "{shown} {wanted}");
        }
        for (shown, wanted) in [("ab", "b"), ("ab", "redis/7.2/abc"), ("", "ab")] {
            assert!(!is_release(shown, wanted), "{shown} {wanted}");
        }
    }

    #[test]
    fn a_condition_is_one_of_five() {
        assert_eq!("leader".parse(), Ok(Condition::Leader));
        assert_eq!("healthy".parse(), Ok(Condition::Healthy));
        assert_eq!("members=3".parse(), Ok(Condition::Members(3)));
        assert_eq!("release=redis/7.2/ab".parse(), Ok(Condition::Release("redis/7.2/ab".into())));
        assert_eq!("rollout=done".parse(), Ok(Condition::RolloutDone));
        for text in ["", "leaders", "members", "members=", "members=-1", "members=x", "release=", "rollout=halted"] {
            assert!(text.parse::<Condition>().is_err(), "{text:?} was taken for a condition");
        }
    }
}
