//! A member's side of a turn: it asks the updater whether the turn that the record grants may begin.
//!
//! A grant alone begins nothing, since it may have been late on its way here, and its updater may be deposed. The answer
//! counts for a moment only, so that one that was late does not either.

use std::time::Duration;

use crate::base::{Mono, NodeId};
use crate::records::value::{Grant, Rollout};

use super::action::RolloutAction;
use super::message::RolloutMessage;

/// How often the updater is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// For how long the answer to a question is good.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How many questions there are within that time, and one more.
const QUESTIONS: usize = 6;

/// The turns of one member.
#[derive(Debug, Default)]
pub struct Member {
    phase: Phase,
    /// Drawn from the node's randomness at its start: the answers to an earlier run of it are none to this one.
    next_nonce: u64,
    actions: Vec<RolloutAction>,
}

/// How far a turn is.
#[derive(Debug, Default)]
enum Phase {
    /// The record grants none.
    #[default]
    None,
    /// It may not begin yet.
    Asking { rollout: u64, grant: Grant, asked: Vec<(u64, Mono)>, next: Mono },
    /// It may begin.
    Begun { rollout: u64, grant: Grant },
    /// It never may.
    Declined { rollout: u64, grant: Grant, next: Mono },
}

impl Member {
    /// A member that has no turn. `nonce` is drawn anew for each run of the node.
    #[must_use]
    pub fn new(nonce: u64) -> Self {
        Self { next_nonce: nonce, ..Self::default() }
    }

    /// The turn that may begin, or has begun.
    #[must_use]
    pub fn turn(&self) -> Option<&Grant> {
        match &self.phase {
            Phase::Begun { grant, .. } => Some(grant),
            Phase::None | Phase::Asking { .. } | Phase::Declined { .. } => None,
        }
    }

    /// The turn that the record grants and that may not begin yet.
    #[must_use]
    pub fn granted(&self) -> Option<&Grant> {
        match &self.phase {
            Phase::Asking { grant, .. } => Some(grant),
            Phase::None | Phase::Begun { .. } | Phase::Declined { .. } => None,
        }
    }

    /// The record says this now.
    pub fn set_rollout(&mut self, now: Mono, me: NodeId, record: Option<&Rollout>) {
        let granted = record.and_then(|rollout| rollout.turn_of(me).map(|grant| (rollout.id, grant)));
        let known = match &self.phase {
            Phase::None => None,
            Phase::Asking { rollout, grant, .. }
            | Phase::Begun { rollout, grant }
            | Phase::Declined { rollout, grant, .. } => Some((*rollout, grant)),
        };
        if known == granted {
            return;
        }
        self.phase = match granted {
            None => Phase::None,
            Some((rollout, grant)) => Phase::Asking { rollout, grant: grant.clone(), asked: Vec::new(), next: now },
        };
    }

    /// Asks the updater, if there is one and it is time to. `leads` tells whether this member leads its group.
    pub fn tick(&mut self, now: Mono, updater: Option<NodeId>, leads: bool) {
        let (Phase::Asking { next, .. } | Phase::Declined { next, .. }) = &mut self.phase else { return };
        if *next > now {
            return;
        }
        *next = now + ASK_EVERY;
        let Some(to) = updater else { return };
        let msg = match &mut self.phase {
            Phase::Asking { rollout, grant, asked, .. } => {
                let nonce = self.next_nonce;
                self.next_nonce = self.next_nonce.wrapping_add(1);
                if asked.len() == QUESTIONS {
                    asked.remove(0);
                }
                asked.push((nonce, now));
                RolloutMessage::Begin { rollout: *rollout, turn: grant.turn, nonce, leads }
            }
            // Until the record says so, too: what was told before may have been lost.
            Phase::Declined { grant, .. } => RolloutMessage::Declined { turn: grant.turn },
            Phase::None | Phase::Begun { .. } => return,
        };
        self.actions.push(RolloutAction::Send { to, msg });
    }

    /// The updater says that the turn may begin. Returns whether it begins.
    pub fn go(&mut self, now: Mono, turn: u64, nonce: u64, leads: Leads) -> bool {
        let Some((rollout, grant)) = self.answered(now, turn, nonce) else { return false };
        match leads {
            // It came to lead since it asked: the others have to go first.
            Leads::ButMustNot => false,
            Leads::MayBegin => {
                self.phase = Phase::Begun { rollout, grant };
                true
            }
        }
    }

    /// The updater says that the turn may not begin, ever.
    pub fn never(&mut self, now: Mono, turn: u64, nonce: u64) {
        if let Some((rollout, grant)) = self.answered(now, turn, nonce) {
            self.phase = Phase::Declined { rollout, grant, next: now };
        }
    }

    /// The turn that is asked about, if this is an answer of the last moment.
    fn answered(&self, now: Mono, turn: u64, nonce: u64) -> Option<(u64, Grant)> {
        let Phase::Asking { rollout, grant, asked, .. } = &self.phase else { return None };
        let is_fresh = asked.iter().any(|(own, at)| *own == nonce && now.since(*at) <= ANSWER_WITHIN);
        (grant.turn == turn && is_fresh).then(|| (*rollout, grant.clone()))
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Asking { next, .. } | Phase::Declined { next, .. } => Some(*next),
            Phase::None | Phase::Begun { .. } => None,
        }
    }

    /// What is to be done.
    pub fn drain(&mut self) -> Vec<RolloutAction> {
        std::mem::take(&mut self.actions)
    }
}

/// Whether a member whose turn may begin is in the way of it, by leading its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    /// It does not lead, or may begin all the same.
    MayBegin,
    /// It leads, and the updater did not know.
    ButMustNot,
}
