//! Why things are as they are, in sentences: the most important first.

use std::path::Path;

use super::standing;
use crate::api::shape::{Event, Explanation, MemberServiceState, Target};
use crate::base::{NodeId, Seat};
use crate::census::{ElectionState, GroupView, Liveness, MemberView};
use crate::records::value::{DesiredState, Health, MemberStatus, ServiceState};
use crate::service::ServiceStatus;

/// How many of the last notices are told.
const NOTICES: usize = 3;

/// Explains a service of this node (`status`), or a group of which this node has no member.
pub(super) fn explain(
    target: &Target,
    me: NodeId,
    status: Option<&ServiceStatus>,
    view: &GroupView,
    recent: &[Event],
) -> Explanation {
    let mut sentences = Vec::new();
    let mut next = None;
    if let Some(status) = status {
        sentences.push(here(status));
        sentences.extend(status.problems.iter().map(|problem| sentence(problem)));
        next = next_for(status, view);
        sentences.extend(standing::own_turn(view, me));
    }
    let rollout = standing::standing(view, me);
    sentences.extend(rollout.sentences);
    next = next.or(rollout.next);
    if is_down_everywhere(view) {
        sentences.push(format!("Somebody stopped {} everywhere; members that come later stay down, too.", view.group));
    }
    sentences.extend(leadership(me, view));
    sentences.extend(members(view));
    if next.is_none() && !view.election_why.is_empty() {
        next = Some(next_for_election(view));
    }
    let notices = recent.iter().rev().filter(|event| event.group.as_ref() == Some(&view.group)).take(NOTICES);
    // A notice is one line here: what a problem points to has been shown above.
    let first_line = |event: &Event| event.message.lines().next().unwrap_or_default().to_owned();
    let mut notices: Vec<String> = notices.map(|event| format!("{}: {}.", event.at, first_line(event))).collect();
    notices.reverse();
    sentences.extend(notices);
    let next = next.or_else(|| Some(format!("sup group show {}", view.group)));
    Explanation { target: target.to_string(), sentences, next }
}

/// How many sentences at most say what the service itself does.
const FIRST: usize = 1;

/// Says that the node cannot promise anything, and why, after what is the most important.
pub(super) fn add_store_trouble(explained: &mut Explanation, why: &str, data_dir: &Path) {
    let at = FIRST.min(explained.sentences.len());
    explained.sentences.insert(
        at,
        format!("This node makes no new promise in elections until its store can be written again: {why}."),
    );
    explained.next = Some(format!("df -h {}", data_dir.display()));
}

fn is_down_everywhere(view: &GroupView) -> bool {
    view.desired.as_ref().is_some_and(|desired| desired.state == DesiredState::Down)
}

/// Makes a sentence of a text that begins in lower case. A file's name is left as it is.
pub(super) fn sentence(text: &str) -> String {
    let is_word = text.split(' ').next().is_some_and(|word| word.chars().all(|c| c.is_alphabetic() || c == '-'));
    // The place in a file that may follow the first line has no full stop.
    let end = if text.ends_with(['.', '!', '?']) || text.contains('\n') { "" } else { "." };
    if !is_word {
        return format!("{text}{end}");
    }
    let mut chars = text.chars();
    let first: String = chars.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}{end}", chars.as_str())
}

fn here(status: &ServiceStatus) -> String {
    let member = &status.member;
    let service = &status.spec.service;
    // A problem that keeps nothing from running is a sentence of its own.
    let is_told =
        status.problems.iter().any(|problem| member.why.starts_with(problem.lines().next().unwrap_or_default()));
    let why = if member.why.is_empty() || is_told { String::new() } else { format!(": {}", member.why) };
    match (member.state, member.health) {
        (ServiceState::Up, Health::Critical) => {
            format!("{service} runs here, but its health check says critical{why}.")
        }
        (ServiceState::Up, Health::Warning) => format!("{service} runs here, with a warning of its health check{why}."),
        (ServiceState::Up, Health::Ok) => format!("{service} is up here and healthy{why}."),
        (ServiceState::Up, Health::Unknown) => format!("{service} is up here; its health is not known yet{why}."),
        (ServiceState::Failed, _) => format!("{service} cannot run here{why}."),
        (ServiceState::Backoff, _) => format!("{service} has ended here, and will be started again{why}."),
        _ => format!("Here {service} is {}.", doing(member)),
    }
}

/// What a member does, with why, as what follows "it is".
fn doing(member: &MemberStatus) -> String {
    let state = MemberServiceState::from(member.state).as_str();
    match member.why.as_str() {
        "" => state.to_owned(),
        // "waiting: waiting for ..." says it twice.
        why if why.starts_with(state) => why.to_owned(),
        why => format!("{state}: {why}"),
    }
}

