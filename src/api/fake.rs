//! A supervisor that is none: it answers what it was told to, and notes what it was asked.

pub(crate) mod rolling;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Endpoint};
use super::server::{Admission, Limits, Openness, bind_unix, serve_unix};
use super::shape::{
    Acted, Action, ActionRequest, ApplyRequest, Config, ConfigApplied, ConfigChange, ConfigEffect, ConfigHistory,
    ConfigPreview, Council, DepartRequest, Departed, DesiredRequest, DesiredView, Event, EventKind, Explanation, File,
    FileApplied, FileDiff, FileHistory, FileRevision, Files, Group, GroupMember, Groups, HealthReport, Holder,
    KeyInstall, KeyOrder, KeyShown, KeyText, KeysChanged, LogLine, LogStream, LogsRequest, Member, MemberName,
    MemberProgress, MemberServiceState, MemberState, Members, Node, NodeKeys, RecoverRequest, Recovery, Release,
    ReleaseAdded, ReleaseFile, Releases, ReleasesRemoved, Revision, RevisionStatus, RingKeys, RollbackRequest,
    RolloutMember, RolloutOptions, RolloutReport, Service, Services, Standing, StartRequest, Started, Target,
    TargetView, Time, TokenInfo, TokenMade, TokenRequest, TokenRevoked, Tokens, UnsetRequest, order_word,
};
use super::token::Token;
use super::{Backend, Changes, Lines, Place, Problem, ProblemKind, Upload};
use crate::base::{FileName, GroupId, Hash, Name, NodeId, Role, Term, TokenId, Wall};
use crate::census::ElectionState;
use crate::net::{KeyId, RingKey};
use crate::records::value::{DesiredState, Health, OrderKind, Strategy, Topology};
use crate::release::{Query, Signer};

/// 2026-05-01T12:00:00Z.
pub(crate) const NOON: Time = Time(Wall(1_777_636_800_000));

/// When each change is asked for, as the records' clock has it.
pub(crate) const ASKED: u64 = 1000;
/// The release that the group has.
pub(crate) const OLD_RELEASE: &str = "redis/7.0/abababababab";
/// The one that each archive is.
pub(crate) const NEW_RELEASE: &str = "redis/7.2/cdcdcdcdcdcd";

#[derive(Debug)]
pub(crate) struct State {
    /// What was asked, in words.
    pub asked: Vec<String>,
    pub group: Group,
    pub rollout: RolloutReport,
    /// How often the rollout was looked at since it was last another one.
    pub rollout_looks: usize,
    /// The text of the revision before the one in force.
    pub old_toml: String,
    /// Whether what is set is something new.
    pub changes: bool,
    pub service: Service,
    pub health: Health,
    /// What every call that changes something is answered, instead of success.
    pub refusal: Option<Problem>,
    /// How long each call takes.
    pub delay: Duration,
    /// What the service does once it was acted on.
    pub becomes: MemberServiceState,
    pub lines: Vec<LogLine>,
    /// The tokens that are taken.
    pub tokens: Vec<(Token, Role)>,
}

#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<Event>,
}

/// What the files of the group come to.
const FILES_REVISION: &str = "1a2b3c4d5e6f";

pub(crate) fn node_id(n: u128) -> NodeId {
    NodeId::from_u128(n << 96 | n)
}

pub(crate) fn redis() -> GroupId {
    "redis.default".parse().unwrap()
}

pub(crate) fn member(n: u128, leader: bool) -> GroupMember {
    GroupMember {
        node_id: node_id(n),
        address: format!("127.0.0.{n}:9638"),
        state: MemberServiceState::Up,
        why: String::new(),
        health: Health::Ok,
        leader,
        suitability: u64::try_from(n).ok(),
        release: "redis/7.0.15".into(),
        config_revision: None,
        files_revision: Some(FILES_REVISION.into()),
        pid: u32::try_from(1000 + n).ok(),
        since: NOON,
        restarts: 0,
        node_state: MemberState::Alive,
    }
}

fn group() -> Group {
    let members: Vec<_> = (2..=4).map(|n| member(n, n == 3)).collect();
    Group {
        group: redis(),
        topology: Topology::Leader,
        strategy: Strategy::None,
        election: ElectionState::Finished,
        election_why: String::new(),
        leader: Some(Holder { node_id: node_id(3), address: "127.0.0.3:9638".into(), term: Term(7) }),
        updater: None,
        council: Some(Council { voters: (2..=4).map(node_id).collect(), version: (Term(1), 1), change: String::new() }),
        desired: desired(),
        rollout: None,
        members_total: 3,
        members_serving: 3,
        members: Some(members),
    }
}

