//! The updater: it gives turns, judges them, and obeys orders. One per group on each member; it acts only while this node
//! holds the group's `updater` seat.
//!
//! On taking the seat it does not know what the one before it did last. So it first asks the voters which version of the
//! record they have on disk (`Recovering`). Any turn that may have begun was stored by a majority of them, so that the
//! latest version of any majority names it. Then it goes on from there (`Driving`), beginning by writing the record once
//! more under its own term, from which moment on no earlier updater's version counts.
//!
//! | file | subject |
//! | --- | --- |
//! | `recovery` | what the updater before this one did last |
//! | `storage` | which voters have which version on disk |
//! | `watch` | what this updater knows of a turn beyond the record |
//! | `next` | the next version of the record, from the view and the time |
//! | `judge` | what became of the turns under way |
//! | `obey` | what a person wants |
//! | `begin` | a new rollout |

mod begin;
mod judge;
mod next;
mod obey;
mod recovery;
mod storage;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Mono, NodeId, Now, Term};
use crate::census::GroupView;
use crate::records::value::{Grant, Rollout, TurnKind};

use super::action::RolloutAction;
use super::message::{RolloutMessage, Version};
use super::order;
use next::Next;
use recovery::Recovery;
use storage::Storage;
use watch::{Told, Watch};

/// How often voters are asked again that have not answered.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long after one version of the record the next is written, for each turn that it names: where many have turns at a
/// time, what becomes of several of them is one version, since each costs every node of the ring a write.
const PAUSE_PER_TURN: Duration = Duration::from_millis(1);
/// How long a member's question may wait for its answer: the member does not take one that is later.
const QUESTION_KEPT: Duration = Duration::from_secs(1);

/// The updater of one group.
#[derive(Debug)]
pub struct Updater {
    me: NodeId,
    state: State,
    actions: Vec<RolloutAction>,
}

#[derive(Debug)]
enum State {
    /// This node does not hold the seat.
    Idle,
    /// It does, and learns what was done last.
    Recovering { seat: Lease, recovery: Recovery },
    /// It does, and goes on from the record.
    Driving(Driving),
}

/// The holding of the seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// In which term.
    pub term: Term,
    /// Until when, on this node's clock.
    pub until: Mono,
}

/// What the updater needs to know of the group.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The group.
    pub view: &'a GroupView,
    /// Its council.
    pub voters: &'a [NodeId],
    /// How many of them have a node that answers, and no member that is known.
    pub strangers: usize,
}

/// An updater at work.
#[derive(Debug)]
struct Driving {
    seat: Lease,
    since: Mono,
    storage: Storage,
    /// By the number of the turn; those that the record grants, and no other.
    watches: BTreeMap<u64, Watch>,
    /// Members that asked whether they may begin and have no answer yet.
    questions: BTreeMap<NodeId, Question>,
    /// What was put and is not yet seen in the view.
    written: Option<Version>,
    /// When the next version may be written.
    next_write: Mono,
    /// When something is due that no event announces.
    wake: Option<Mono>,
}

#[derive(Debug, Clone, Copy)]
struct Question {
    rollout: u64,
    turn: u64,
    nonce: u64,
    leads: bool,
    at: Mono,
}

impl Updater {
    /// One that does not hold the seat.
    #[must_use]
    pub fn new(me: NodeId) -> Self {
        Self { me, state: State::Idle, actions: Vec::new() }
    }

    /// This node holds the seat, or goes on holding it.
    pub fn held(&mut self, now: Now, lease: Lease) {
        match &mut self.state {
            State::Recovering { seat, .. } if seat.term == lease.term => seat.until = lease.until,
            State::Driving(driving) if driving.seat.term == lease.term => driving.seat.until = lease.until,
            State::Idle | State::Recovering { .. } | State::Driving(_) => {
                self.state = State::Recovering { seat: lease, recovery: Recovery::new(now.mono) };
            }
        }
    }

    /// This node does not hold the seat any more.
    pub fn lost(&mut self) {
        self.state = State::Idle;
        self.actions.clear();
    }