fn next_for(status: &ServiceStatus, view: &GroupView) -> Option<String> {
    let service = &status.spec.service;
    match (status.member.state, status.member.health) {
        (ServiceState::Down, _) if is_down_everywhere(view) => Some(format!("sup start {service} --everywhere")),
        (ServiceState::Down, _) => Some(format!("sup start {service}")),
        (ServiceState::Backoff | ServiceState::Failed, _) | (_, Health::Critical | Health::Warning) => {
            Some(format!("sup logs {service} -n 50"))
        }
        (ServiceState::WaitingForBinds, _) => Some("sup groups".to_owned()),
        _ => None,
    }
}

/// What to do about an election that comes to nothing.
fn next_for_election(view: &GroupView) -> String {
    let lost = view.council.as_ref().is_some_and(|council| {
        let is_alive = |id: &&NodeId| view.members.get(id).is_some_and(|m| m.node.liveness == Liveness::Alive);
        council.voters.iter().filter(is_alive).count() * 2 <= council.voters.len()
    });
    if view.election == ElectionState::NoQuorum && lost {
        let recover = format!("sup group recover {} --accept-split-brain-risk", view.group);
        return format!("start the lost voters again; only if they never come back: {recover}");
    }
    "sup members".to_owned()
}

fn leadership(me: NodeId, view: &GroupView) -> Vec<String> {
    let name = |id: NodeId| match view.members.get(&id) {
        Some(_) if id == me => "this node".to_owned(),
        Some(member) => format!("{} ({})", member.node.address, id.short()),
        None => id.short(),
    };
    let seat = Seat::Leader;
    let mut sentences = match (view.election, &view.leader) {
        (ElectionState::None, _) => Vec::new(),
        (ElectionState::Finished, Some(leader)) => {
            vec![format!("The {seat} of {} is {}, in term {}.", view.group, name(leader.node), leader.term)]
        }
        (ElectionState::Finished | ElectionState::Running, _) => {
            vec![format!("{} is electing its {seat}.", view.group)]
        }
        (ElectionState::NoQuorum, _) => vec![format!("{} cannot elect a {seat}.", view.group)],
    };
    if !view.election_why.is_empty() {
        sentences.push(sentence(&view.election_why));
    }
    if let Some(council) = &view.council {
        let dead = |id: &&NodeId| view.members.get(id).is_none_or(|m| m.node.liveness != Liveness::Alive);
        let missing: Vec<String> = council.voters.iter().filter(dead).map(|id| name(*id)).collect();
        if !missing.is_empty() {
            let all = council.voters.len();
            sentences.push(format!("Of its {all} voters, {} do not answer: {}.", missing.len(), missing.join(", ")));
        }
        if !council.change.is_empty() {
            sentences.push(sentence(&council.change));
        }
    }
    sentences
}

