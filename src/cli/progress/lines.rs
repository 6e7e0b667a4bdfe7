//! What happened in a rollout since the last look, a line each.

use std::collections::BTreeMap;

use super::verdict::serving_total;
use crate::api::shape::{MemberProgress, Rollout, RolloutMember, RolloutReport, TargetView, status_word};
use crate::base::NodeId;
use crate::records::value::{DesiredState, RolloutStatus, TurnKind, TurnPhase};

/// Whether the lines say by themselves what is waited for.
pub(super) fn tells(report: &RolloutReport) -> bool {
    report.members.iter().any(|member| member.progress == MemberProgress::InTurn)
}

/// The lines for what is other than before.
pub(super) fn since(before: Option<&RolloutReport>, now: &RolloutReport) -> Vec<String> {
    let mut lines = Vec::new();
    let id = |report: &RolloutReport| report.rollout.as_ref().map(|rollout| rollout.id);
    let same = before.filter(|before| id(before) == id(now));
    if let (Some(rollout), None) = (&now.rollout, same) {
        lines.push(format!("rollout {}: {}", rollout.id, change(rollout)));
    }
    let known: BTreeMap<NodeId, &RolloutMember> =
        same.iter().flat_map(|report| &report.members).map(|member| (member.node_id, member)).collect();
    let (mut done, total, _) = match same {
        Some(before) => serving_total(before),
        None => serving_total(now),
    };
    for member in &now.members {
        let earlier = known.get(&member.node_id);
        let became_done =
            member.progress == MemberProgress::Done && earlier.is_some_and(|it| it.progress != MemberProgress::Done);
        if became_done {
            done += 1;
            lines.push(format!("{} is done ({done} of {total})", member.address));
        } else if member.progress == MemberProgress::Waiting && earlier.is_some_and(|earlier| goes_back(earlier)) {
            lines.push(format!("{} is back on what it was", member.address));
        } else if let Some(label) = label(member, now.rollout.as_ref())
            && earlier.and_then(|earlier| self::label(earlier, same.and_then(|report| report.rollout.as_ref())))
                != Some(label.clone())
        {
            lines.push(format!("{} {label}", member.address));
        }
    }
    lines.extend(status_line(same, now));
    lines
}

/// That a rollout stands otherwise than before. That it is done is said at the end.
fn status_line(before: Option<&RolloutReport>, now: &RolloutReport) -> Option<String> {
    let (status, why) = status_of(now)?;
    let is_news = match before {
        Some(before) => status_of(before)? != (status, why),
        None => status != RolloutStatus::Running,
    };
    // Who failed and why has its own line.
    let why = if now.rollout.iter().any(|rollout| !rollout.failed.is_empty()) { "" } else { why };
    let colon = if why.is_empty() { "" } else { ": " };
    (is_news && status != RolloutStatus::Done).then(|| format!("the rollout is {}{colon}{why}", status_word(status)))
}

fn status_of(report: &RolloutReport) -> Option<(RolloutStatus, &str)> {
    report.rollout.as_ref().map(|rollout| (rollout.status, rollout.why.as_str()))
}

fn goes_back(member: &RolloutMember) -> bool {
    member.turn.as_ref().is_some_and(|turn| turn.kind != TurnKind::Forward)
}

/// What a rollout changes: `redis/7.0/ab -> redis/7.2/cd`.
pub(super) fn change(rollout: &Rollout) -> String {
    let Rollout { from, to, .. } = rollout;
    let mut parts = Vec::new();
    if from.release != to.release {
        parts.push(format!("{} -> {}", release(from), release(to)));
    }
    if from.config_revision != to.config_revision {
        parts.push(format!("config {} -> {}", config(from), config(to)));
    }
    if from.state != to.state {
        parts.push(format!("{} -> {}", state(from.state), state(to.state)));
    }
    if parts.is_empty() { format!("catching up to {}", whole(to)) } else { parts.join(", ") }
}

/// The release of a target, in words.
pub(in crate::cli) fn release(target: &TargetView) -> &str {
    target.release.as_deref().unwrap_or("the plan it was started with")
}