fn desired() -> DesiredView {
    DesiredView { release: None, config_revision: Some("2-1a2b3c4d".into()), state: DesiredState::Up, asked: 0 }
}

/// What a member goes by that runs this release.
pub(crate) fn goes_by(release: &str) -> TargetView {
    TargetView { release: Some(release.into()), config_revision: Some("2-1a2b3c4d".into()), state: DesiredState::Up }
}

/// A group that never had a rollout.
fn rollout() -> RolloutReport {
    let member = |n| RolloutMember {
        node_id: node_id(n),
        address: format!("127.0.0.{n}:9638"),
        node_state: MemberState::Alive,
        state: MemberServiceState::Up,
        why: String::new(),
        health: Health::Ok,
        leader: n == 3,
        target: Some(goes_by(OLD_RELEASE)),
        progress: MemberProgress::Waiting,
        turn: None,
    };
    RolloutReport {
        group: redis(),
        strategy: Strategy::Rolling,
        desired: desired(),
        options: RolloutOptions::default(),
        updater: Some(Holder { node_id: node_id(2), address: "127.0.0.2:9638".into(), term: Term(5) }),
        rollout: None,
        members: (2..=4).map(member).collect(),
        standing: Standing::default(),
    }
}

impl Fake {
    pub(crate) fn new() -> Self {
        let service = Service {
            service: "redis".parse().unwrap(),
            group: redis(),
            ident: "core/redis/7.0.15".into(),
            plan: None,
            topology: Topology::Leader,
            strategy: Strategy::None,
            member: member(2, false),
            binds: Vec::new(),
            problems: Vec::new(),
            hooks: Vec::new(),
            files: Vec::new(),
        };
        let state = State {
            asked: Vec::new(),
            group: group(),
            rollout: rollout(),
            changes: true,
            rollout_looks: 0,
            old_toml: "port = 6379\n".into(),
            service,
            health: Health::Ok,
            refusal: None,
            delay: Duration::ZERO,
            becomes: MemberServiceState::Up,
            tokens: Role::ALL.into_iter().map(|role| (token(role), role)).collect(),
            lines: vec![LogLine {
                at: NOON,
                source: "run".into(),
                stream: LogStream::Stdout,
                text: "Ready to accept connections".into(),
            }],
        };
        Self { state: Arc::new(Mutex::new(state)), changes: broadcast::channel(8).0 }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// Changes the state, and tells it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.tell(EventKind::Group, Some(redis()));
    }

