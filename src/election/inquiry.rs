//! What a member asks of the ring before it founds a council.
//!
//! A node that has just joined knows what one other knew, and the news since may be lost: it can take itself for the
//! only member of a group that is led already. So whoever would found a council first asks every node of the ring that
//! answers, member of the group or not, and waits for all of them. Of two members that know each other's nodes one asks
//! second, when both are members, and learns of the other or of its council: not both found one alone.
//!
//! A node that does not answer is waited for until the ring finds it down. So this does not cover who is cut off
//! between joining the ring and asking it, nor two rings that never heard of each other: nobody can ask those that it
//! does not reach.

use std::collections::BTreeSet;

use crate::base::NodeId;

use super::machine::Election;
use super::message::{ElectionMessage, Part};

/// What the nodes of the ring said. None of it has to survive a restart: who is back asks again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Inquiry {
    /// Who said that it knows of no council. That stays true enough: if it founds one later, it asks this node first.
    answered: BTreeSet<NodeId>,
    /// Who said that it is a member, whatever the records here say.
    kin: BTreeSet<NodeId>,
}

impl Election {
    /// The members that this node knows of from themselves alone. They count like those that the ring shows; a council
    /// they can join only when the ring shows them.
    pub(super) fn kin(&self) -> Vec<NodeId> {
        let known = |node: &NodeId| self.view.members.contains_key(node) || self.view.departed.contains(node);
        self.founding.inquiry.kin.iter().filter(|node| !known(node)).copied().collect()
    }

    /// The nodes that answer the ring and have not said yet what they know.
    pub(super) fn unheard(&self) -> Vec<NodeId> {
        self.view.ring.difference(&self.founding.inquiry.answered).copied().collect()
    }

    /// Asks those that have not said yet what they know.
    pub(super) fn inquire(&mut self) {
        let incarnation = self.config.incarnation;
        for node in self.unheard() {
            self.send(node, ElectionMessage::Inquire { incarnation });
        }
    }

    /// Another member is about to found a council.
    pub(super) fn answer_inquiry(&mut self, from: NodeId, incarnation: u64) {
        if let Some(council) = self.council().cloned() {
            self.send_stored(from, ElectionMessage::Confirm(council));
        } else if !self.founding.proposes() {
            self.founding.inquiry.kin.insert(from);
            self.send(from, ElectionMessage::Unaware { incarnation, part: Part::Member });
        }
        // Else it asks again, and this node's own proposal has come to something, or to nothing, by then.
    }

    /// A node of the ring knows of no council.
    pub(super) fn take_unaware(&mut self, from: NodeId, incarnation: u64, part: Part) {
        // What was said to an earlier life of this node was said before others asked it in vain.
        if incarnation != self.config.incarnation || self.council().is_some() {
            return;
        }
        self.founding.inquiry.answered.insert(from);
        match part {
            Part::Member => drop(self.founding.inquiry.kin.insert(from)),
            Part::Stranger => {}
        }
    }
}
