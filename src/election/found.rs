//! Founding a council: who proposes, when, and what is said about it. The rules are in `genesis`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::{Mono, NodeId};

use super::action::ElectionAction;
use super::council::{Ballot, Council, CouncilId, FIRST, GenesisId, Proposal, SUPERSEDED_MAX, choose_voters, majority};
use super::disk::Tellable;
use super::genesis::{Answer, Bid, Yielded};
use super::inquiry::Inquiry;
use super::machine::{Election, Heard, Standing};
use super::message::ElectionMessage;

/// What is under way. None of it has to survive a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Founding {
    bid: Option<Bid>,
    /// When this node may propose: the members that are alive must have been the same for a while, since a ring that
    /// is just forming shows every node another part of it.
    propose_at: Option<Mono>,
    /// Who was alive in the last view.
    alive: Vec<NodeId>,
    /// The highest attempt heard of.
    attempt: u64,
    /// When the proposal was accepted that waits for its confirmation.
    accepted_at: Option<Mono>,
    /// When its proposer is told so again.
    accept_again_at: Option<Mono>,
    /// Which voters are known to have promised never to confirm which council.
    defunct: BTreeSet<(GenesisId, NodeId)>,
    /// A council that this node had to give up, which some may still follow.
    dead: Option<GenesisId>,
    /// The council that is given up, because a person said so: another one is proposed beside it.
    recovers: Option<GenesisId>,
    /// The council that was published last, and when it may be published again.
    told: Option<(CouncilId, Mono)>,
    /// What the ring said when it was asked.
    pub(super) inquiry: Inquiry,
}

impl Founding {
    fn alive_changed(&mut self, alive: &[NodeId]) -> bool {
        let changed = self.alive != alive;
        if changed {
            self.alive = alive.to_vec();
        }
        changed
    }

    /// Whether a proposal of this node is under way.
    pub(super) fn proposes(&self) -> bool {
        self.bid.is_some()
    }
}

impl Election {
    /// How long the ring must show the same members before a council is proposed.
    fn calm(&self) -> Duration {
        self.config.ttl / 4
    }

    /// How long a proposer that is alive is given to finish.
    fn patience(&self) -> Duration {
        self.config.ttl / 2
    }

    fn repeat(&self) -> Duration {
        self.config.ttl / 16
    }

    pub(super) fn founding_deadline(&self) -> Option<Mono> {
        let founding = &self.founding;
        if self.charter.council.is_some() && self.given_up().is_none() {
            // While a write is under way or fails nothing can be told: its end is what is waited for, not a time.
            let may_tell = self.disk.tellable() == Tellable::Now && self.publishes_council();
            return may_tell.then_some(founding.told).flatten().map(|(_, again_at)| again_at);
        }
        let bid = founding.bid.as_ref().map(|bid| bid.repeat_at);
        let propose = founding.propose_at.filter(|_| founding.bid.is_none());
        bid.into_iter().chain(propose).chain(founding.accept_again_at).min()
    }

    /// The view changed: whether this node is to propose, and whether its proposal can still be accepted by all.
    pub(super) fn founding_view(&mut self, now: Mono) {
        if self.charter.council.is_some() {
            self.founding.inquiry = Inquiry::default();
        }
        let alive = self.view.alive(self.config.me);
        let lost = |bid: &Bid| bid.missing().iter().any(|voter| !alive.contains(voter));
        if self.founding.bid.as_ref().is_some_and(lost) {
            self.founding.bid = None;
            self.founding.propose_at = None;
        }
        let changed = self.founding.alive_changed(&alive);
        if !self.may_propose(&alive) {
            self.founding.propose_at = None;
        } else if changed || self.founding.propose_at.is_none() {
            self.founding.propose_at = Some(now + self.calm());
            self.inquire();
        }
    }

    /// The council that is being given up.
    pub(super) fn given_up(&self) -> Option<&Council> {
        self.charter.council.as_ref().filter(|council| self.founding.recovers == Some(council.genesis))
    }