fn members(view: &GroupView) -> Vec<String> {
    let total = view.members.len();
    let serving = view.serving().count();
    if total == 0 {
        return vec![format!("{} has no members.", view.group)];
    }
    let mut sentences = vec![format!("{serving} of the {total} members of {} serve.", view.group)];
    let troubled = |member: &&MemberView| !member.serves();
    for member in view.members.values().filter(troubled) {
        let what = match (member.node.liveness, member.status.health) {
            (Liveness::Down, _) => "its node is down".to_owned(),
            (Liveness::Left, _) => "its node left".to_owned(),
            (Liveness::Departed, _) => "its node is gone for good".to_owned(),
            (_, Health::Critical) => "its health check says critical".to_owned(),
            _ => match (member.status.state, &member.status.why) {
                (ServiceState::Failed, why) => format!("it cannot run: {why}"),
                (ServiceState::Backoff, why) => format!("it has ended, and will be started again: {why}"),
                _ => format!("it is {}", doing(&member.status)),
            },
        };
        sentences.push(format!("{} ({}) does not: {what}.", member.node.address, member.node.id.short()));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::{add_store_trouble, explain, sentence};
    use crate::api::shape::Target;
    use crate::base::{NodeId, Now, Term};
    use crate::census::{CouncilView, ElectionState, GroupView, Liveness, MemberView, NodeView, SeatView};
    use crate::records::value::{Health, MemberStatus, ServiceState};
    use crate::service::{ServiceSpec, ServiceStatus};

    const ME: NodeId = NodeId::from_u128(1 << 100);

    fn view() -> GroupView {
        let member = |bits: u128, state, health| MemberView {
            node: NodeView {
                id: NodeId::from_u128(bits),
                address: ([127, 0, 0, 2], 9638).into(),
                liveness: Liveness::Alive,
                facts: Arc::default(),
            },
            status: Arc::new(MemberStatus {
                state,
                health,
                why: "exited with 1".to_owned(),
                ..MemberStatus::default()
            }),
            leader: false,
            updater: false,
        };
        let members = [
            (ME, member(ME.as_u128(), ServiceState::Up, Health::Ok)),
            (NodeId::from_u128(7), member(7, ServiceState::Backoff, Health::Unknown)),
        ];
        GroupView {
            election: ElectionState::Finished,
            leader: Some(SeatView { node: ME, term: Term(4) }),
            members: members.into(),
            ..GroupView::empty("redis.default".parse().unwrap())
        }
    }

    #[test]
    fn a_group_whose_voters_are_lost_is_told_how_to_go_on_without_them() {
        let target: Target = "redis.default".parse().unwrap();
        let next = |voters: &[u128]| {
            let voters = voters.iter().copied().map(NodeId::from_u128).collect();
            let view = GroupView {
                election: ElectionState::NoQuorum,
                election_why: "no quorum".to_owned(),
                council: Some(CouncilView { voters, version: (Term(1), 1), change: String::new() }),
                ..view()
            };
            explain(&target, ME, None, &view, &[]).next.unwrap_or_default()
        };
        assert_eq!(
            next(&[1 << 100, 8, 9]),
            "start the lost voters again; only if they never come back: sup group recover redis.default \
             --accept-split-brain-risk"
        );
        assert_eq!(next(&[1 << 100, 7, 9]), "sup members", "a majority is there");
    }

    #[test]
    fn a_group_is_explained_with_its_leader_and_those_that_do_not_serve() {
        let target: Target = "redis.default".parse().unwrap();
        let explained = explain(&target, ME, None, &view(), &[]);
        assert_eq!(
            explained.sentences,
            [
                "The leader of redis.default is this node, in term 4.",
                "1 of the 2 members of redis.default serve.",
                "127.0.0.2:9638 (00000000) does not: it has ended, and will be started again: exited with 1.",
            ]
        );
        assert_eq!(explained.next.as_deref(), Some("sup group show redis.default"));
    }

    #[test]
    fn a_service_that_failed_is_explained_first_and_points_to_its_log() {
        let spec = Arc::new(ServiceSpec::new("redis".parse().unwrap(), "/p".into()));
        let mut status = ServiceStatus::loaded(&spec, Now::default());
        status.member.state = ServiceState::Failed;
        status.member.why = "redis-server is not installed".to_owned();
        status.problems = vec!["user.toml: no".to_owned()];
        let explained = explain(&"redis".parse().unwrap(), ME, Some(&status), &view(), &[]);
        assert_eq!(
            explained.sentences[..2],
            ["redis cannot run here: redis-server is not installed.", "user.toml: no."]
        );
        assert_eq!(explained.next.as_deref(), Some("sup logs redis -n 50"));
    }

    #[test]
    fn a_group_without_quorum_says_what_it_waits_for() {
        let view = GroupView {
            election: ElectionState::NoQuorum,
            election_why: "waiting for 1 more member".to_owned(),
            leader: None,
            ..view()
        };
        let explained = explain(&"redis.default".parse().unwrap(), ME, None, &view, &[]);
        assert_eq!(explained.sentences[..2], ["redis.default cannot elect a leader.", "Waiting for 1 more member."]);
    }

    #[test]
    fn a_service_that_waits_says_so_once() {
        let spec = Arc::new(ServiceSpec::new("redis".parse().unwrap(), "/p".into()));
        let mut status = ServiceStatus::loaded(&spec, Now::default());
        status.member.state = ServiceState::WaitingForBinds;
        status.member.why = "waiting for bind backend".to_owned();
        let explained = explain(&"redis".parse().unwrap(), ME, Some(&status), &view(), &[]);
        assert_eq!(explained.sentences[0], "Here redis is waiting for bind backend.");
    }

    #[test]
    fn a_store_that_cannot_be_written_is_told_before_all_but_what_the_service_does() {
        let target: Target = "redis.default".parse().unwrap();
        let mut explained = explain(&target, ME, None, &view(), &[]);
        add_store_trouble(&mut explained, "no space left on device", Path::new("/data"));
        assert!(explained.sentences[1].contains("no new promise in elections"), "{explained:?}");
        assert!(explained.sentences[1].contains("no space left on device"), "{explained:?}");
        assert_eq!(explained.next.as_deref(), Some("df -h /data"));
    }

    #[test]
    fn a_text_becomes_a_sentence_once() {
        assert_eq!((sentence("one").as_str(), sentence("Two.").as_str()), ("One.", "Two."));
    }
}