    /// Whether this node holds the seat.
    #[must_use]
    pub fn is_seated(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// The record that was to be put was refused: what the view shows then decides what to do.
    pub fn refused(&mut self) {
        if let State::Driving(driving) = &mut self.state {
            driving.written = None;
        }
    }

    /// A message of a voter or a member; also what this node says to itself.
    pub fn handle(&mut self, now: Now, from: NodeId, msg: RolloutMessage, facts: Facts<'_>) {
        match (&mut self.state, msg) {
            (State::Recovering { recovery, .. }, RolloutMessage::Seen(version)) => recovery.seen(from, version),
            (State::Driving(driving), RolloutMessage::Seen(version)) => driving.storage.seen(from, version),
            (State::Driving(driving), RolloutMessage::Begin { rollout, turn, nonce, leads }) => {
                driving.questions.insert(from, Question { rollout, turn, nonce, leads, at: now.mono });
            }
            (State::Driving(driving), RolloutMessage::Declined { turn }) => driving.declined(facts.view, from, turn),
            // For a member or a voter; or a member that asks while this is not known: it asks again.
            (
                State::Idle | State::Recovering { .. } | State::Driving(_),
                RolloutMessage::Ask
                | RolloutMessage::Seen(_)
                | RolloutMessage::Begin { .. }
                | RolloutMessage::Go { .. }
                | RolloutMessage::Never { .. }
                | RolloutMessage::Declined { .. },
            ) => return,
        }
        self.advance(now, facts);
    }

    /// The view changed, or the deadline came.
    pub fn advance(&mut self, now: Now, facts: Facts<'_>) {
        if let State::Recovering { seat, recovery } = &mut self.state {
            let own = known(facts.view);
            if recovery.advance(now.mono, own, facts.voters, &mut self.actions) {
                self.state = State::Driving(Driving::new(*seat, now.mono));
            }
        }
        if let State::Driving(driving) = &mut self.state {
            driving.advance(now, self.me, facts, &mut self.actions);
        }
    }

    /// When [`Self::advance`] is due even if nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Idle => None,
            State::Recovering { recovery, .. } => Some(recovery.deadline()),
            State::Driving(driving) => driving.wake.into_iter().chain(driving.storage.deadline()).min(),
        }
    }

    /// What is to be done, in order.
    pub fn drain(&mut self) -> Vec<RolloutAction> {
        std::mem::take(&mut self.actions)
    }
}

impl Driving {
    fn new(seat: Lease, now: Mono) -> Self {
        Self {
            seat,
            since: now,
            storage: Storage::default(),
            watches: BTreeMap::new(),
            questions: BTreeMap::new(),
            written: None,
            next_write: now,
            wake: None,
        }
    }

    fn declined(&mut self, view: &GroupView, from: NodeId, turn: u64) {
        let is_its_own = |(_, rollout): &(Term, std::sync::Arc<Rollout>)| {
            rollout.turn_of(from).is_some_and(|grant| grant.turn == turn)
        };
        if view.rollout.as_ref().is_some_and(is_its_own)
            && let Some(watch) = self.watches.get_mut(&turn)
        {
            watch.decline();
        }
    }

    fn advance(&mut self, now: Now, me: NodeId, facts: Facts<'_>, actions: &mut Vec<RolloutAction>) {
        let version = known(facts.view);
        if version.term > self.seat.term {
            // Another has taken the seat, and this node is about to hear it.
            return;
        }
        if self.written.is_some_and(|written| version < written) {
            return;
        }
        self.written = None;
        self.watch(now.mono, facts.view, version);
        if self.next_write > now.mono {
            self.wake = Some(self.next_write);
        } else if self.write_next(now, me, facts, actions) {
            return;
        }
        self.answer(now.mono, facts, actions);
        self.store(now.mono, facts.voters, actions);
    }