    pub(super) fn begin_recovery(&mut self, now: Mono, lost: GenesisId) {
        if self.founding.recovers != Some(lost) {
            self.founding.recovers = Some(lost);
            self.founding.bid = None;
            self.founding.propose_at = Some(now);
        }
    }

    pub(super) fn may_propose(&self, alive: &[NodeId]) -> bool {
        if self.given_up().is_some() {
            return self.config.rules.is_some() && self.view.ready && !alive.is_empty();
        }
        self.charter.council.is_none()
            && self.config.rules.is_some()
            && self.standing == Standing::Stands
            && self.view.ready
            && !self.view.seats.is_empty()
            // Whoever holds a seat was seated by a council, and the record of it is on its way here.
            && self.view.published.is_empty()
            && alive.first() == Some(&self.config.me)
            && alive.len() >= self.founders()
    }

    /// How many members must be alive before the first council is founded: as many as the group wants, and more than
    /// half of those that this node has heard of and that have not left. So of a ring that is cut in two before it has a
    /// council at most one side founds one; two councils would seat two leaders until they meet.
    ///
    /// Who seems alive may be cut off already. So wherever a council can be so large, its *voters* are more than half
    /// (an odd number: one more than half of 6 or 7), and all of them have to accept: any two such councils share a
    /// voter, whatever the ring shows. In a group of twice the council's size or more it rests on the ring.
    ///
    /// The price, paid on purpose: members that died for good before there ever was a council can keep a group waiting,
    /// until the ring forgets them (24 h), they are told to have left, or enough others join. The status names them.
    /// Two sides that have never heard of each other are not covered: nobody can count those that it does not know. Of
    /// those whose news are only late the ring is asked first, see `inquiry`.
    pub(super) fn founders(&self) -> usize {
        let known = self.view.members.len() + self.kin().len();
        let most = majority(known);
        let voters = most | 1;
        let size = self.config.rules.map_or(0, |rules| rules.council_size);
        let alive = if voters <= size.min(known) { voters } else { most };
        self.min_members().max(alive)
    }

    /// How many members the group wants alive before its first council is founded.
    pub(super) fn min_members(&self) -> usize {
        self.config.rules.map_or(1, |rules| rules.min_members)
    }

    pub(super) fn pursue_council(&mut self, now: Mono) {
        if self.charter.council.is_some() && self.given_up().is_none() {
            self.publish_council(now);
            return;
        }
        self.accept_again(now);
        match &self.founding.bid {
            Some(bid) if bid.since + self.config.ttl <= now => {
                // Somebody of it does not answer, or is not free: another try, with whoever is alive then.
                self.founding.bid = None;
                let rest = self.jitter(self.calm());
                self.founding.propose_at = Some(now + rest);
            }
            Some(bid) if bid.repeat_at <= now => self.tell_bid(now),
            Some(_) => {}
            None if self.founding.propose_at.is_some_and(|at| at <= now) => self.propose(now),
            None => {}
        }
    }

    fn propose(&mut self, now: Mono) {
        self.founding.propose_at = None;
        let me = self.config.me;
        let alive = self.view.alive(me);
        let Some(rules) = self.config.rules.filter(|_| self.may_propose(&alive)) else { return };
        // What a person gives up is not asked for.
        if self.given_up().is_none() && !self.unheard().is_empty() {
            self.inquire();
            self.founding.propose_at = Some(now + self.repeat());
            return;
        }
        let other = self.charter.accepted.as_ref().map(|accepted| accepted.ballot.proposer).filter(|id| *id != me);
        let until = self.founding.accepted_at.map(|at| at + self.patience());
        if other.is_some_and(|proposer| self.view.is_alive(proposer))
            && let Some(until) = until.filter(|until| *until > now)
        {
            self.founding.propose_at = Some(until);
            return;
        }
        let heard = self.charter.attempted.max(self.founding.attempt);
        let lost = self.given_up().cloned();
        let attempt = lost.as_ref().map_or(heard.saturating_add(1), |lost| self.recovery_attempt(lost, heard));
        self.charter.attempted = attempt;
        self.persist();
        let voters = choose_voters(&alive, rules.council_size);
        let given_up = lost.iter().flat_map(|lost| [lost.genesis].into_iter().chain(lost.superseded.iter().copied()));
        let superseded = given_up.chain(self.founding.dead).take(SUPERSEDED_MAX).collect();
        let proposal = Proposal { ballot: Ballot { attempt, proposer: me }, voters, superseded };
        self.founding.bid = Some(Bid::new(proposal, now, now));
        self.tell_bid(now);
    }

