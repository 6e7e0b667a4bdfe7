//! The JSON that is spoken, both ways.
//!
//! Fields may be added, never renamed within `/v1`; a reader skips those that it does not know. Times are RFC 3339,
//! durations are milliseconds with the unit in the name.

mod action;
mod config;
mod event;
mod file;
mod group;
mod log;
mod node;
mod release;
mod ring;
mod rollout;
mod service;
mod start;
mod time;
mod token;

pub use action::{Acted, Action, ActionRequest, DesiredRequest, Explanation, Scope, Target, TargetError};
pub use config::{
    ApplyRequest, Config, ConfigApplied, ConfigChange, ConfigEffect, ConfigHistory, ConfigPreview, FileDiff,
    MemberName, Revision, RevisionStatus, RollbackRequest, UnknownKeys, UnsetRequest,
};
pub use event::{Event, EventKind};
pub use file::{File, FileApplied, FileHistory, FileRevision, Files};
pub use group::{
    Council, DesiredView, Group, GroupMember, Groups, Holder, MemberServiceState, RecoverRequest, Recovery,
};
pub use log::{LogLine, LogStream, LogsRequest};
pub use node::{DepartRequest, Departed, Member, MemberState, Members, Node};
pub use release::{Release, ReleaseAdded, ReleaseFile, Releases, ReleasesRemoved};
pub use ring::{KeyInstall, KeyOrder, KeyShown, KeyText, KeysChanged, NodeKeys, RingKeys};
pub use rollout::{
    MemberProgress, MemberTurn, OptionsChange, Rollout, RolloutFailure, RolloutMember, RolloutOptions, RolloutReport,
    Standing, TargetView, order_word, phase_word, release_name, status_word,
};
pub use service::{Bind, FileHash, HealthReport, HookReport, Service, Services};
pub use start::{BindSpec, BindSpecError, BindingMode, StartRequest, Started};
pub use time::{Time, TimeError};
pub use token::{TokenInfo, TokenMade, TokenRequest, TokenRevoked, Tokens};
