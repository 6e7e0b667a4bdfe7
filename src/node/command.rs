//! What a node's shell asks of it.

use std::net::SocketAddr;

use crate::base::{FileName, GroupId, NodeId, ReleaseRef, Seat, TokenId};
use crate::election::{GroupRules, RecoverError};
use crate::records::PutError;
use crate::records::value::{
    DesiredState, FileContent, MemberStatus, NodeFacts, OrderKind, RolloutOptions, TokenRecord,
};

use super::departed::Force;

/// Something that this node's shell asks of it.
#[derive(Debug, Clone)]
pub enum Command {
    /// Tell the ring about this node.
    Facts(NodeFacts),
    /// Be a member of a group, or change what is said of the membership. The group is watched from now on.
    Publish {
        /// Which group.
        group: GroupId,
        /// What is said.
        status: Box<MemberStatus>,
        /// What decides the group's elections.
        rules: GroupRules,
    },
    /// Be a member of a group no more; its seats are resigned.
    Withdraw {
        /// Which group.
        group: GroupId,
    },
    /// Tell of changes of a group, from now on.
    Watch {
        /// Which group.
        group: GroupId,
    },
    /// Stop telling of them.
    Unwatch {
        /// Which group.
        group: GroupId,
    },
    /// Put a config in force.
    ApplyConfig {
        /// For which group.
        group: GroupId,
        /// The TOML text, already validated.
        toml: String,
        /// Refuse unless this revision is in force (`none`: no revision at all).
        expect: Option<String>,
    },
    /// Put the text of an older revision in force again.
    RollbackConfig {
        /// Of which group.
        group: GroupId,
        /// To which revision; none: the one that the current one replaced.
        revision: Option<String>,
        /// As in `ApplyConfig`.
        expect: Option<String>,
    },
    /// Put the plans' defaults in force again.
    UnsetConfig {
        /// Of which group.
        group: GroupId,
        /// As in `ApplyConfig`.
        expect: Option<String>,
    },
    /// Put a file in force, for all members of a group.
    PutFile {
        /// Of which group.
        group: GroupId,
        /// Under which name.
        name: FileName,
        /// What is in it. A blob is on this node's disk.
        content: FileContent,
        /// Refuse unless this revision is in force (`none`: no revision at all).
        expect: Option<String>,
    },
    /// Put the content of an older revision of a file in force again.
    RollbackFile {
        /// Of which group.
        group: GroupId,
        /// Which file.
        name: FileName,
        /// To which revision; none: the one that the current one replaced.
        revision: Option<String>,
        /// Refuse unless this revision is in force.
        expect: Option<String>,
    },
    /// Remove a file from all members of a group. Its history stays.
    RemoveFile {
        /// Of which group.
        group: GroupId,
        /// Which file.
        name: FileName,
        /// Refuse unless this revision is in force.
        expect: Option<String>,
    },
    /// Say what a group should be.
    SetDesired {
        /// Which group.
        group: GroupId,
        /// What it should be.
        state: DesiredState,
    },
    /// Say which release a group should run.
    SetRelease {
        /// Which group.
        group: GroupId,
        /// The release, which is on this node's disk.
        release: ReleaseRef,
    },
    /// Say how changes of a group are rolled out.
    SetOptions {
        /// Which group.
        group: GroupId,
        /// How.
        options: RolloutOptions,
    },
    /// Say what is to become of a group's rollout.
    Order {
        /// Which group.
        group: GroupId,
        /// What.
        what: OrderKind,
    },
    /// Give a seat back at once.
    Resign {
        /// Of which group.
        group: GroupId,
        /// Which seat.
        seat: Seat,
    },
    /// A member is gone for good: it counts for nothing any more, and is not let in.
    Depart {
        /// Which.
        node: NodeId,
        /// Whether it is departed although it answers.
        force: Force,
    },
    /// Take a departed member back.
    Undepart {
        /// Which.
        node: NodeId,
    },
    /// Have all nodes know a new token of the API.
    NewToken {
        /// What it is called.
        id: TokenId,
        /// What it stands for.
        token: TokenRecord,
    },
    /// Have all nodes forget a token of the API.
    RevokeToken {
        /// Which.
        id: TokenId,
    },
    /// Give up a council of which a majority is lost for good, and found another one from who is there.
    Recover {
        /// Of which group.
        group: GroupId,
    },
    /// Try to join the nodes at these addresses.
    Join(Vec<SocketAddr>),
    /// Leave the ring: resign every seat, say so to all, and go on answering until the shell closes the sockets.
    Leave,
}

/// A command was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// The write that makes it durable; none if there is nothing to write.
    pub write: Option<u64>,
    /// The revision now in force, for the commands about configs and files.
    pub revision: Option<String>,
    /// Whether anything is other than before.
    pub changed: bool,
}

/// A command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Somebody else applied a config meanwhile, or uploaded a file.
    #[error("{}: expected revision {expected}, but {found} is in force", subject(group, file.as_ref()))]
    Expectation {
        /// The group.
        group: GroupId,
        /// Which of its files; none: its config.
        file: Option<FileName>,
        /// What the caller expected.
        expected: String,
        /// What is in force.
        found: String,
    },
    /// There is no such revision.
    #[error("{}: there is no revision {revision} (the history has: {known})", subject(group, file.as_ref()))]
    NoRevision {
        /// The group.
        group: GroupId,
        /// Which of its files; none: its config.
        file: Option<FileName>,
        /// What was asked for.
        revision: String,
        /// Which there are.
        known: String,
    },
    /// The group has as many files as it may have.
    #[error("{group} has {limit} files, those removed included: as many as a group may have")]
    TooManyFiles {
        /// The group.
        group: GroupId,
        /// The limit.
        limit: usize,
    },
    /// There are as many tokens as there may be.
    #[error("the ring has {limit} tokens: as many as there may be")]
    TooManyTokens {
        /// The limit.
        limit: usize,
    },
    /// There is no such token.
    #[error("there is no token {id}, or it was revoked")]
    UnknownToken {
        /// Which.
        id: TokenId,
    },
    /// There is no rollout to which an order could go.
    #[error("{group} has no rollout, and never had one")]
    NoRollout {
        /// The group.
        group: GroupId,
    },
    /// The record was refused.
    #[error("cannot record it")]
    Record(#[source] PutError),
    /// The value cannot be encoded.
    #[error("cannot record it: {0}")]
    Encode(String),
    /// This node is leaving the ring.
    #[error("this supervisor is shutting down")]
    Leaving,
    /// There is no such member.
    #[error("node {} is not known here", node.short())]
    UnknownMember {
        /// Which.
        node: NodeId,
    },
    /// It answers.
    #[error("node {} at {address} is there: it can leave by itself, and would stay out of the ring with its services running", node.short())]
    StillThere {
        /// Which.
        node: NodeId,
        /// Where.
        address: SocketAddr,
    },
    /// The council cannot, or must not, be given up.
    #[error("the council of {group} is not given up: {why}")]
    Recover {
        /// Of which group.
        group: GroupId,
        /// Why not.
        why: RecoverError,
    },
    /// This node is the one that was named.
    #[error("a node does not depart itself")]
    DepartsItself,
    /// This node does not hold the seat.
    #[error("this node does not hold the {seat} seat of {group}")]
    NotHolder {
        /// The group.
        group: GroupId,
        /// The seat.
        seat: Seat,
    },
}

fn subject(group: &GroupId, file: Option<&FileName>) -> String {
    match file {
        Some(file) => format!("file {file} of {group}"),
        None => format!("config of {group}"),
    }
}