    /// Has the rollout go through these, each once the one before was looked at.
    pub(crate) async fn roll(&self, reports: impl IntoIterator<Item = RolloutReport>) {
        for report in reports {
            self.change(|state| {
                state.rollout = report;
                state.rollout_looks = 0;
            });
            while self.state().rollout_looks == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    pub(crate) fn tell(&self, kind: EventKind, group: Option<GroupId>) {
        // Nobody listens: nobody is told.
        self.changes.send(Event { at: NOON, kind, group, node_id: None, message: "it changed".into() }).ok();
    }

    /// Tells of something in these words.
    pub(crate) fn say(&self, message: &str) {
        let event = Event { at: NOON, kind: EventKind::Group, group: None, node_id: None, message: message.to_owned() };
        self.changes.send(event).ok();
    }

    pub(crate) fn listeners(&self) -> usize {
        self.changes.receiver_count()
    }

    async fn asked_for(&self, what: String) {
        let delay = {
            let mut state = self.state();
            state.asked.push(what);
            state.delay
        };
        tokio::time::sleep(delay).await;
    }

    async fn change_asked_for(&self, what: String) -> Result<(), Problem> {
        self.asked_for(what).await;
        self.state().refusal.clone().map_or(Ok(()), Err)
    }

    fn known(&self, group: &GroupId) -> Result<Group, Problem> {
        let state = self.state();
        if *group == state.group.group {
            Ok(state.group.clone())
        } else {
            Err(Problem::new(ProblemKind::UnknownGroup, format!("no group {group}")).next("see them all: sup groups"))
        }
    }

    fn applied(&self) -> ConfigApplied {
        ConfigApplied {
            group: redis(),
            revision: "3-5e6f7a8b".into(),
            previous: Some("2-1a2b3c4d".into()),
            changed: true,
            asked: ASKED,
        }
    }
}

/// The release of the group.
pub(crate) fn release() -> Release {
    let file = |path: &str, mode: &str, bytes| ReleaseFile {
        path: path.into(),
        mode: mode.into(),
        bytes,
        hash: Hash::from_bytes([0xef; 32]),
    };
    Release {
        release: NEW_RELEASE.into(),
        manifest: Hash::from_bytes([0xcd; 32]),
        added_at: NOON,
        bytes: 1536,
        file_count: 2,
        archive_bytes: 900,
        copy_of: None,
        signature: Signer::Nobody,
        groups: vec![redis()],
        files: Some(vec![file("hooks/init", "755", 512), file("plan.toml", "644", 1024)]),
    }
}

/// A key of the ring.
pub(crate) fn ring_key(n: u8) -> RingKey {
    RingKey::from_bytes([n; 32])
}

fn node_keys(n: u128, keys: Vec<KeyId>) -> NodeKeys {
    NodeKeys {
        node_id: node_id(n),
        address: format!("127.0.0.{n}:9638"),
        state: MemberState::Alive,
        in_use: keys.first().copied(),
        keys,
        takes_clear_text: false,
        problem: None,
    }
}

fn file_applied(group: &GroupId, name: &FileName) -> FileApplied {
    FileApplied {
        group: group.clone(),
        name: name.clone(),
        revision: "2-5e6f7a8b".into(),
        previous: Some("1-1a2b3c4d".into()),
        changed: true,
    }
}

/// What a config that is refused is answered.
pub(crate) fn invalid_config() -> Problem {
    Problem::new(ProblemKind::InvalidConfig, "the config is not valid, nothing was changed").at(Place {
        file: None,
        line: 2,
        column: 8,
        message: "expected an integer, found a string".into(),
        help: Some("such as 6379".into()),
    })
}

impl Backend for Fake {
    async fn node(&self) -> Result<Node, Problem> {
        self.asked_for("node".into()).await;
        Ok(Node {
            node_id: node_id(2),
            address: "127.0.0.2:9638".into(),
            hostname: "box".into(),
            ring: None,
            version: "0.1.0".into(),
            started_at: NOON,
            encrypted: false,
            strangers: Vec::new(),
            pid: 77,
            http_address: Some("127.0.0.2:9631".into()),
            data_dir: "/data".into(),
            signing_key: None,
            local_health: 0,
            banned_by: None,
            store_trouble: None,
            state_lost: None,
        })
    }

    async fn members(&self) -> Result<Members, Problem> {
        self.asked_for("members".into()).await;
        let member = |n| Member {
            node_id: node_id(n),
            address: format!("127.0.0.{n}:9638"),
            hostname: "box".into(),
            state: if n == 4 { MemberState::Suspect } else { MemberState::Alive },
            version: "0.1.0".into(),
        };
        Ok(Members { members: (2..=4).map(member).collect() })
    }

    async fn depart(&self, node: &str, request: DepartRequest) -> Result<Departed, Problem> {
        self.change_asked_for(format!("depart {node} {}", request.force)).await?;
        Ok(Departed { node_id: node_id(4), address: "127.0.0.4:9638".into(), changed: self.state().changes })
    }

    async fn undepart(&self, node: &str) -> Result<Departed, Problem> {
        self.change_asked_for(format!("undepart {node}")).await?;
        Ok(Departed { node_id: node_id(4), address: "127.0.0.4:9638".into(), changed: self.state().changes })
    }

    async fn recover(&self, group: &GroupId, _request: RecoverRequest) -> Result<Recovery, Problem> {
        self.change_asked_for(format!("recover {group}")).await?;
        self.change(|state| {
            if let Some(council) = &mut state.group.council {
                council.version.0 = Term(council.version.0.0 + 1_000_000);
            }
        });
        Ok(Recovery { group: group.clone(), lost: vec![node_id(3), node_id(4)], version: (Term(0), 0) })
    }

    async fn groups(&self) -> Result<Groups, Problem> {
        let group = self.state().group.clone();
        Ok(Groups { groups: vec![Group { members: None, ..group }] })
    }

    async fn group(&self, group: &GroupId) -> Result<Group, Problem> {
        self.asked_for(format!("group {group}")).await;
        self.known(group)
    }

    async fn services(&self) -> Result<Services, Problem> {
        Ok(Services { services: vec![self.state().service.clone()] })
    }

    async fn service(&self, service: &Name) -> Result<Service, Problem> {
        let state = self.state();
        if *service == state.service.service {
            Ok(state.service.clone())
        } else {
            Err(Problem::new(ProblemKind::UnknownService, format!("no service {service} here")))
        }
    }

    async fn health(&self, group: &GroupId) -> Result<HealthReport, Problem> {
        self.known(group)?;
        Ok(HealthReport { health: self.state().health, checked_at: Some(NOON), output: "PONG".into() })
    }

    async fn start(&self, request: StartRequest) -> Result<Started, Problem> {
        self.change_asked_for(format!("start {}", serde_json::to_string(&request).unwrap())).await?;
        let service = self.state().service.clone();
        let becomes = self.state().becomes;
        self.change(|state| state.service.member.state = becomes);
        Ok(Started { service, was_loaded: false, goes_on: false })
    }

    async fn act(&self, action: Action, target: &Target, request: ActionRequest) -> Result<Acted, Problem> {
        self.change_asked_for(format!("{} {target} {:?}", action.as_str(), request.scope)).await?;
        let becomes = self.state().becomes;
        self.change(|state| {
            state.service.member.state = becomes;
            state.service.member.pid = state.service.member.pid.map(|pid| pid + 1);
        });
        Ok(Acted { group: redis(), at: NOON, asked: 0, changed: true })
    }

    async fn set_desired(&self, group: &GroupId, request: DesiredRequest) -> Result<Acted, Problem> {
        self.change_asked_for(format!("desired {group} {}", serde_json::to_string(&request).unwrap())).await?;
        Ok(Acted { group: group.clone(), at: NOON, asked: ASKED, changed: self.state().changes })
    }

    async fn rollout(&self, group: &GroupId) -> Result<RolloutReport, Problem> {
        self.asked_for(format!("rollout {group}")).await;
        self.known(group)?;
        let mut state = self.state();
        state.rollout_looks += 1;
        Ok(state.rollout.clone())
    }

    async fn order(&self, group: &GroupId, order: OrderKind) -> Result<Acted, Problem> {
        self.change_asked_for(format!("{} {group}", order_word(order))).await?;
        Ok(Acted { group: group.clone(), at: NOON, asked: ASKED, changed: true })
    }

    async fn add_release(&self, mut archive: Upload) -> Result<ReleaseAdded, Problem> {
        let mut bytes = 0;
        while let Some(piece) = archive.recv().await {
            bytes += piece?.len();
        }
        self.change_asked_for(format!("release of {bytes} bytes")).await?;
        Ok(ReleaseAdded {
            release: NEW_RELEASE.into(),
            manifest: Hash::from_bytes([0xcd; 32]),
            bytes: u64::try_from(bytes).unwrap(),
        })
    }

    async fn releases(&self) -> Result<Releases, Problem> {
        Ok(Releases { releases: vec![Release { files: None, ..release() }] })
    }

    async fn release(&self, query: &Query) -> Result<Release, Problem> {
        self.asked_for(format!("release {query}")).await;
        Ok(release())
    }

    async fn gc_releases(&self) -> Result<ReleasesRemoved, Problem> {
        self.change_asked_for("gc".into()).await?;
        Ok(ReleasesRemoved { removed: vec![OLD_RELEASE.into()], bytes: 3_500_000 })
    }

    async fn apply_config(&self, group: &GroupId, request: ApplyRequest) -> Result<ConfigApplied, Problem> {
        self.change_asked_for(format!("apply {group} {request:?}")).await?;
        Ok(self.applied())
    }

    async fn preview_config(&self, group: &GroupId, request: ApplyRequest) -> Result<ConfigPreview, Problem> {
        self.change_asked_for(format!("preview {group} {request:?}")).await?;
        let name = |n| MemberName { node_id: node_id(n), address: format!("127.0.0.{n}:9638") };
        let diff = "--- config/redis.conf\n+++ config/redis.conf\n@@ -1 +1 @@\n-port 6379\n+port 1\n";
        Ok(ConfigPreview {
            group: group.clone(),
            plan: "core/redis/7.0.15".into(),
            revision: Some("2-1a2b3c4d".into()),
            changes: vec![
                ConfigChange {
                    members: vec![name(2), name(3)],
                    effect: ConfigEffect::Reconfigure,
                    files: vec![FileDiff { path: "config/redis.conf".into(), diff: diff.into() }],
                    error: None,
                },
                ConfigChange {
                    members: vec![name(4)],
                    effect: ConfigEffect::Nothing,
                    files: Vec::new(),
                    error: Some("redis.conf:1: no".into()),
                },
            ],
            unchanged: Vec::new(),
            away: Vec::new(),
            layers_known_of: Some(name(2)),
        })
    }

    async fn config(&self, group: &GroupId, revision: Option<&str>) -> Result<Config, Problem> {
        self.known(group)?;
        let revision = revision.unwrap_or("2-1a2b3c4d").to_owned();
        let is_old = revision == "1-00000000";
        let toml = if is_old { self.state().old_toml.clone() } else { "port = 6379\n".into() };
        Ok(Config { group: group.clone(), revision: Some(revision), toml })
    }

    async fn config_history(&self, group: &GroupId) -> Result<ConfigHistory, Problem> {
        self.known(group)?;
        let revision = |name: &str, status, parent: Option<&str>| Revision {
            revision: name.into(),
            status,
            at: NOON,
            by: Some(node_id(2)),
            parent: parent.map(Into::into),
            action: "apply".into(),
        };
        let revisions = vec![
            revision("2-1a2b3c4d", RevisionStatus::InForce, Some("1-00000000")),
            revision("1-00000000", RevisionStatus::Replaced, None),
        ];
        Ok(ConfigHistory { group: group.clone(), revisions })
    }

    async fn rollback_config(&self, group: &GroupId, request: RollbackRequest) -> Result<ConfigApplied, Problem> {
        self.change_asked_for(format!("rollback {group} {request:?}")).await?;
        Ok(self.applied())
    }

    async fn unset_config(&self, group: &GroupId, request: UnsetRequest) -> Result<ConfigApplied, Problem> {
        self.change_asked_for(format!("unset {group} {request:?}")).await?;
        Ok(self.applied())
    }

    async fn files(&self, group: &GroupId) -> Result<Files, Problem> {
        self.known(group)?;
        let file = |name: &str, bytes| File {
            name: name.parse().unwrap(),
            revision: "1-1a2b3c4d".into(),
            bytes,
            at: NOON,
            by: Some(node_id(2)),
        };
        Ok(Files {
            group: group.clone(),
            revision: Some(FILES_REVISION.into()),
            files: vec![file("ca.pem", 2048), file("users.acl", 12)],
        })
    }

    async fn file_history(&self, group: &GroupId, name: &FileName) -> Result<FileHistory, Problem> {
        let ConfigHistory { revisions, .. } = self.config_history(group).await?;
        let revisions = revisions.into_iter().map(|revision| FileRevision { revision, bytes: Some(12) }).collect();
        Ok(FileHistory { group: group.clone(), name: name.clone(), revisions })
    }

    async fn put_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
        mut content: Upload,
    ) -> Result<FileApplied, Problem> {
        let mut bytes = 0;
        while let Some(piece) = content.recv().await {
            bytes += piece?.len();
        }
        self.change_asked_for(format!("put {group} {name} {expect:?} of {bytes} bytes")).await?;
        Ok(file_applied(group, name))
    }

    async fn rollback_file(
        &self,
        group: &GroupId,
        name: &FileName,
        request: RollbackRequest,
    ) -> Result<FileApplied, Problem> {
        self.change_asked_for(format!("rollback {group} {name} {request:?}")).await?;
        Ok(file_applied(group, name))
    }

    async fn remove_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
    ) -> Result<FileApplied, Problem> {
        self.change_asked_for(format!("remove {group} {name} {expect:?}")).await?;
        Ok(file_applied(group, name))
    }

