//! Why a rollout stands as it does, in sentences: the most important first.

use super::explain::sentence;
use crate::api::shape::{Standing, TargetView, Time, phase_word};
use crate::base::NodeId;
use crate::census::{ElectionState, GroupView, Liveness, MemberView};
use crate::records::value::{
    Aftermath, Failure, Grant, OrderKind, Rollout, RolloutStatus, Strategy, TurnKind, TurnPhase,
};

/// How many members are named of each kind.
const NAMED: usize = 5;

/// Why the change of a group stands as it does. Nothing is said of what goes as it should and is over.
pub(super) fn standing(view: &GroupView, me: NodeId) -> Standing {
    if view.strategy != Strategy::Rolling {
        return Standing::default();
    }
    let story = Story { view, me };
    match &view.rollout {
        None if view.asked == 0 => Standing::default(),
        None => story.not_begun(),
        Some((_, rollout)) => story.tell(rollout),
    }
}

/// What is said of this node's own member while it has its turn, or waits for it.
pub(super) fn own_turn(view: &GroupView, me: NodeId) -> Option<String> {
    let (_, rollout) = view.rollout.as_ref().filter(|_| view.strategy == Strategy::Rolling)?;
    let story = Story { view, me };
    if let Some(grant) = rollout.turn_of(me) {
        let doing = story.doing(grant);
        return Some(format!("It has its turn in rollout {} of {}: it {doing}.", rollout.id, view.group));
    }
    rollout.failed.iter().find(|failure| failure.member == me).map(|failure| {
        let now = match failure.aftermath {
            Aftermath::Restored => "; it is back on what it was",
            Aftermath::Stuck | Aftermath::WrittenOff | Aftermath::Waits => "",
        };
        format!("Its turn in rollout {} of {} failed: {}{now}.", rollout.id, view.group, failure.reason)
    })
}

struct Story<'a> {
    view: &'a GroupView,
    me: NodeId,
}