/// The config of a target, in words.
pub(in crate::cli) fn config(target: &TargetView) -> &str {
    target.config_revision.as_deref().unwrap_or("defaults")
}

/// A target, in words.
pub(in crate::cli) fn whole(target: &TargetView) -> String {
    let state = match target.state {
        DesiredState::Up => "",
        DesiredState::Down => ", down",
    };
    format!("{}, config {}{state}", release(target), config(target))
}

const fn state(state: DesiredState) -> &'static str {
    match state {
        DesiredState::Up => "up",
        DesiredState::Down => "down",
    }
}

/// What a member does, as what follows its name; none while it waits.
fn label(member: &RolloutMember, rollout: Option<&Rollout>) -> Option<String> {
    match (member.progress, &member.turn) {
        (MemberProgress::InTurn, Some(turn)) => {
            let colon = if turn.why.is_empty() { "" } else { ": " };
            let what = match (turn.kind, turn.phase) {
                (TurnKind::Forward, TurnPhase::Granted) => "has its turn",
                (TurnKind::Restore | TurnKind::Back, TurnPhase::Granted) => "is to go back",
                (_, TurnPhase::Fetching) => "fetches the release",
                (TurnKind::Forward, TurnPhase::Applying) => "changes over",
                (TurnKind::Restore | TurnKind::Back, TurnPhase::Applying) => "goes back",
                (_, TurnPhase::Verifying) => "is up, and has to stay ok",
                // The updater's word follows.
                (_, TurnPhase::Done | TurnPhase::Failed) => return None,
            };
            Some(format!("{what}{colon}{}", turn.why))
        }
        (MemberProgress::Failed, _) => {
            let failure = rollout?.failed.iter().find(|failure| failure.node_id == member.node_id)?;
            let text = if failure.restored {
                "is back on what it was".to_owned()
            } else {
                format!("failed: {}", failure.reason)
            };
            Some(text)
        }
        (MemberProgress::Done | MemberProgress::Waiting | MemberProgress::InTurn, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::since;
    use crate::api::fake::rolling;
    use crate::records::value::{RolloutStatus, TurnPhase};

    #[test]
    fn each_step_of_a_turn_is_one_line() {
        let granted = rolling::running(0, Some((0, TurnPhase::Granted)));
        assert_eq!(
            since(None, &granted),
            ["rollout 7: redis/7.0/abababababab -> redis/7.2/cdcdcdcdcdcd", "127.0.0.2:9638 has its turn"]
        );
        let verifying = rolling::running(0, Some((0, TurnPhase::Verifying)));
        assert_eq!(since(Some(&granted), &verifying), ["127.0.0.2:9638 is up, and has to stay ok"]);
        assert_eq!(since(Some(&verifying), &verifying), Vec::<String>::new());
        let next = rolling::running(1, Some((1, TurnPhase::Applying)));
        assert_eq!(since(Some(&verifying), &next), ["127.0.0.2:9638 is done (1 of 3)", "127.0.0.3:9638 changes over"]);
    }

    #[test]
    fn a_failure_is_told_with_its_reason_and_that_the_member_is_back() {
        let turn = rolling::running(1, Some((1, TurnPhase::Verifying)));
        let halted = rolling::halted(false);
        let expected =
            ["127.0.0.3:9638 failed: the health check says critical after it was ok", "the rollout is halted"];
        assert_eq!(since(Some(&turn), &halted), expected);
        assert_eq!(since(Some(&halted), &rolling::halted(true)), ["127.0.0.3:9638 is back on what it was"]);
    }

    #[test]
    fn a_pause_is_one_line_and_so_is_its_end() {
        let running = rolling::running(1, None);
        let mut paused = running.clone();
        paused.rollout.as_mut().unwrap().status = RolloutStatus::Paused;
        assert_eq!(since(Some(&running), &paused), ["the rollout is paused"]);
        assert_eq!(since(Some(&paused), &running), ["the rollout is running"]);
    }
}