    async fn logs(&self, service: &Name, request: LogsRequest) -> Result<Lines, Problem> {
        self.asked_for(format!("logs {service} {request:?}")).await;
        let (sender, lines) = mpsc::channel(8);
        for line in self.state().lines.clone() {
            sender.try_send(line).unwrap();
        }
        Ok(lines)
    }

    async fn explain(&self, target: &Target) -> Result<Explanation, Problem> {
        let sentences = vec!["redis.default is led by 127.0.0.3:9638 (term 7).".to_owned()];
        Ok(Explanation { target: target.to_string(), sentences, next: Some("sup group show redis.default".into()) })
    }

    async fn ring_keys(&self) -> Result<RingKeys, Problem> {
        self.asked_for("ring keys".into()).await;
        let ring = "default".parse().unwrap();
        Ok(RingKeys { ring, nodes: (2..=4).map(|n| node_keys(n, vec![ring_key(1).id()])).collect() })
    }

    async fn show_key(&self, key: Option<KeyId>) -> Result<KeyShown, Problem> {
        self.change_asked_for(format!("show key {key:?}")).await?;
        Ok(KeyShown { id: ring_key(1).id(), key: KeyText(ring_key(1)) })
    }

    async fn install_key(&self, request: KeyInstall) -> Result<KeysChanged, Problem> {
        self.change_asked_for(format!("install {request:?}")).await?;
        let key = request.key.0.id();
        let mut nodes: Vec<_> = (2..=4).map(|n| node_keys(n, vec![ring_key(1).id(), key])).collect();
        let complete = self.state().changes;
        if !complete {
            nodes[2] = NodeKeys { problem: Some("it does not answer".into()), ..node_keys(4, Vec::new()) };
        }
        Ok(KeysChanged { key, complete, nodes })
    }

