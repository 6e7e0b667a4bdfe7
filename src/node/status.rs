//! What this node says of its members, and when it is told.
//!
//! Every node of the ring hears each change of each member. In a large ring those that nobody acts on (that a process is
//! on its way up again, that a turn has come a step further) wait for a moment: most often the next one takes their
//! place. This node itself goes by what its members say at once.

use std::time::Duration;

use crate::base::{GroupId, Mono, Now, Seat};
use crate::records::Key;
use crate::records::value::{Health, MemberStatus, ServiceState, TurnPhase};

use super::{CommandError, Done, GroupRules, Node};

/// In a ring of so many members or fewer all is told at once.
const SMALL_RING: usize = 64;
/// For how long what nobody acts on may wait, for each member of the ring: about as long as the others have news enough.
const WAIT_PER_MEMBER: Duration = Duration::from_millis(1);
/// And at most.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What a member says and the ring is yet to be told.
#[derive(Debug)]
pub(super) struct Untold {
    status: Box<MemberStatus>,
    pub(super) at: Mono,
}

impl Node {
    pub(super) fn publish_member(
        &mut self,
        now: Now,
        group: &GroupId,
        status: &MemberStatus,
        rules: GroupRules,
    ) -> Result<Done, CommandError> {
        if let Some(wait) = self.may_wait(group, status) {
            if let Some(known) = self.groups.get_mut(group) {
                let at = known.untold.as_ref().map_or(now.mono + wait, |untold| untold.at);
                known.untold = Some(Untold { status: Box::new(status.clone()), at });
            }
        } else {
            self.try_put_value(now, Key::service(group, self.me), status, 0)?;
            self.say_to_updater(group, status);
            if let Some(known) = self.groups.get_mut(group) {
                known.untold = None;
            }
        }
        self.census.watch(group);
        self.join_elections(now, group, Some(rules), None);
        self.inform_election(now, group);
        // The view first has to know of the member, or at least of what an earlier run said of it.
        self.settle(now);
        self.set_own_member(now, group, Some(status.clone()));
        Ok(Done { changed: true, ..Done::default() })
    }

    /// Tells the ring what has waited for long enough.
    pub(super) fn tick_statuses(&mut self, now: Now) {
        let mut due = Vec::new();
        for (id, group) in &mut self.groups {
            if let Some(untold) = group.untold.take_if(|untold| untold.at <= now.mono) {
                due.push((id.clone(), untold.status));
            }
        }
        for (id, status) in due {
            self.put_value(now, Key::service(&id, self.me), &*status, 0);
            self.say_to_updater(&id, &status);
        }
    }

    /// The updater waits for whoever has a turn.
    fn say_to_updater(&mut self, group: &GroupId, status: &MemberStatus) {
        let updater = self.census.holders(group).get(&Seat::Updater).and_then(|holder| holder.node);
        if status.turn.is_some()
            && let Some(updater) = updater
        {
            self.records.say_to(updater, Key::service(group, self.me));
        }
    }

    /// For how long the ring need not be told of this; none: it is to be told at once.
    fn may_wait(&self, group: &GroupId, status: &MemberStatus) -> Option<Duration> {
        // The first word of a run takes the place of what an earlier run said.
        self.groups.get(group).filter(|known| known.rollout.has_own())?;
        let told = self.census.members(group).find(|(id, _)| *id == self.me)?.1;
        if !acts_alike(told, status) {
            return None;
        }
        let ring = self.ring.alive().count();
        let wait = WAIT_PER_MEMBER.saturating_mul(u32::try_from(ring).unwrap_or(u32::MAX)).min(WAIT_MAX);
        (ring > SMALL_RING).then_some(wait)
    }
}

/// Whether everybody would do the same after either.
fn acts_alike(told: &MemberStatus, status: &MemberStatus) -> bool {
    let serves = |status: &MemberStatus| status.state == ServiceState::Up && status.health != Health::Critical;
    let ended = |status: &MemberStatus| {
        let ended = status.turn.as_ref().filter(|turn| matches!(turn.phase, TurnPhase::Done | TurnPhase::Failed));
        ended.map(|turn| (turn.rollout, turn.turn, turn.phase))
    };
    // What says how it is on its way, and no more.
    let on_its_way = |status: &MemberStatus| MemberStatus {
        state: ServiceState::default(),
        why: String::new(),
        health: Health::default(),
        pid: None,
        since: told.since,
        turn: None,
        ..status.clone()
    };
    serves(told) == serves(status) && ended(told) == ended(status) && on_its_way(told) == on_its_way(status)
}

#[cfg(test)]
mod tests {
    use super::acts_alike;
    use crate::records::value::{Health, MemberStatus, ServiceState, Target, TurnPhase, TurnReport};

    fn in_phase(phase: TurnPhase) -> Option<TurnReport> {
        Some(TurnReport { rollout: 1, turn: 7, phase, ..TurnReport::default() })
    }

    #[test]
    fn that_a_process_is_on_its_way_up_is_no_reason_to_act() {
        let stopping = MemberStatus { state: ServiceState::Stopping, pid: Some(1), ..MemberStatus::default() };
        let turn = in_phase(TurnPhase::Applying);
        let starting = MemberStatus { state: ServiceState::Starting, pid: Some(2), turn, ..MemberStatus::default() };
        assert!(acts_alike(&stopping, &starting));
    }

    #[test]
    fn what_others_go_by_is_told_at_once() {
        let up = MemberStatus { state: ServiceState::Up, health: Health::Ok, ..MemberStatus::default() };
        for other in [
            MemberStatus { state: ServiceState::Stopping, ..up.clone() },
            MemberStatus { health: Health::Critical, ..up.clone() },
            MemberStatus { eligible: true, ..up.clone() },
            MemberStatus { suitability: Some(1), ..up.clone() },
            MemberStatus { restarts: 1, ..up.clone() },
            MemberStatus { target: Some(Target::default()), ..up.clone() },
            MemberStatus { turn: in_phase(TurnPhase::Done), ..up.clone() },
            MemberStatus { turn: in_phase(TurnPhase::Failed), ..up.clone() },
        ] {
            assert!(!acts_alike(&up, &other) && !acts_alike(&other, &up), "{other:?}");
        }
    }
}