    /// Tells the proposal to those that have not accepted it, and asks that what is in its way be abandoned.
    fn tell_bid(&mut self, now: Mono) {
        let repeat_at = now + self.repeat();
        let Some(bid) = &mut self.founding.bid else { return };
        bid.repeat_at = repeat_at;
        let (proposal, missing) = (bid.proposal.clone(), bid.missing());
        let rivals: Vec<(Proposal, Mono)> = bid.rivals().map(|(rival, seen)| (rival.clone(), seen)).collect();
        for voter in missing {
            self.send_stored(voter, ElectionMessage::Propose(proposal.clone()));
        }
        for (rival, seen) in rivals {
            let proposer = rival.ballot.proposer;
            let under_way = proposer != self.config.me && self.view.is_alive(proposer) && now < seen + self.patience();
            if rival.ballot > proposal.ballot {
                self.founding.attempt = self.founding.attempt.max(rival.ballot.attempt);
                self.founding.bid = None;
                let rest = if under_way { self.patience() } else { Duration::ZERO };
                let rest = rest + self.jitter(self.repeat());
                self.founding.propose_at = Some(now + rest);
                return;
            }
            if !under_way {
                for voter in &rival.voters {
                    let abandon = ElectionMessage::Abandon { by: proposal.ballot, rival: rival.ballot };
                    self.send_stored(*voter, abandon);
                }
            }
        }
    }

    fn accept_again(&mut self, now: Mono) {
        let Some(accepted) = &self.charter.accepted else {
            self.founding.accept_again_at = None;
            return;
        };
        let ballot = accepted.ballot;
        if ballot.proposer == self.config.me || self.charter.abandoned.contains(&ballot.genesis()) {
            self.founding.accept_again_at = None;
        } else if self.founding.accept_again_at.is_none_or(|at| at <= now) {
            self.founding.accept_again_at = Some(now + self.calm());
            self.send_stored(ballot.proposer, ElectionMessage::Accept(ballot));
        }
    }

    pub(super) fn take_founding(&mut self, now: Mono, from: NodeId, msg: ElectionMessage) {
        use ElectionMessage as M;
        match msg {
            M::Propose(proposal) => {
                if proposal.ballot.proposer == from {
                    self.answer_proposal(now, from, &proposal);
                }
            }
            M::Accept(ballot) => self.take_acceptance(now, from, ballot),
            M::Collides { refused, accepted } => self.take_collision(now, refused, accepted),
            M::Abandon { by, rival } => {
                if by.proposer == from {
                    self.answer_abandon(from, by, rival);
                }
            }
            M::Abandoned { by, rival } => {
                let bid = self.founding.bid.as_mut().filter(|bid| bid.proposal.ballot == by);
                if bid.is_some_and(|bid| bid.abandoned(from, rival)) {
                    self.tell_bid(now);
                }
            }
            M::Confirm(council) => self.hear_council(now, from, &council),
            M::Defunct(genesis) => self.take_defunct(now, from, genesis),
            M::Inquire { incarnation } => self.answer_inquiry(from, incarnation),
            M::Unaware { incarnation, part } => self.take_unaware(from, incarnation, part),
            M::Canvass { .. }
            | M::Willing { .. }
            | M::Claim { .. }
            | M::Grant { .. }
            | M::Refuse { .. }
            | M::Resign { .. }
            | M::Amend { .. }
            | M::Amended { .. }
            | M::NotAmended { .. } => {}
        }
    }