    async fn use_key(&self, request: KeyOrder) -> Result<KeysChanged, Problem> {
        self.change_asked_for(format!("use {request:?}")).await?;
        let nodes = (2..=4).map(|n| node_keys(n, vec![request.key])).collect();
        Ok(KeysChanged { key: request.key, complete: true, nodes })
    }

    async fn remove_key(&self, request: KeyOrder) -> Result<KeysChanged, Problem> {
        self.change_asked_for(format!("remove {request:?}")).await?;
        let nodes = (2..=4).map(|n| node_keys(n, vec![ring_key(1).id()])).collect();
        Ok(KeysChanged { key: request.key, complete: true, nodes })
    }

    fn subscribe(&self, _: Option<&GroupId>) -> Changes {
        Changes::new(self.changes.subscribe())
    }

    async fn metrics(&self) -> Result<String, Problem> {
        Ok("sup_members{state=\"alive\"} 3\n".into())
    }

    async fn tokens(&self) -> Result<Tokens, Problem> {
        let tokens = self.state().tokens.iter().map(|(token, role)| token_info(token, *role)).collect();
        Ok(Tokens { tokens })
    }

    async fn new_token(&self, request: TokenRequest) -> Result<TokenMade, Problem> {
        self.change_asked_for(format!("new token {request:?}")).await?;
        let token = token(request.role);
        self.state().tokens.push((token.clone(), request.role));
        Ok(TokenMade { info: TokenInfo { name: request.name, ..token_info(&token, request.role) }, token })
    }

