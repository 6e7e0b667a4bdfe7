//! What the values of the known kinds of records say. They travel as JSON, so that a reader skips the fields that it
//! does not know and a newer node can add some.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use super::file::{FileContent, FileRevision, InlineBytes};
pub use super::rollout::{
    Aftermath, AskedParts, Batch, BatchError, DesiredRelease, Failure, Grant, OnFailure, Order, OrderKind, Rollout,
    RolloutOptions, RolloutStatus, Target, TurnKind, TurnPhase, TurnReport,
};

pub use super::token::{TOKEN_NAME_CHARS, TokenRecord};

use super::record::Record;
use crate::base::{NodeId, Term, Wall};

/// A value cannot be read or written: to be reported, and its record treated as if it were not there.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// The record is of a newer, incompatible version, or damaged by its writer.
    #[error("the value of {key}, written by node {by}, cannot be read")]
    Decode {
        /// The record's key.
        key: super::Key,
        /// Who wrote it.
        by: NodeId,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It has a form that JSON has none for.
    #[error("a value cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
}

/// What to put into a record to say `value`.
///
/// # Errors
/// The value has a map whose keys are not texts; none of the types in this module has one.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, ValueError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(ValueError::Encode)
}

/// What the record says; none if it was deleted.
///
/// # Errors
/// It is not JSON, or not of the form of a `T`.
pub fn decode<T: DeserializeOwned>(record: &Record) -> Result<Option<T>, ValueError> {
    let Some(bytes) = &record.value else { return Ok(None) };
    let failed = |source| ValueError::Decode { key: record.key.clone(), by: record.stamp.node, source };
    serde_json::from_slice(bytes).map(Some).map_err(failed)
}

/// Whether a field goes without saying: who reads a value without it has the same.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a node says of itself (key [`super::Key::node`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFacts {
    /// The machine's host name.
    pub hostname: String,
    /// The version of `sup` that runs there.
    pub version: String,
    /// The address that the node tells others.
    pub ip: String,
    /// Port of gossip (UDP) and sync (TCP).
    pub gossip_port: u16,
    /// Address of the HTTP interface.
    pub http_ip: String,
    /// Port of the HTTP interface.
    pub http_port: u16,
    /// Whether the node left in good order: written before it goes, so that nobody takes it for dead.
    pub left: bool,
}

/// What a service's process is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Waits until the node has joined and synced, or given up on it.
    WaitingForRing,
    /// A required bind has no member that is up.
    WaitingForBinds,
    /// Topology `leader`, and no leader is known.
    WaitingForLeader,
    /// The `init` hook runs.
    Initializing,
    /// The process was launched and is not yet seen up.
    Starting,
    /// The process runs.
    Up,
    /// It was asked to stop.
    Stopping,
    /// Stopped on request.
    Down,
    /// It ended unasked, and is started again after a delay.
    Backoff,
    /// It cannot run until a person changes something.
    Failed,
    /// Known, nothing begun; also what an unknown state of a newer node reads as.
    #[default]
    #[serde(other)]
    Loaded,
}

/// What the health check says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It works.
    Ok,
    /// It works, with a complaint.
    Warning,
    /// It does not work.
    Critical,
    /// Not yet checked, or the check itself failed.
    #[default]
    #[serde(other)]
    Unknown,
}

/// How a group's members relate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// One leads.
    Leader,
    /// All alike.
    #[default]
    #[serde(other)]
    Standalone,
}

/// How changes reach a group's members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Everything applies at once.
    AtOnce,
    /// A few members at a time.
    Rolling,
    /// A config change applies at once; a release at the next start.
    #[default]
    #[serde(other)]
    None,
}

/// What a member says of its service (key [`super::Key::service`]).
///
/// Every node of the ring hears each of its changes, so what is as usual is left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberStatus {
    /// The topology that the service was loaded with.
    #[serde(skip_serializing_if = "is_default")]
    pub topology: Topology,
    /// The update strategy that it was loaded with.
    #[serde(skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// What the process is doing.
    #[serde(skip_serializing_if = "is_default")]
    pub state: ServiceState,
    /// Why it is in that state, for a person; empty when there is nothing to say.
    #[serde(skip_serializing_if = "is_default")]
    pub why: String,
    /// What the health check said last.
    #[serde(skip_serializing_if = "is_default")]
    pub health: Health,
    /// Whether this member may hold the group's seats: loaded, installed, binds met, not stopped or failed.
    #[serde(skip_serializing_if = "is_default")]
    pub eligible: bool,
    /// How suited it is to lead; none while not known.
    #[serde(skip_serializing_if = "is_default")]
    pub suitability: Option<u64>,
    /// `origin/name/version` of its plan.
    #[serde(skip_serializing_if = "is_default")]
    pub ident: String,
    /// The release that it runs.
    #[serde(skip_serializing_if = "is_default")]
    pub release: String,
    /// The group config's revision that it has rendered; none for the plan's defaults.
    #[serde(skip_serializing_if = "is_default")]
    pub config_revision: Option<String>,
    /// What the group's uploaded files came to when all of them were last in place, as the view names it; none for no
    /// files.
    #[serde(skip_serializing_if = "is_default")]
    pub files_revision: Option<String>,
    /// The process id, while there is a process.
    #[serde(skip_serializing_if = "is_default")]
    pub pid: Option<u32>,
    /// Since when it is in this state.
    #[serde(skip_serializing_if = "is_default")]
    pub since: Wall,
    /// Restarts since it was loaded.
    #[serde(skip_serializing_if = "is_default")]
    pub restarts: u32,
    /// The plan's exported config values: what binds and other members see as this member's `cfg`.
    #[serde(skip_serializing_if = "is_default")]
    pub exports: BTreeMap<String, serde_json::Value>,
    /// Path values of the plan that templates show of a member (`pkg`): `svc_path`, `svc_config_path` and so on.
    #[serde(skip_serializing_if = "is_default")]
    pub paths: BTreeMap<String, String>,
    /// What it has accepted to be, and goes by; none before it first did.
    #[serde(skip_serializing_if = "is_default")]
    pub target: Option<Target>,
    /// The turn that it has in a rollout, or had last.
    #[serde(skip_serializing_if = "is_default")]
    pub turn: Option<TurnReport>,
}

