//! What the server needs of a supervisor.

use std::any::Any;
use std::future::Future;

use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use super::problem::Problem;
use super::shape::{
    Acted, Action, ActionRequest, ApplyRequest, Config, ConfigApplied, ConfigHistory, ConfigPreview, DepartRequest,
    Departed, DesiredRequest, Event, Explanation, FileApplied, FileHistory, Files, Group, Groups, HealthReport,
    KeyInstall, KeyOrder, KeyShown, KeysChanged, LogLine, LogsRequest, Members, Node, RecoverRequest, Recovery,
    Release, ReleaseAdded, Releases, ReleasesRemoved, RingKeys, RollbackRequest, RolloutReport, Service, Services,
    StartRequest, Started, Target, TokenMade, TokenRequest, TokenRevoked, Tokens, UnsetRequest,
};
use super::token::Token;
use crate::base::{FileName, GroupId, Name, Role, TokenId};
use crate::net::KeyId;
use crate::records::value::OrderKind;
use crate::release::Query as ReleaseQuery;

/// Notices that something changed.
pub struct Changes {
    events: broadcast::Receiver<Event>,
    /// What has the supervisor follow a group of which this node has no member, for as long as somebody listens.
    _followed: Option<Box<dyn Any + Send + Sync>>,
}

impl Changes {
    /// These notices.
    #[must_use]
    pub fn new(events: broadcast::Receiver<Event>) -> Self {
        Self { events, _followed: None }
    }

    /// The same, and `followed` is kept until nobody listens any more.
    #[must_use]
    pub fn while_keeping(self, followed: impl Any + Send + Sync) -> Self {
        Self { _followed: Some(Box::new(followed)), ..self }
    }

    /// The next notice. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`]: notices were lost because this listener was slow; it looks at the state again, and goes
    /// on. [`RecvError::Closed`]: there will be none any more.
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        self.events.recv().await
    }
}

/// The pieces of something large that is handed over, as they come: it ends with the last one, or with what went wrong
/// on the way.
pub type Upload = mpsc::Receiver<Result<Bytes, Problem>>;

/// Log lines, as they come. It ends when there are no more, or when the receiver is dropped.
pub type Lines = mpsc::Receiver<LogLine>;