    async fn revoke_token(&self, token: TokenId) -> Result<TokenRevoked, Problem> {
        self.change_asked_for(format!("revoke {token}")).await?;
        self.state().tokens.retain(|(known, _)| known.id() != token);
        Ok(TokenRevoked { id: token })
    }

    async fn token_role(&self, token: &Token) -> Result<Role, Problem> {
        let known = self.state().tokens.iter().find(|(known, _)| known == token).map(|(_, role)| *role);
        known.ok_or_else(|| Problem::new(ProblemKind::Unauthorized, "the token is not known here"))
    }

    async fn shutdown(&self) -> Result<(), Problem> {
        self.change_asked_for("shutdown".into()).await
    }
}

/// The token of this role.
pub(crate) fn token(role: Role) -> Token {
    Token::from_parts(TokenId::from_bytes([role as u8 + 1; 6]), [0xc0 + role as u8; 32])
}

fn token_info(token: &Token, role: Role) -> TokenInfo {
    TokenInfo {
        id: token.id(),
        role,
        name: String::new(),
        created_at: NOON,
        expires_at: None,
        expired: false,
        by: node_id(2),
    }
}

/// A fake that is served on a socket of its own, until it is dropped.
pub(crate) struct Served {
    pub fake: Fake,
    pub socket: PathBuf,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Served {
    pub(crate) fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("sup.sock");
        let (fake, stop) = (Fake::new(), CancellationToken::new());
        let listener = bind_unix(&socket).unwrap();
        let task =
            tokio::spawn(serve_unix(listener, fake.clone(), limits, Admission::new(Openness::Guarded), stop.clone()));
        Self { fake, socket, stop, task, _dir: dir }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Endpoint::Unix(self.socket.clone()))
    }
}