impl Story<'_> {
    fn not_begun(&self) -> Standing {
        let sentences = match self.no_updater() {
            Some(why) => why,
            None => {
                vec![format!("The updater of {}, {}, has yet to take the change up.", self.view.group, self.updater())]
            }
        };
        Standing { sentences, next: Some("sup members".to_owned()) }
    }

    fn tell(&self, rollout: &Rollout) -> Standing {
        let group = &self.view.group;
        let command = |word: &str| format!("sup rollout {word} {group}");
        let mut sentences = Vec::new();
        let is_replaced = self.view.target != rollout.to;
        let mut next = match rollout.status {
            RolloutStatus::Running => {
                self.running(rollout, &mut sentences);
                None
            }
            RolloutStatus::Paused => {
                sentences.push(self.paused(rollout));
                sentences.extend(self.in_turn(rollout));
                Some(command("resume"))
            }
            RolloutStatus::Halted => {
                sentences
                    .push(self.head(rollout, "is halted: nobody else is touched until a person says how to go on"));
                self.failures(rollout, &mut sentences);
                sentences.extend(self.in_turn(rollout));
                sentences.push(self.counts(rollout));
                Some(format!("{}, or {}", command("retry"), command("rollback")))
            }
            RolloutStatus::RollingBack => {
                sentences.push(self.head(rollout, "is being rolled back"));
                self.failures(rollout, &mut sentences);
                sentences.extend(self.in_turn(rollout));
                None
            }
            RolloutStatus::Done => {
                self.failures(rollout, &mut sentences);
                sentences.extend(self.away(rollout));
                sentences.extend(self.in_turn(rollout));
                (!rollout.failed.is_empty()).then(|| command("retry"))
            }
            RolloutStatus::RolledBack => {
                sentences.push(self.head(rollout, "was rolled back"));
                self.failures(rollout, &mut sentences);
                Some(format!("{}, or sup update {group} DIR with what is mended", command("retry")))
            }
            RolloutStatus::Aborted => {
                let why = if rollout.why.is_empty() { String::new() } else { format!(" ({})", rollout.why) };
                sentences.push(self.head(rollout, &format!("was aborted{why}: members stay as they are")));
                sentences.push(self.counts(rollout));
                Some(format!("{}, or {}", command("retry"), command("rollback")))
            }
        };
        if is_replaced {
            self.replaced(rollout, &mut sentences);
            // What ended otherwise is of no more concern.
            next = None;
        }
        let waits = is_replaced || !matches!(rollout.status, RolloutStatus::Done | RolloutStatus::Aborted);
        if waits && let Some(why) = self.no_updater() {
            sentences.splice(0..0, why);
            next = Some("sup members".to_owned());
        }
        let next = next.or_else(|| (!sentences.is_empty()).then(|| command("status")));
        Standing { sentences, next }
    }

    /// The rollout, its target, and what is the case with it.
    fn head(&self, rollout: &Rollout, what: &str) -> String {
        format!("Rollout {} of {}, to {}, {what}.", rollout.id, self.view.group, self.change(rollout))
    }

    /// What a rollout brings, shortly.
    fn change(&self, rollout: &Rollout) -> String {
        let (from, to) = (TargetView::of(self.view, &rollout.from), TargetView::of(self.view, &rollout.to));
        let mut parts = Vec::new();
        if from.release != to.release || from == to {
            parts.push(to.release.unwrap_or_else(|| "the plan that each was started with".to_owned()));
        }
        if from.config_revision != to.config_revision {
            parts.push(format!("config {}", to.config_revision.as_deref().unwrap_or("defaults")));
        }
        if from.state != to.state {
            parts.push(format!("{:?}", to.state).to_lowercase());
        }
        parts.join(", ")
    }

    fn running(&self, rollout: &Rollout, sentences: &mut Vec<String>) {
        let in_turn = self.in_turn(rollout);
        if !in_turn.is_empty() {
            sentences.extend(in_turn);
        } else if !rollout.why.is_empty() {
            sentences.push(self.head(rollout, "has nobody in turn"));
            sentences.push(sentence(&rollout.why));
        } else if self.view.target == rollout.to {
            sentences.push(self.head(rollout, "has nobody in turn"));
            sentences.extend(self.away(rollout));
        }
        self.failures(rollout, sentences);
    }

    fn paused(&self, rollout: &Rollout) -> String {
        let order = self.view.order.as_ref().map(|(_, order)| order);
        let given = order.filter(|order| order.what == OrderKind::Pause && order.rollout == rollout.id);
        let how = match given {
            Some(order) => {
                let by = order.by.map_or_else(|| "somewhere".to_owned(), |by| self.name(by));
                format!("was paused on {by} at {}: nobody begins a turn", Time::from(order.at))
            }
            None => "is paused: nobody begins a turn".to_owned(),
        };
        self.head(rollout, &how)
    }

    fn failures(&self, rollout: &Rollout, sentences: &mut Vec<String>) {
        for failure in rollout.failed.iter().take(NAMED) {
            sentences.push(self.failure(rollout, failure));
            let output = failure.output.trim();
            if !output.is_empty() {
                sentences.push(format!("It wrote:\n    {}", output.replace('\n', "\n    ")));
            }
        }
        if let Some(more @ 1..) = rollout.failed.len().checked_sub(NAMED) {
            sentences.push(format!("{more} more members failed."));
        }
    }

    fn failure(&self, rollout: &Rollout, failure: &Failure) -> String {
        let is_going_back = rollout.turn_of(failure.member).is_some_and(|grant| grant.kind != TurnKind::Forward);
        let now = match (failure.aftermath, is_going_back, rollout.options.restore_failed) {
            (Aftermath::Restored, _, _) => "; it is back on what it was",
            (Aftermath::Stuck | Aftermath::WrittenOff | Aftermath::Waits, true, _) => {
                "; it is going back to what it was"
            }
            (Aftermath::Stuck, false, _) => "; it could not be put back on what it was",
            (Aftermath::WrittenOff, false, _) => "; it does not answer, and the others went on without it",
            (Aftermath::Waits, false, true) => "; it is not back on what it was",
            (Aftermath::Waits, false, false) => "; it is left as it is",
        };
        format!("The turn of {} failed: {}{now}.", self.name(failure.member), failure.reason.trim_end_matches('.'))
    }

    fn in_turn(&self, rollout: &Rollout) -> Vec<String> {
        let told = rollout.in_turn.iter().take(NAMED).map(|grant| {
            format!(
                "Rollout {} of {} waits for {}, which {}.",
                rollout.id,
                self.view.group,
                self.name(grant.member),
                self.doing(grant)
            )
        });
        told.collect()
    }

    /// What a member whose turn it is does, as what follows "which".
    fn doing(&self, grant: &Grant) -> String {
        let back = match grant.kind {
            TurnKind::Forward => "",
            TurnKind::Restore | TurnKind::Back => "goes back: it ",
        };
        let Some(member) = self.view.members.get(&grant.member) else { return "is not known here".to_owned() };
        match member.node.liveness {
            Liveness::Down => {
                return "does not answer: its turn is given up when it does not for longer than the deadline"
                    .to_owned();
            }
            Liveness::Left => return "has left".to_owned(),
            Liveness::Departed => return "is gone for good".to_owned(),
            Liveness::Alive | Liveness::Suspect => {}
        }
        let report = member.status.turn.as_ref().filter(|report| report.turn == grant.turn);
        let Some(report) = report else { return format!("{back}has yet to begin") };
        let since = if report.since.0 > 0 { format!(" since {}", Time::from(report.since)) } else { String::new() };
        let why = if report.why.is_empty() { String::new() } else { format!(" ({})", report.why) };
        let what = match report.phase {
            TurnPhase::Granted => "has yet to begin",
            TurnPhase::Fetching => "fetches the release",
            TurnPhase::Applying => "changes over",
            TurnPhase::Verifying => "is up, and has to stay ok",
            TurnPhase::Done | TurnPhase::Failed => {
                return format!("{back}has ended its turn ({})", phase_word(report.phase));
            }
        };
        format!("{back}{what}{since}{why}")
    }

    fn counts(&self, rollout: &Rollout) -> String {
        let all = self.view.members.len();
        let have = |member: &&MemberView| member.status.target.as_ref() == Some(&rollout.to);
        let done = self.view.members.values().filter(have).count();
        format!("{done} of the {all} members of {} have it.", self.view.group)
    }

    /// Those that do not answer, and get it when they are back.
    fn away(&self, rollout: &Rollout) -> Option<String> {
        let is_away = |member: &&MemberView| {
            member.node.liveness == Liveness::Down && member.status.target.as_ref() != Some(&rollout.to)
        };
        let away: Vec<String> =
            self.view.members.values().filter(is_away).take(NAMED).map(|member| self.name(member.node.id)).collect();
        match away.as_slice() {
            [] => None,
            [one] => Some(format!("{one} does not answer, and gets it when it is back.")),
            more => Some(format!("{} do not answer, and get it when they are back.", more.join(", "))),
        }
    }

    /// Another state was asked for meanwhile.
    fn replaced(&self, rollout: &Rollout, sentences: &mut Vec<String>) {
        let to = TargetView::of(self.view, &self.view.target);
        let release = to.release.as_deref().unwrap_or("the plan that each was started with");
        let config = to.config_revision.as_deref().unwrap_or("defaults");
        let when = match (rollout.status, rollout.in_turn.is_empty()) {
            (_, false) => "is next, once the turn under way has ended",
            (RolloutStatus::Paused, true) => "takes its place, and stays paused",
            (_, true) => "is next: the updater has yet to take it up",
        };
        sentences.insert(0, format!("What was asked for last ({release}, config {config}) {when}."));
    }

    /// Why nobody begins a turn: there is nobody who could say so. None if there is an updater.
    fn no_updater(&self) -> Option<Vec<String>> {
        let view = self.view;
        let answers = |id: NodeId| view.members.get(&id).is_some_and(|member| member.node.liveness != Liveness::Down);
        let why = match (view.update_election, view.updater) {
            (ElectionState::Finished, Some(seat)) if answers(seat.node) => return None,
            (ElectionState::Finished, Some(seat)) => {
                vec![format!(
                    "{} held the updater seat, and does not answer; another takes it soon.",
                    self.name(seat.node)
                )]
            }
            (ElectionState::Finished | ElectionState::Running, _) => vec!["An updater is being elected.".to_owned()],
            (ElectionState::NoQuorum, _) => match &view.council {
                Some(council) => {
                    let silent = council.voters.iter().filter(|id| !answers(**id)).count();
                    vec![format!("{silent} of the {} members that vote do not answer.", council.voters.len())]
                }
                None => vec!["Too few members have ever been there at once to say who decides.".to_owned()],
            },
            (ElectionState::None, _) => vec!["No member is there that could hold it.".to_owned()],
        };
        let more = (!view.update_election_why.is_empty()).then(|| sentence(&view.update_election_why));
        let head =
            format!("Nobody holds the updater seat of {}: until somebody does, nobody begins a turn.", view.group);
        Some(std::iter::once(head).chain(why).chain(more).collect())
    }

    fn updater(&self) -> String {
        self.view.updater.map_or_else(|| "whoever it is".to_owned(), |seat| self.name(seat.node))
    }

    fn name(&self, id: NodeId) -> String {
        match self.view.members.get(&id) {
            Some(_) if id == self.me => "this node".to_owned(),
            Some(member) => member.node.address.to_string(),
            None => id.short(),
        }
    }
}

#[cfg(test)]
mod tests;
