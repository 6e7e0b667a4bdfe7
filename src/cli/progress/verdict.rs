//! Whether a change is there.

use crate::api::shape::{
    MemberProgress, MemberServiceState, MemberState, Rollout, RolloutFailure, RolloutMember, RolloutReport, phase_word,
    status_word,
};
use crate::api::{Problem, ProblemKind};
use crate::records::value::{DesiredState, Health, RolloutStatus, Strategy, TurnKind};

/// How many members are named where more are meant.
const NAMED: usize = 3;

/// A change that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Sought {
    /// From which rollout on it counts.
    pub since: Since,
    /// What it leads to.
    pub wants: Wants,
}

/// From when on a rollout answers what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Since {
    /// Once it takes up this change.
    Asked(u64),
    /// Once its updater has obeyed this order.
    Obeyed(u64),
}

/// What is to come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Wants {
    /// This release.
    Release(String),
    /// This config.
    Config(String),
    /// Whatever the rollout leads to.
    Forward,
    /// What was before it.
    Back,
    /// That it stands so, whatever has come of it.
    Status(RolloutStatus),
}

/// What has come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is there.
    Done,
    /// It is on its way; what it waits for.
    Going(String),
    /// It stands still, or something else took its place.
    Failed(Problem),
}

impl Sought {
    /// The rollout that the change is part of; none before it has begun.
    fn answer<'a>(&self, report: &'a RolloutReport) -> Option<&'a Rollout> {
        report.rollout.as_ref().filter(|rollout| match self.since {
            // Where what is wanted is what there is already, nothing is taken up.
            Since::Asked(asked) => rollout.asked >= asked || rollout.is_done_with(&report.desired),
            Since::Obeyed(given) => rollout.obeyed >= given,
        })
    }

    /// Whether what is reported is about this change at all.
    pub(super) fn is_answered_by(&self, report: &RolloutReport) -> bool {
        match report.strategy {
            Strategy::Rolling => self.answer(report).is_some(),
            Strategy::AtOnce | Strategy::None => true,
        }
    }
}

/// What has come of a change.
pub(super) fn judge(report: &RolloutReport, sought: &Sought) -> Verdict {
    match report.strategy {
        Strategy::Rolling => rolling(report, sought),
        Strategy::AtOnce | Strategy::None => at_once(report, sought),
    }
}

fn rolling(report: &RolloutReport, sought: &Sought) -> Verdict {
    let Some(rollout) = sought.answer(report) else { return Verdict::Going(standing(report)) };
    if let Some(other) = replaced(&sought.wants, &rollout.to.release, &rollout.to.config_revision) {
        return Verdict::Failed(superseded(report, &other));
    }
    match (rollout.status, &sought.wants) {
        (status, Wants::Status(wanted)) if status == *wanted => Verdict::Done,
        // It may have been over when the order came.
        (RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted, Wants::Status(_)) => Verdict::Done,
        (RolloutStatus::RolledBack, Wants::Back) => Verdict::Done,
        (RolloutStatus::Done, Wants::Release(_) | Wants::Config(_) | Wants::Forward) if rollout.failed.is_empty() => {
            Verdict::Done
        }
        (RolloutStatus::Running | RolloutStatus::RollingBack, _) => Verdict::Going(going(report)),
        (RolloutStatus::Paused, _) => {
            Verdict::Going(format!("{}; go on with: sup rollout resume {}", paused(rollout), report.group))
        }
        // The member that failed is on its way back: what is said then is the whole story.
        (RolloutStatus::Halted, _) if !rollout.in_turn.is_empty() => Verdict::Going(going(report)),
        (RolloutStatus::Halted | RolloutStatus::Done | RolloutStatus::RolledBack | RolloutStatus::Aborted, _) => {
            Verdict::Failed(failed(report, rollout))
        }
    }
}

/// What took the place of what is wanted.
fn replaced(wants: &Wants, release: &Option<String>, config: &Option<String>) -> Option<String> {
    let (wanted, found, nothing) = match wants {
        Wants::Release(wanted) => (wanted, release, "what each member was started with"),
        Wants::Config(wanted) => (wanted, config, "the plan's defaults"),
        Wants::Forward | Wants::Back | Wants::Status(_) => return None,
    };
    let found = found.as_deref().unwrap_or(nothing);
    (found != wanted).then(|| format!("{wanted} was replaced by {found}"))
}

fn superseded(report: &RolloutReport, other: &str) -> Problem {
    let detail = format!("{}: {other} before all members had it", report.group);
    Problem::new(ProblemKind::Conflict, detail).next(format!("sup rollout status {}", report.group))
}

fn paused(rollout: &Rollout) -> String {
    let colon = if rollout.why.is_empty() { "" } else { ": " };
    format!("rollout {} is paused{colon}{}", rollout.id, rollout.why)
}

/// Why nothing moves; that it has yet to begin, if nothing keeps it.
fn standing(report: &RolloutReport) -> String {
    let said = report.standing.sentences.first().map(|sentence| sentence.trim_end_matches('.').to_owned());
    said.unwrap_or_else(|| "its updater has yet to take it up".to_owned())
}