/// What a supervisor can be asked. Cheap to clone: a handle, not the thing.
///
/// Nothing here waits for a service: an action returns once it is accepted, and who wants to see it done
/// [subscribes](Self::subscribe) first and looks at the state at each change.
pub trait Backend: Clone + Send + Sync + 'static {
    /// This node.
    fn node(&self) -> impl Future<Output = Result<Node, Problem>> + Send;

    /// The nodes of the ring, this one included, by id.
    fn members(&self) -> impl Future<Output = Result<Members, Problem>> + Send;

    /// Has the ring take a node for gone for good. `node` is an id, the beginning of one, an address or a host name.
    /// [`ProblemKind::MemberAlive`](super::ProblemKind::MemberAlive) if it answers, unless that is forced.
    fn depart(&self, node: &str, request: DepartRequest) -> impl Future<Output = Result<Departed, Problem>> + Send;

    /// Has the ring take a node back that had departed.
    fn undepart(&self, node: &str) -> impl Future<Output = Result<Departed, Problem>> + Send;

    /// Gives up a group's council, of which a majority is lost for good, and founds another one from who is there.
    /// [`ProblemKind::NotLost`](super::ProblemKind::NotLost) while a majority may be reached.
    fn recover(
        &self,
        group: &GroupId,
        request: RecoverRequest,
    ) -> impl Future<Output = Result<Recovery, Problem>> + Send;

    /// All groups that were heard of, without their members.
    fn groups(&self) -> impl Future<Output = Result<Groups, Problem>> + Send;

    /// One group, with its members. [`ProblemKind::UnknownGroup`](super::ProblemKind::UnknownGroup) if nobody heard of
    /// it.
    fn group(&self, group: &GroupId) -> impl Future<Output = Result<Group, Problem>> + Send;

    /// The services that are loaded here.
    fn services(&self) -> impl Future<Output = Result<Services, Problem>> + Send;

    /// One service that is loaded here, with its last hook outputs and rendered files.
    fn service(&self, service: &Name) -> impl Future<Output = Result<Service, Problem>> + Send;

    /// What the last health check of a service of this node said.
    fn health(&self, group: &GroupId) -> impl Future<Output = Result<HealthReport, Problem>> + Send;

    /// Loads a service here and starts it; one that is loaded already, with the same plan and options, is started if
    /// it was stopped. Joins the peers that the request names. Returns once the service is loaded.
    fn start(&self, request: StartRequest) -> impl Future<Output = Result<Started, Problem>> + Send;

    /// Stops, restarts or unloads a service of this node or, everywhere, of its group.
    fn act(
        &self,
        action: Action,
        target: &Target,
        request: ActionRequest,
    ) -> impl Future<Output = Result<Acted, Problem>> + Send;

    /// Sets what the members of a group should be, those included that come later.
    fn set_desired(
        &self,
        group: &GroupId,
        request: DesiredRequest,
    ) -> impl Future<Output = Result<Acted, Problem>> + Send;

    /// How the last change reaches the members of a group.
    fn rollout(&self, group: &GroupId) -> impl Future<Output = Result<RolloutReport, Problem>> + Send;

    /// Says what is to become of a group's rollout. Its updater obeys, wherever it is.
    /// [`ProblemKind::NoRollout`](super::ProblemKind::NoRollout) if the group never had one.
    fn order(&self, group: &GroupId, order: OrderKind) -> impl Future<Output = Result<Acted, Problem>> + Send;

    /// The releases of this node.
    fn releases(&self) -> impl Future<Output = Result<Releases, Problem>> + Send;

    /// One release of this node, with its files, after it was verified that they are as they came.
    /// [`ProblemKind::UnknownRelease`](super::ProblemKind::UnknownRelease) if there is none or more than one that is
    /// meant.
    fn release(&self, release: &ReleaseQuery) -> impl Future<Output = Result<Release, Problem>> + Send;

    /// Removes the releases that no group needs, but for the newest few of each plan (`keep-releases`),
    /// and those that were just handed over, to be asked for.
    fn gc_releases(&self) -> impl Future<Output = Result<ReleasesRemoved, Problem>> + Send;

    /// Verifies the archive of a release, and keeps it on this node. Nothing is kept if it is refused
    /// ([`ProblemKind::InvalidRelease`](super::ProblemKind::InvalidRelease)).
    fn add_release(&self, archive: Upload) -> impl Future<Output = Result<ReleaseAdded, Problem>> + Send;

    /// Validates a config, and puts it in force for the group. Nothing is gossiped if it is refused
    /// ([`ProblemKind::InvalidConfig`](super::ProblemKind::InvalidConfig), with places).
    fn apply_config(
        &self,
        group: &GroupId,
        request: ApplyRequest,
    ) -> impl Future<Output = Result<ConfigApplied, Problem>> + Send;

    /// Validates a config, and says what it would change. Nothing is changed.
    fn preview_config(
        &self,
        group: &GroupId,
        request: ApplyRequest,
    ) -> impl Future<Output = Result<ConfigPreview, Problem>> + Send;

    /// A revision of a group's config; the one in force if none is named.
    fn config(&self, group: &GroupId, revision: Option<&str>) -> impl Future<Output = Result<Config, Problem>> + Send;

    /// The revisions of a group's config that are kept, the newest first.
    fn config_history(&self, group: &GroupId) -> impl Future<Output = Result<ConfigHistory, Problem>> + Send;

    /// Applies an earlier revision's text again; the parent of the one in force if none is named.
    fn rollback_config(
        &self,
        group: &GroupId,
        request: RollbackRequest,
    ) -> impl Future<Output = Result<ConfigApplied, Problem>> + Send;

    /// Takes the group's config away: the plan's defaults and each node's own settings remain.
    fn unset_config(
        &self,
        group: &GroupId,
        request: UnsetRequest,
    ) -> impl Future<Output = Result<ConfigApplied, Problem>> + Send;

    /// The files of a group that are in force.
    fn files(&self, group: &GroupId) -> impl Future<Output = Result<Files, Problem>> + Send;

    /// The revisions of a file that are kept, the newest first.
    fn file_history(
        &self,
        group: &GroupId,
        name: &FileName,
    ) -> impl Future<Output = Result<FileHistory, Problem>> + Send;

    /// Takes a file in, and puts it in force for all members of the group. Nothing is gossiped if it is refused.
    fn put_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
        content: Upload,
    ) -> impl Future<Output = Result<FileApplied, Problem>> + Send;

    /// Puts an earlier revision of a file in force again; the parent of the one in force if none is named.
    fn rollback_file(
        &self,
        group: &GroupId,
        name: &FileName,
        request: RollbackRequest,
    ) -> impl Future<Output = Result<FileApplied, Problem>> + Send;

    /// Takes a file away from all members. Its history stays.
    fn remove_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
    ) -> impl Future<Output = Result<FileApplied, Problem>> + Send;

    /// Output of a service of this node and of its hooks: the last lines, and with `follow` those to come.
    fn logs(&self, service: &Name, request: LogsRequest) -> impl Future<Output = Result<Lines, Problem>> + Send;

    /// Why a service is not up, who leads a group and why, in sentences, with the command to type next.
    fn explain(&self, target: &Target) -> impl Future<Output = Result<Explanation, Problem>> + Send;

    /// Which node has which keys of the ring.
    fn ring_keys(&self) -> impl Future<Output = Result<RingKeys, Problem>> + Send;

    /// A key of this node itself; the one in use if none is named.
    fn show_key(&self, key: Option<KeyId>) -> impl Future<Output = Result<KeyShown, Problem>> + Send;

    /// Has a key installed here, or on all members.
    fn install_key(&self, request: KeyInstall) -> impl Future<Output = Result<KeysChanged, Problem>> + Send;

    /// Has what is sent sealed with this key, here or by all members. Refused with
    /// [`ProblemKind::Conflict`](super::ProblemKind::Conflict) where somebody would be cut off.
    fn use_key(&self, request: KeyOrder) -> impl Future<Output = Result<KeysChanged, Problem>> + Send;

    /// Has a key forgotten, here or by all members. Refused as [`Self::use_key`] is.
    fn remove_key(&self, request: KeyOrder) -> impl Future<Output = Result<KeysChanged, Problem>> + Send;

    /// The tokens of the ring; what is known of them, not the tokens.
    fn tokens(&self) -> impl Future<Output = Result<Tokens, Problem>> + Send;

    /// Makes a token that all nodes of the ring take.
    fn new_token(&self, request: TokenRequest) -> impl Future<Output = Result<TokenMade, Problem>> + Send;

    /// Has all nodes take a token no more. [`ProblemKind::UnknownToken`](super::ProblemKind::UnknownToken) if there is no
    /// such one.
    fn revoke_token(&self, token: TokenId) -> impl Future<Output = Result<TokenRevoked, Problem>> + Send;

    /// What a token that is presented allows. [`ProblemKind::Unauthorized`](super::ProblemKind::Unauthorized) if nothing.
    fn token_role(&self, token: &Token) -> impl Future<Output = Result<Role, Problem>> + Send;

    /// Notices of changes from now on; those of a group that this node would not follow by itself, too, if it is named.
    fn subscribe(&self, group: Option<&GroupId>) -> Changes;

    /// What Prometheus scrapes: its text format, version 0.0.4.
    fn metrics(&self) -> impl Future<Output = Result<String, Problem>> + Send;

    /// Asks the supervisor to stop its services, leave the ring and end. Returns once that has begun.
    fn shutdown(&self) -> impl Future<Output = Result<(), Problem>> + Send;
}