/// One revision of a group's config (key [`super::Key::config`]). The current one is the one with the newest stamp.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigRevision {
    /// One more than the parent's.
    pub sequence: u64,
    /// The revision that this one was made from; none for the first. Two revisions with one parent were applied at
    /// the same time on two sides: the older is superseded.
    pub parent: Option<String>,
    /// The TOML text; empty after `unset`.
    pub toml: String,
    /// When it was applied.
    pub at: Wall,
    /// The node that it was applied to.
    pub by: Option<NodeId>,
    /// What it is, for a person: `apply`, `rollback to 3-1a2b3c4d`, `unset`.
    pub action: String,
}

/// A node is gone for good, as a person said (key [`super::Key::departed`]); deleted when it is taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Departure {
    /// When it was said.
    pub at: Wall,
    /// The node that it was said to.
    pub by: Option<NodeId>,
    /// Where the node was, as far as was known.
    pub address: Option<SocketAddr>,
    /// The name of its machine, as far as was known.
    pub hostname: String,
}

/// What a group should be (key [`super::Key::desired`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Desired {
    /// Whether its members should run.
    pub state: DesiredState,
    /// When it was set.
    pub at: Wall,
    /// The node that it was set on.
    pub by: Option<NodeId>,
}

/// How changes of a group are to be rolled out (key [`super::Key::options`]). A record of its own: who changes it on one
/// side of a cut does not undo what was asked for on the other, and asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DesiredOptions {
    /// How.
    pub options: RolloutOptions,
    /// When it was set.
    pub at: Wall,
    /// The node that it was set on.
    pub by: Option<NodeId>,
}

/// Whether a service should run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DesiredState {
    /// It should not.
    Down,
    /// It should run.
    #[default]
    #[serde(other)]
    Up,
}

/// Who holds a seat (key [`super::Key::seat`], fenced by the term).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SeatHolder {
    /// The holder; none once it resigned.
    pub node: Option<NodeId>,
    /// The term that it holds, or held.
    pub term: Term,
}

/// A group's council, as it is told to those who do not vote (key [`super::Key::council`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct CouncilFacts {
    /// Which genesis it stems from.
    pub genesis: u64,
    /// The steward's term and the step within it.
    pub version: (Term, u64),
    /// Who votes, in the order of their ids.
    pub voters: Vec<NodeId>,
    /// No seat is taken in a term of this council that is not higher.
    pub floor: Term,
    /// The geneses whose place it took: whoever follows one of them follows this.
    pub superseded: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{ConfigRevision, CouncilFacts, Desired, MemberStatus, NodeFacts, SeatHolder, ServiceState};
    use super::{decode, encode};
    use crate::base::{NodeId, Term};
    use crate::records::{Record, Stamp};

    fn record(value: impl Into<Bytes>) -> Record {
        let stamp = Stamp { term: 0, time: 1, node: NodeId::from_u128(1) };
        Record { key: "shared/x".parse().unwrap(), stamp, value: Some(value.into()) }
    }

    #[test]
    fn a_value_reads_back_as_it_was_written() {
        let status = MemberStatus { state: ServiceState::Up, pid: Some(7), eligible: true, ..Default::default() };
        let bytes = encode(&status).unwrap();
        assert_eq!(bytes, r#"{"state":"up","eligible":true,"pid":7}"#, "what goes without saying is not said");
        assert_eq!(decode(&record(bytes)).unwrap(), Some(status));
        let council = CouncilFacts {
            genesis: 9,
            version: (Term(2), 1),
            voters: vec![NodeId::from_u128(5)],
            floor: Term(4),
            superseded: vec![7],
        };
        assert_eq!(decode(&record(encode(&council).unwrap())).unwrap(), Some(council));
    }

    #[test]
    fn what_a_newer_version_says_besides_is_skipped_and_what_an_older_one_omits_has_a_default() {
        let newer = r#"{"state":"hibernating","moon":"full","health":"ok"}"#;
        let status: MemberStatus = decode(&record(newer)).unwrap().unwrap();
        assert_eq!(status, MemberStatus { health: super::Health::Ok, ..Default::default() });
    }

    #[test]
    fn a_value_that_cannot_be_read_is_an_error_that_names_the_record_and_its_writer() {
        let error = decode::<Desired>(&record("{\"state\":")).unwrap_err().to_string();
        assert_eq!(error, "the value of shared/x, written by node 00000000000000000000000000000001, cannot be read");
    }

    #[test]
    fn a_deleted_record_says_nothing() {
        let record = Record { value: None, ..record("") };
        assert_eq!(decode::<NodeFacts>(&record).unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_number_of_a_config_is_the_same_on_every_node(number in proptest::num::f64::NORMAL) {
            let exports = [("threshold".to_owned(), serde_json::json!(number))].into();
            let status = MemberStatus { exports, ..Default::default() };
            prop_assert_eq!(decode(&record(encode(&status).unwrap())).unwrap(), Some(status));
        }

        #[test]
        fn no_garbage_makes_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let record = record(bytes);
            // Most of it is an error, some is not; both are fine.
            drop(decode::<MemberStatus>(&record));
            drop(decode::<ConfigRevision>(&record));
            drop(decode::<SeatHolder>(&record));
        }
    }
}
