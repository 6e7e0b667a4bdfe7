//! Members that are gone for good: said by a person, known to all by a record, and undone by a person.
//!
//! What a departed member owned is forgotten, its place in councils goes to others, and whatever it says is answered
//! with one thing: that it is not let in. A node that is told so stands for no seat and founds nothing. Its services run
//! on: what a person says of a node is no reason to stop what works there.

use crate::base::{GroupId, NodeId, Now};
use crate::census::{Liveness, NodeView};
use crate::election::RecoverError;
use crate::records::Key;
use crate::records::value::Departure;

use super::{CommandError, Done, Node};

/// Whether a member that answers is departed all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It is not: whoever answers can say goodbye itself.
    No,
    /// It is.
    Yes,
}

impl Node {
    /// Who told this node that it is not let in; none if nobody did, or somebody let it in since.
    #[must_use]
    pub const fn banned_by(&self) -> Option<std::net::SocketAddr> {
        self.banned
    }

    /// Whether this node has no part in what the others decide.
    pub(super) fn is_out(&self) -> bool {
        self.leaving || self.banned.is_some() || self.census.departure(self.me).is_some()
    }

    pub(super) fn depart(&mut self, now: Now, node: NodeId, force: Force) -> Result<Done, CommandError> {
        if node == self.me {
            return Err(CommandError::DepartsItself);
        }
        let known = self.census.node(node).ok_or(CommandError::UnknownMember { node })?;
        match (known.liveness, force) {
            (Liveness::Departed, _) => return Ok(Done::default()),
            (Liveness::Alive | Liveness::Suspect, Force::No) => {
                return Err(CommandError::StillThere { node, address: known.address });
            }
            (Liveness::Alive | Liveness::Suspect | Liveness::Down | Liveness::Left, _) => {}
        }
        let departure = Departure {
            at: now.wall,
            by: Some(self.me),
            address: Some(known.address),
            hostname: known.facts.hostname.clone(),
        };
        self.try_put_value(now, Key::departed(node), &departure, 0)?;
        Ok(Done { changed: true, ..Done::default() })
    }

    pub(super) fn undepart(&mut self, now: Now, node: NodeId) -> Result<Done, CommandError> {
        if self.census.departure(node).is_none() {
            return match self.census.node(node) {
                Some(_) => Ok(Done::default()),
                None => Err(CommandError::UnknownMember { node }),
            };
        }
        self.records.delete(now, &Key::departed(node)).map_err(CommandError::Record)?;
        Ok(Done { changed: true, ..Done::default() })
    }

    /// Gives up the council of a group, of which a majority is lost for good.
    pub(super) fn recover(&mut self, now: Now, group: &GroupId) -> Result<Done, CommandError> {
        let may_answer = |node: &&NodeView| matches!(node.liveness, Liveness::Alive | Liveness::Suspect);
        let reachable = self.census.nodes().filter(may_answer).map(|node| node.id).collect();
        let election = self.groups.get_mut(group).map(|group| &mut group.election);
        let recovered = election.map_or(Err(RecoverError::NoPart), |election| election.recover(now, &reachable));
        recovered.map_err(|why| CommandError::Recover { group: group.clone(), why })?;
        Ok(Done { changed: true, ..Done::default() })
    }

    /// The record about a node is there, or is gone.
    pub(super) fn departure_changed(&mut self, now: Now, id: NodeId) {
        if id != self.me {
            if self.census.departure(id).is_some() {
                self.records.depart(now, id);
                self.ring.depart(now, id);
            } else {
                self.records.undepart(id);
                self.ring.undepart(now, id);
                if self.ring.member(id).is_none() {
                    self.census.forget_node(id);
                }
            }
        }
        self.inform_elections(now);
    }
}