/// What a rollout that moves waits for.
fn going(report: &RolloutReport) -> String {
    let in_turn: Vec<String> = report.members.iter().filter_map(in_words).take(NAMED).collect();
    if in_turn.is_empty() { standing(report) } else { in_turn.join("; ") }
}

/// What a member whose turn it is does; none for others.
pub(in crate::cli) fn in_words(member: &RolloutMember) -> Option<String> {
    let turn = member.turn.as_ref()?;
    let back = match turn.kind {
        TurnKind::Forward => "",
        TurnKind::Restore | TurnKind::Back => "going back, ",
    };
    let colon = if turn.why.is_empty() { "" } else { ": " };
    Some(format!("{} is {back}{}{colon}{}", member.address, phase_word(turn.phase), turn.why))
}

/// Why a rollout did not do what was asked, with what the member had to say, and what to do about it.
fn failed(report: &RolloutReport, rollout: &Rollout) -> Problem {
    let group = &report.group;
    let mut detail = format!("rollout {} of {group} is {}", rollout.id, status_word(rollout.status));
    match rollout.failed.as_slice() {
        [] if rollout.why.is_empty() => {}
        [] => detail.push_str(&format!(": {}", rollout.why)),
        failures => {
            let but = if rollout.status == RolloutStatus::Done { ", but " } else { ": " };
            detail.push_str(but);
            let told: Vec<String> = failures.iter().take(NAMED).map(failure).collect();
            detail.push_str(&told.join("\n"));
            if let Some(more @ 1..) = failures.len().checked_sub(NAMED) {
                detail.push_str(&format!("\nand {more} more"));
            }
        }
    }
    let next = match rollout.status {
        RolloutStatus::Halted | RolloutStatus::Aborted => {
            format!("sup rollout retry {group}, or sup rollout rollback {group}; more: sup rollout status {group}")
        }
        RolloutStatus::Done => format!("sup rollout retry {group}; more: sup rollout status {group}"),
        RolloutStatus::Running | RolloutStatus::Paused | RolloutStatus::RollingBack | RolloutStatus::RolledBack => {
            format!("sup rollout status {group}")
        }
    };
    Problem::new(ProblemKind::RolloutFailed, detail).next(next)
}

/// A member's failure: why, what it is now, and what its check or hook wrote.
fn failure(failure: &RolloutFailure) -> String {
    let RolloutFailure { node_id, address, reason, output, restored } = failure;
    let name = if address.is_empty() { node_id.short() } else { address.clone() };
    let now = if *restored { " (it is back on what it was)" } else { "" };
    let mut text = format!("{name} failed: {reason}{now}");
    for line in output.trim_end().lines() {
        text.push_str(&format!("\n    {line}"));
    }
    text
}

fn at_once(report: &RolloutReport, sought: &Sought) -> Verdict {
    let desired = &report.desired;
    if let Some(other) = replaced(&sought.wants, &desired.release, &desired.config_revision) {
        return Verdict::Failed(superseded(report, &other));
    }
    let left: Vec<&RolloutMember> =
        report.members.iter().filter(|member| answers(member) && !has_it(member, desired.state)).collect();
    if let Some(member) = left.iter().find(|member| cannot(member)) {
        let detail = format!("{} cannot run it on {}: {}", report.group, member.address, member.why);
        let next = format!("sup logs {} there, sup explain {}", report.group.service, report.group);
        return Verdict::Failed(Problem::new(ProblemKind::ServiceFailed, detail).next(next));
    }
    match left.first() {
        None => Verdict::Done,
        Some(first) => {
            let colon = if first.why.is_empty() { "" } else { ": " };
            let state = first.state.as_str();
            let (count, all) = (left.len(), report.members.iter().filter(|member| answers(member)).count());
            Verdict::Going(format!("{count} of {all} members left; {} is {state}{colon}{}", first.address, first.why))
        }
    }
}

/// Whether the member's node answers: nobody waits for others.
fn answers(member: &RolloutMember) -> bool {
    matches!(member.node_state, MemberState::Alive | MemberState::Suspect)
}

fn has_it(member: &RolloutMember, state: DesiredState) -> bool {
    let runs = member.state == MemberServiceState::Up && matches!(member.health, Health::Ok | Health::Warning);
    member.progress == MemberProgress::Done
        && match state {
            DesiredState::Up => runs,
            DesiredState::Down => member.state == MemberServiceState::Down,
        }
}

/// Whether the member has taken the change up and cannot run with it.
fn cannot(member: &RolloutMember) -> bool {
    member.progress == MemberProgress::Done && member.state == MemberServiceState::Failed
}

/// How many members have it, how many there are, and those that will have it later since their nodes are away.
pub(in crate::cli) fn serving_total(report: &RolloutReport) -> (usize, usize, Vec<&str>) {
    let is_gone = |member: &&RolloutMember| matches!(member.node_state, MemberState::Left | MemberState::Departed);
    let there: Vec<&RolloutMember> = report.members.iter().filter(|member| !is_gone(member)).collect();
    let done = there.iter().filter(|member| member.progress == MemberProgress::Done).count();
    let away = there.iter().filter(|member| !answers(member) && member.progress != MemberProgress::Done);
    (done, there.len(), away.map(|member| member.address.as_str()).collect())
}

#[cfg(test)]
mod tests;
