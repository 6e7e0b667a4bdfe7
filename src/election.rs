#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(missing_docs)]
use crate::base::*;
use crate::census::ElectionState;
use crate::records::value::*;
use bytes::Bytes;
use std::collections::*;
use std::time::Duration;
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostWhy {
    A,
}
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ElectionMessage {
    A,
}
#[derive(Debug, Clone)]
pub struct Candidacy {
    pub alive: bool,
    pub eligible: bool,
    pub suitability: Option<u64>,
}
#[derive(Debug, Clone)]
pub struct View {
    pub members: BTreeMap<NodeId, Candidacy>,
    pub seats: BTreeSet<Seat>,
    pub ready: bool,
    pub published: BTreeMap<Seat, SeatHolder>,
    pub published_council: Option<CouncilFacts>,
}
#[derive(Debug, Clone)]
pub struct ElectionConfig {
    pub me: NodeId,
    pub group: GroupId,
    pub ttl: Duration,
    pub longest_ttl: Duration,
    pub min_members: usize,
    pub council_size: usize,
    pub fresh: bool,
    pub seed: u64,
}
#[derive(Debug)]
pub struct Election;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ElectionError;
pub struct SeatStatus {
    pub state: ElectionState,
    pub why: String,
}
pub struct ElectionStatus {
    pub seats: BTreeMap<Seat, SeatStatus>,
}
impl Election {
    pub fn new(_: ElectionConfig, _: Option<&[u8]>, _: Now) -> Result<Self, ElectionError> {
        Ok(Self)
    }
    pub fn set_view(&mut self, _: Now, _: View) {}
    pub fn set_rules(&mut self, _: usize, _: usize) {}
    pub fn handle(&mut self, _: Now, _: NodeId, _: ElectionMessage) {}
    pub fn persisted(&mut self, _: Now, _: u64, _: bool) {}
    pub fn resign(&mut self, _: Now, _: &Seat) {}
    pub fn resign_all(&mut self, _: Now) {}
    pub fn tick(&mut self, _: Now) {}
    pub fn deadline(&self) -> Option<Mono> {
        None
    }
    pub fn drain(&mut self) -> Vec<ElectionAction> {
        vec![]
    }
    pub fn status(&self) -> ElectionStatus {
        ElectionStatus { seats: BTreeMap::new() }
    }
}
pub enum ElectionAction {
    Send { to: NodeId, msg: ElectionMessage, after: Option<u64> },
    Persist { write: u64, state: Bytes },
    Held { seat: Seat, term: Term, until: Mono },
    Renewed { seat: Seat, term: Term, until: Mono },
    Lost { seat: Seat, term: Term, why: LostWhy },
    Publish { seat: Seat, holder: SeatHolder },
    PublishCouncil(CouncilFacts),
    StatusChanged,
}
