//! The ring itself.

use std::net::SocketAddr;

use super::action::{Member, Remembered, RingAction};
use super::identity::Identity;
use super::message::{ProbeOutcome, RingDatagram, RingRequest, RingResponse, StreamError};
use super::profile::Profile;
use crate::base::{Mono, NodeId, Now};

/// What a ring is started with.
#[derive(Clone, Debug)]
pub struct RingConfig {
    /// This node. Its generation must be greater than that of every earlier life.
    pub me: Identity,
    /// The network.
    pub profile: Profile,
    /// Where all of its randomness comes from.
    pub seed: u64,
    /// Members of an earlier life, to be tried.
    pub remembered: Vec<Remembered>,
    /// Whether somebody named peers: a node without any is its own ring until somebody joins it.
    pub has_peers: bool,
}

/// Who is alive, as one node sees it.
pub struct Ring;

impl Ring {
    /// A ring of one, about to look for the others.
    #[must_use]
    pub fn new(_config: RingConfig, _now: Now) -> Self {
        todo!()
    }

    /// Joins the ring by these addresses; those of members that are known and active already are passed over.
    pub fn join(&mut self, _now: Now, _addresses: &[SocketAddr]) {
        todo!()
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, _now: Now, _from: SocketAddr, _msg: RingDatagram) {
        todo!()
    }

    /// Answers a request.
    pub fn handle_request(&mut self, _now: Now, _from: SocketAddr, _msg: RingRequest) -> RingResponse {
        todo!()
    }

    /// Takes what came of a [`RingAction::Request`].
    pub fn handle_response(&mut self, _now: Now, _request: u64, _result: Result<RingResponse, StreamError>) {
        todo!()
    }

    /// Takes what came of a [`RingAction::Probe`].
    pub fn handle_probe(&mut self, _now: Now, _probe: u64, _outcome: ProbeOutcome) {
        todo!()
    }

    /// Says goodbye to all members. The node goes on answering until it is dropped, and never joins again.
    pub fn leave(&mut self, _now: Now) {
        todo!()
    }

    /// Does what is due. After a stall, hand in everything that waits in the sockets before: a member that spoke up
    /// meanwhile must be heard before its suspicion runs out.
    pub fn tick(&mut self, _now: Now) {
        todo!()
    }

    /// When [`Ring::tick`] is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        todo!()
    }

    /// What is to be done, in order.
    #[must_use]
    pub fn drain(&mut self) -> Vec<RingAction> {
        todo!()
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> Identity {
        todo!()
    }

    /// One member; this node is one, too.
    #[must_use]
    pub fn member(&self, _id: NodeId) -> Option<&Member> {
        todo!()
    }

    /// All members that are known, the dead and the departed included, by id; this node is one, too.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::empty()
    }

    /// The members that count, by id; this node is one, too.
    pub fn alive(&self) -> impl Iterator<Item = &Member> {
        std::iter::empty()
    }

    /// Where a member is reached.
    #[must_use]
    pub fn address(&self, _id: NodeId) -> Option<SocketAddr> {
        todo!()
    }

    /// Whether this node has found its ring: it has heard of anybody, or there is nobody to look for.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        todo!()
    }
}