    fn answer_proposal(&mut self, now: Mono, from: NodeId, proposal: &Proposal) {
        let ballot = proposal.ballot;
        self.founding.attempt = self.founding.attempt.max(ballot.attempt);
        match self.charter.proposed(self.config.me, proposal) {
            Answer::Accepted => {
                self.founding.accepted_at = Some(now);
                self.founding.accept_again_at = Some(now + self.calm());
                self.persist();
                self.send_stored(from, ElectionMessage::Accept(ballot));
            }
            Answer::Again => self.send_stored(from, ElectionMessage::Accept(ballot)),
            Answer::Council(council) => self.send_stored(from, ElectionMessage::Confirm(council)),
            Answer::Collides(accepted) => {
                self.send(from, ElectionMessage::Collides { refused: ballot, accepted });
            }
            Answer::Ignored => {}
        }
    }

    fn take_acceptance(&mut self, now: Mono, from: NodeId, ballot: Ballot) {
        if let Some(council) = self.council().filter(|_| self.given_up().is_none()).cloned() {
            self.send_stored(from, ElectionMessage::Confirm(council));
            return;
        }
        let Some(bid) = self.founding.bid.as_mut().filter(|bid| bid.proposal.ballot == ballot) else { return };
        if !bid.accepted(from) {
            return;
        }
        let council = bid.proposal.confirmed();
        self.founding.bid = None;
        if !self.charter.confirmed(self.config.me, &council) {
            // It promised another proposer meanwhile never to confirm this.
            self.founding.propose_at = Some(now + self.patience());
            return;
        }
        self.council_since = now;
        self.council_heard = Heard::Yes;
        self.stewardship.restart();
        self.persist();
        self.restart_stands();
        let me = self.config.me;
        for voter in council.voters.iter().filter(|voter| **voter != me) {
            self.send_stored(*voter, ElectionMessage::Confirm(council.clone()));
        }
    }

    fn take_collision(&mut self, now: Mono, refused: Ballot, accepted: Proposal) {
        self.founding.attempt = self.founding.attempt.max(accepted.ballot.attempt);
        if let Some(bid) = self.founding.bid.as_mut().filter(|bid| bid.proposal.ballot == refused) {
            bid.collides(now, accepted);
            self.tell_bid_if_new(now);
        }
    }

    fn tell_bid_if_new(&mut self, now: Mono) {
        // What stands in the way is dealt with at the next repetition; only what can be settled at once is not put off.
        let soon = now + Duration::from_millis(2);
        if let Some(bid) = &mut self.founding.bid {
            bid.repeat_at = bid.repeat_at.min(soon);
        }
    }

    fn answer_abandon(&mut self, from: NodeId, by: Ballot, rival: Ballot) {
        self.founding.attempt = self.founding.attempt.max(by.attempt);
        match self.charter.abandon(by, rival) {
            Yielded::Promised => {
                if self.founding.bid.as_ref().is_some_and(|bid| bid.proposal.ballot == rival) {
                    self.founding.bid = None;
                }
                self.persist();
                self.send_stored(from, ElectionMessage::Abandoned { by, rival });
            }
            Yielded::Again => self.send_stored(from, ElectionMessage::Abandoned { by, rival }),
            Yielded::Council(council) => self.send_stored(from, ElectionMessage::Confirm(council)),
            Yielded::Ignored => {}
        }
    }

    /// A council is said to be confirmed.
    fn hear_council(&mut self, now: Mono, from: NodeId, council: &Council) {
        if self.charter.abandoned.contains(&council.genesis) {
            self.send_stored(from, ElectionMessage::Defunct(council.genesis));
        } else {
            self.adopt(now, council);
        }
    }