    /// Writes the next version of the record, if it says something new. Returns whether it does.
    fn write_next(&mut self, now: Now, me: NodeId, facts: Facts<'_>, actions: &mut Vec<RolloutAction>) -> bool {
        let mut next = Next::new(now, me, facts, self);
        let (record, notes) = next.decide();
        self.wake = next.wake();
        let Some(rollout) = record else { return false };
        self.written = Some(Version::of(self.seat.term, &rollout));
        // A single turn is followed by the next at once.
        let others = u32::try_from(rollout.in_turn.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.next_write = now.mono + PAUSE_PER_TURN.saturating_mul(others);
        actions.extend(notes.into_iter().map(RolloutAction::Note));
        actions.push(RolloutAction::Put { rollout: Box::new(rollout), term: self.seat.term });
        true
    }

    /// Keeps exactly the turns of the record under watch.
    fn watch(&mut self, now: Mono, view: &GroupView, version: Version) {
        let grants: &[Grant] = view.rollout.as_ref().map_or(&[], |(_, rollout)| &rollout.in_turn);
        self.watches.retain(|turn, _| grants.iter().any(|grant| grant.turn == *turn));
        for grant in grants {
            // A turn of an earlier updater may have begun.
            let told = if version.term == self.seat.term { Told::Nothing } else { Told::Unknown };
            self.watches.entry(grant.turn).or_insert_with(|| Watch::new(now, version, told));
        }
    }

    /// Answers the members that asked whether they may begin.
    fn answer(&mut self, now: Mono, facts: Facts<'_>, actions: &mut Vec<RolloutAction>) {
        self.questions.retain(|_, question| now.since(question.at) <= QUESTION_KEPT);
        let Some((term, rollout)) = &facts.view.rollout else { return };
        if *term != self.seat.term || self.questions.is_empty() {
            return;
        }
        let mut later = BTreeMap::new();
        for (member, question) in std::mem::take(&mut self.questions) {
            let grant = rollout.turn_of(member).filter(|grant| grant.turn == question.turn);
            let Some(grant) = grant.filter(|_| rollout.id == question.rollout) else { continue };
            let Some(watch) = self.watches.get_mut(&grant.turn) else { continue };
            let nonce = question.nonce;
            match may_begin(facts.view, rollout, grant, question.leads) {
                May::Never => {
                    watch.take_back();
                    let msg = RolloutMessage::Never { turn: grant.turn, nonce };
                    actions.push(RolloutAction::Send { to: member, msg });
                }
                // The lease is over: this node is about to hear it, and says nothing more.
                May::Go { .. } if now >= self.seat.until => {}
                May::Go { .. } if !self.storage.has_majority(facts.voters, watch.version) => {
                    later.insert(member, question);
                }
                May::Go { leads } => {
                    watch.go(now);
                    let msg = RolloutMessage::Go { turn: grant.turn, nonce, leads };
                    actions.push(RolloutAction::Send { to: member, msg });
                }
            }
        }
        self.questions = later;
    }

    /// Asks voters again that have not said that a turn's grant is on their disk.
    fn store(&mut self, now: Mono, voters: &[NodeId], actions: &mut Vec<RolloutAction>) {
        let wanted = self.watches.values().filter(|watch| watch.told != Told::Go).map(|watch| watch.version).max();
        self.storage.ask(now, voters, wanted, actions);
    }
}

/// Whether a turn may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Go { leads: bool },
    Never,
}

fn may_begin(view: &GroupView, rollout: &Rollout, grant: &Grant, leads: bool) -> May {
    if !judge::is_allowed(grant.kind, rollout.status) {
        return May::Never;
    }
    let leader_may = match grant.kind {
        TurnKind::Forward => order::leader_may(view, rollout, grant.member),
        // The others are not to be updated before it: it goes back, as they do, or is broken.
        TurnKind::Restore | TurnKind::Back => true,
    };
    if !leader_may && (leads || order::leader(view) == Some(grant.member)) {
        return May::Never;
    }
    May::Go { leads: leader_may }
}

/// The version of the record that this node knows.
fn known(view: &GroupView) -> Version {
    view.rollout.as_ref().map(|(term, rollout)| Version::of(*term, rollout)).unwrap_or_default()
}
