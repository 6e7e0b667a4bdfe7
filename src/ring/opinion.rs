//! The second opinion before a death sentence.
//!
//! A member that does not answer datagrams may be dead, or datagrams may get lost. A TCP connect tells the two apart
//! at once in the commonest case: the machine of a process that is gone refuses. One refusal may be a firewall's, so
//! two nodes have to be refused where the ring has two.

use std::collections::BTreeMap;

use super::identity::Identity;
use super::message::ProbeOutcome;
use crate::base::{Mono, NodeId};

/// What is known of one member in doubt.
#[derive(Clone, Debug)]
pub(super) struct Opinion {
    /// Who is in doubt.
    pub(super) about: Identity,
    /// Since when.
    pub(super) started: Mono,
    /// What this node found.
    pub(super) own: Option<ProbeOutcome>,
    /// What those who were asked found.
    pub(super) asked: BTreeMap<NodeId, Option<ProbeOutcome>>,
}

/// What is to be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not enough is known yet; if it stays so, the suspicion's timeout decides.
    Open,
    /// Somebody was answered.
    Lives,
    /// Everybody who tried was refused.
    Dead,
}

impl Opinion {
    pub(super) fn new(about: Identity, started: Mono) -> Self {
        Self { about, started, own: None, asked: BTreeMap::new() }
    }

    /// The verdict. One refusal is enough if the ring has nobody else to testify.
    pub(super) fn verdict(&self, has_witnesses: impl FnOnce() -> bool) -> Verdict {
        let said = |what| self.asked.values().chain([&self.own]).filter(|outcome| **outcome == Some(what)).count();
        if said(ProbeOutcome::Answered) > 0 {
            Verdict::Lives
        } else if self.own == Some(ProbeOutcome::Refused)
            && said(ProbeOutcome::NoAnswer) == 0
            && (said(ProbeOutcome::Refused) >= 2 || !has_witnesses())
        {
            Verdict::Dead
        } else {
            Verdict::Open
        }
    }

    /// Those who were asked, and have not answered.
    pub(super) fn silent(&self) -> impl Iterator<Item = NodeId> {
        self.asked.iter().filter(|(_, outcome)| outcome.is_none()).map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::{Opinion, Verdict};
    use crate::base::{Mono, NodeId};
    use crate::ring::ProbeOutcome::{Answered, NoAnswer, Refused};
    use crate::ring::{Identity, ProbeOutcome};

    fn verdict(own: Option<ProbeOutcome>, asked: &[Option<ProbeOutcome>], witnesses: usize) -> Verdict {
        let about = Identity { id: NodeId::from_u128(9), address: ([10, 0, 0, 1], 1).into(), generation: 1 };
        let mut opinion = Opinion::new(about, Mono(0));
        opinion.own = own;
        opinion.asked = asked.iter().enumerate().map(|(i, o)| (NodeId::from_u128(i as u128), *o)).collect();
        opinion.verdict(|| witnesses > 0)
    }

    #[test]
    fn one_answer_to_anybody_means_life() {
        assert_eq!(verdict(Some(Refused), &[Some(Refused), Some(Answered)], 5), Verdict::Lives);
        assert_eq!(verdict(Some(NoAnswer), &[Some(NoAnswer), Some(Answered)], 5), Verdict::Lives);
        assert_eq!(verdict(Some(Answered), &[None, Some(NoAnswer)], 5), Verdict::Lives);
    }

    #[test]
    fn death_takes_two_refusals_where_the_ring_has_a_second_witness() {
        assert_eq!(verdict(Some(Refused), &[None, None], 5), Verdict::Open);
        assert_eq!(verdict(None, &[Some(Refused), Some(Refused)], 5), Verdict::Open);
        assert_eq!(verdict(Some(Refused), &[Some(Refused), None], 5), Verdict::Dead);
        assert_eq!(verdict(Some(Refused), &[], 0), Verdict::Dead);
    }

    #[test]
    fn nobody_is_dead_at_once_if_one_who_tried_was_not_refused() {
        assert_eq!(verdict(Some(Refused), &[Some(Refused), Some(NoAnswer)], 5), Verdict::Open);
        assert_eq!(verdict(Some(NoAnswer), &[], 0), Verdict::Open);
        assert_eq!(verdict(None, &[], 0), Verdict::Open);
    }
}