    /// A voter promised never to confirm this council. A proposer may have confirmed it all the same, being the first to
    /// and slower than who took over from it; when that one died in turn, nobody else would found a council as long as
    /// somebody has this one. Once a majority of its voters says so it never voted, and never will.
    fn take_defunct(&mut self, now: Mono, from: NodeId, genesis: GenesisId) {
        let Some(council) = self.council().filter(|council| council.genesis == genesis && council.version == FIRST)
        else {
            return;
        };
        let council = council.clone();
        if !council.contains(from) || !self.founding.defunct.insert((genesis, from)) {
            return;
        }
        let given_up = council.voters.iter().filter(|voter| self.founding.defunct.contains(&(genesis, **voter)));
        if given_up.count() < council.majority() {
            // The others are asked what they say to it.
            let me = self.config.me;
            for voter in council.voters.iter().filter(|voter| **voter != me && **voter != from) {
                self.send_stored(*voter, ElectionMessage::Confirm(council.clone()));
            }
            return;
        }
        self.charter.disown();
        self.founding.defunct.clear();
        self.founding.dead = Some(genesis);
        self.persist();
        self.restart_stands();
        self.founding_view(now);
    }

    /// Takes over a council, if it may. Returns whether it did.
    pub(super) fn adopt(&mut self, now: Mono, council: &Council) -> bool {
        let before = self.council().map(|known| known.genesis);
        if !self.charter.confirmed(self.config.me, council) {
            return false;
        }
        self.founding.bid = None;
        self.founding.propose_at = None;
        self.founding.defunct.clear();
        self.council_since = now;
        self.council_heard = Heard::Yes;
        self.stewardship.restart();
        self.persist();
        if before == Some(council.genesis) {
            self.move_stands(now);
        } else {
            self.restart_stands();
        }
        true
    }

    pub(super) fn hear_published_council(&mut self, now: Mono) {
        let Some(facts) = &self.view.published_council else { return };
        if self.council().is_some_and(|known| known.genesis.0 == facts.genesis && known.version >= facts.version) {
            return;
        }
        let mut council = Council::from_facts(facts);
        let accepted = self.charter.accepted.as_ref();
        if let Some(accepted) = accepted.filter(|accepted| accepted.genesis() == council.genesis) {
            council.superseded.clone_from(&accepted.superseded);
        }
        if let Some(known) = self.council().filter(|known| known.genesis == council.genesis) {
            council.superseded.clone_from(&known.superseded);
        }
        self.adopt(now, &council);
    }

    /// A voter does not know the council that it was asked under, or this node does not know the voter's.
    pub(super) fn teach_council(&mut self, now: Mono, voter: NodeId, theirs: Option<&Council>) {
        if let Some(council) = theirs {
            self.adopt(now, council);
        }
        let unknown = |known: &&Council| theirs.is_none_or(|theirs| theirs.id() != known.id());
        if let Some(council) = self.council().filter(unknown).cloned() {
            self.send_stored(voter, ElectionMessage::Confirm(council));
        }
    }

    /// Whether the ring is to be told the council by this node: the first of the voters that are alive, if the ring
    /// says something else.
    fn publishes_council(&self) -> bool {
        let me = self.config.me;
        let Some(council) = self.council().filter(|council| council.contains(me)) else { return false };
        let first = council.voters.iter().find(|voter| **voter == me || self.view.is_alive(**voter));
        first == Some(&me) && self.view.published_council.as_ref().is_none_or(|published| council.precedes(published))
    }

    fn publish_council(&mut self, now: Mono) {
        let Some(council) = self.council() else { return };
        let told = self.founding.told.is_some_and(|(id, again_at)| id == council.id() && now < again_at);
        // Others take a published council for confirmed.
        if told || self.disk.tellable() != Tellable::Now || !self.publishes_council() {
            return;
        }
        let (id, facts) = (council.id(), council.facts());
        self.founding.told = Some((id, now + self.config.ttl));
        self.act(ElectionAction::PublishCouncil(facts));
    }
}
