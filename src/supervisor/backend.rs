//! What the API asks of the supervisor, answered.
//!
//! | file | subject |
//! | --- | --- |
//! | `shapes` | services of this node as the API shows them |
//! | `configs` | configs, checked against the plan of a service that runs here |
//! | `files` | files, taken in and shown |
//! | `preview` | what a config would change, file by file |
//! | `keys` | the keys of the ring, on all its members |
//! | `members` | nodes that a person names; departures and recoveries |
//! | `logs` | the output of a service and of its hooks, as one stream |
//! | `releases` | the releases of this node, and who needs them |
//! | `rollouts` | releases and options set, orders given |
//! | `standing` | why a rollout stands as it does |
//! | `explain` | why things are as they are, in sentences |
//! | `tokens` | tokens of the API |
//! | `metrics` | numbers for Prometheus |

mod configs;
mod explain;
mod files;
mod keys;
mod logs;
mod members;
mod metrics;
mod preview;
mod releases;
mod rollouts;
mod shapes;
mod standing;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::clock;
use super::feed::Feed;
use super::keys::KeyKeeper;
use super::ringloop::{AskError, Gauges, RingHandle};
use super::services::{Begun, Loaded, Services};
use super::settings::{ListenHttp, Peer, Settings};
use crate::api::shape::{
    Acted, Action, ActionRequest, ApplyRequest, Config, ConfigApplied, ConfigHistory, ConfigPreview, DepartRequest,
    Departed, DesiredRequest, Explanation, FileApplied, FileHistory, Files, Group, Groups, HealthReport, KeyInstall,
    KeyOrder, KeyShown, KeysChanged, LogsRequest, Member, Members, Node as NodeShape, RecoverRequest, Recovery,
    Release, ReleaseAdded, Releases, ReleasesRemoved, RingKeys, RollbackRequest, RolloutReport, Scope, Service,
    Services as ServicesShape, StartRequest, Started, Target, TokenMade, TokenRequest, TokenRevoked, Tokens,
    UnsetRequest,
};
use crate::api::token::Token;
use crate::api::{Backend, Changes, Lines, Problem, ProblemKind, Upload};
use crate::base::{FileName, GroupId, Name, NodeId, Now, Role, TokenId};
use crate::blob::Blobs;
use crate::census::GroupView;
use crate::net::{Counters, Dialer, KeyId};
use crate::node::{Command, CommandError, Node};
use crate::records::value::{DesiredState, OrderKind};
use crate::release::{Query, ReleaseStore};
use crate::service;

/// What answering takes.
pub(super) struct Context {
    pub me: NodeId,
    pub settings: Settings,
    pub hostname: String,
    pub started: Now,
    pub ring: RingHandle,
    pub services: Services,
    pub feed: Feed,
    pub keys: KeyKeeper,
    /// Asks other nodes about their keys.
    pub dialer: Dialer,
    pub blobs: Blobs,
    pub releases: Arc<ReleaseStore>,
    pub counters: Arc<Counters>,
    pub gauges: Arc<Gauges>,
    /// What the store lost before this start, in words.
    pub lost: Option<String>,
    /// Cancelled to end the supervisor.
    pub end: CancellationToken,
}

/// The supervisor, as the API sees it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Supervisor(Arc<Context>);

/// What a node knows of a group, taken at one moment.
struct Known {
    view: Arc<GroupView>,
    /// Whether anybody has heard of it.
    heard_of: bool,
}

impl Supervisor {
    pub(super) fn new(context: Context) -> Self {
        Self(Arc::new(context))
    }

    fn strangers(&self) -> Vec<String> {
        let gate = self.0.keys.gate();
        gate.strangers().iter().map(|met| met.tale(gate.ring(), gate.versions()).to_string()).collect()
    }

    async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Node) -> T + Send + 'static) -> Result<T, Problem> {
        self.0.ring.look(look).await.map_err(|error| problem(&error))
    }

    async fn execute(&self, command: Command) -> Result<crate::node::Done, Problem> {
        self.0.ring.execute(command).await.map_err(|error| problem(&error))
    }

    async fn known(&self, group: &GroupId) -> Result<Known, Problem> {
        let group = group.clone();
        self.look(move |node| Known {
            view: node.census().group(&group),
            heard_of: node.census().group_ids().any(|known| *known == group),
        })
        .await
    }

    async fn view(&self, group: &GroupId) -> Result<Arc<GroupView>, Problem> {
        let known = self.known(group).await?;
        if known.heard_of { Ok(known.view) } else { Err(unknown_group(group)) }
    }

    /// The groups that a plan's binds stand for, as this node knows them.
    async fn bound(&self, binds: Vec<(Name, GroupId)>) -> Result<BTreeMap<Name, Arc<GroupView>>, Problem> {
        self.look(move |node| binds.into_iter().map(|(name, group)| (name, node.census().group(&group))).collect())
            .await
    }

    async fn shape(&self, loaded: &Loaded, detail: shapes::Detail) -> Result<Service, Problem> {
        let binds: Vec<GroupId> = loaded.spec.binds.iter().map(|bind| bind.group.clone()).collect();
        let group = loaded.group();
        let (address, leads, served) = self
            .look(move |node| {
                let census = node.census();
                let me = node.identity();
                let leads = census.group(&group).members.get(&me.id).is_some_and(|member| member.leader);
                let served = binds.iter().map(|bind| census.group(bind).serving().next().is_some()).collect();
                (me.address, leads, served)
            })
            .await?;
        let here = shapes::Here { me: self.0.me, address, leads, served };
        Ok(shapes::service(&loaded.status(), &here, detail))
    }

    /// What the log and the API call a config command that was carried out.
    async fn config_command(&self, group: &GroupId, command: Command) -> Result<ConfigApplied, Problem> {
        let previous = self.known(group).await?.view.config.as_ref().map(|config| config.revision.clone());
        let done = self.execute(command).await?;
        let asked = self.known(group).await?.view.asked;
        let revision = done.revision.or_else(|| previous.clone()).unwrap_or_default();
        Ok(ConfigApplied { group: group.clone(), revision, previous, changed: done.changed, asked })
    }
}

fn unknown_group(group: &GroupId) -> Problem {
    Problem::new(ProblemKind::UnknownGroup, format!("nobody has heard of a group {group}"))
        .next("see which there are: sup groups")
}

fn unsupported(detail: &str, next: String) -> Problem {
    Problem::new(ProblemKind::Unsupported, detail).next(next)
}

fn problem(error: &AskError) -> Problem {
    match error {
        AskError::Refused(refused) => {
            let history = |group: &GroupId, file: &Option<FileName>| match file {
                Some(file) => format!("see what is in force: sup file history {group} {file}"),
                None => format!("see what is in force: sup config history {group}"),
            };
            match refused {
                CommandError::Expectation { group, file, .. } => {
                    Problem::caused(ProblemKind::Conflict, refused).next(history(group, file))
                }
                CommandError::NoRevision { group, file, .. } => {
                    Problem::caused(ProblemKind::UnknownRevision, refused).next(history(group, file))
                }
                CommandError::TooManyFiles { group, .. } => Problem::caused(ProblemKind::TooLarge, refused)
                    .next(format!("put what belongs together into one file; see them: sup file list {group}")),
                CommandError::Record(_) | CommandError::Encode(_) => Problem::caused(ProblemKind::TooLarge, refused),
                CommandError::Leaving => Problem::caused(ProblemKind::ShuttingDown, refused),
                CommandError::NoRollout { group } => {
                    Problem::caused(ProblemKind::NoRollout, refused).next(format!("begin one: sup update {group} DIR"))
                }
                CommandError::TooManyTokens { .. } => Problem::caused(ProblemKind::TooLarge, refused)
                    .next("revoke those that nobody needs: sup token list, sup token revoke ID"),
                CommandError::UnknownToken { .. } => {
                    Problem::caused(ProblemKind::UnknownToken, refused).next("see which there are: sup token list")
                }
                CommandError::UnknownMember { .. } => {
                    Problem::caused(ProblemKind::UnknownMember, refused).next("see them all: sup members")
                }
                CommandError::StillThere { node, .. } => Problem::caused(ProblemKind::MemberAlive, refused)
                    .next(format!("run sup shutdown there; if that cannot be: sup depart {} --force", node.short())),
                CommandError::DepartsItself => Problem::caused(ProblemKind::BadRequest, refused)
                    .next("to leave: sup shutdown; to have it departed: run sup depart on another member"),
                CommandError::Recover { group, .. } => Problem::caused(ProblemKind::NotLost, refused)
                    .next(format!("see who answers: sup group show {group}, sup members")),
                CommandError::NotHolder { .. } => Problem::caused(ProblemKind::Conflict, refused),
            }
        }
        AskError::NotDurable => Problem::caused(ProblemKind::StoreUnavailable, error)
            .next("make room on the disk of the data directory, and repeat the command"),
        AskError::Ended => Problem::caused(ProblemKind::ShuttingDown, error),
    }
}

impl Backend for Supervisor {
    async fn node(&self) -> Result<NodeShape, Problem> {
        let (address, local_health, banned_by) =
            self.look(|node| (node.identity().address, node.local_health(), node.banned_by())).await?;
        let http_address = match self.0.settings.listen_http {
            ListenHttp::On(address) => Some(address.to_string()),
            ListenHttp::Off => None,
        };
        Ok(NodeShape {
            node_id: self.0.me,
            address: address.to_string(),
            hostname: self.0.hostname.clone(),
            ring: Some(self.0.keys.gate().ring().to_string()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.0.started.wall.into(),
            encrypted: self.0.keys.gate().is_encrypted(),
            strangers: self.strangers(),
            pid: std::process::id(),
            http_address,
            data_dir: self.0.settings.data_dir.display().to_string(),
            signing_key: self.0.settings.signing_key.as_ref().map(|path| path.display().to_string()),
            local_health,
            banned_by: banned_by.map(|by| by.to_string()),
            store_trouble: self.0.gauges.store_trouble(),
            state_lost: self.0.lost.clone(),
        })
    }

    async fn members(&self) -> Result<Members, Problem> {
        self.look(|node| Members { members: node.census().nodes().map(Member::from).collect() }).await
    }

    async fn ring_keys(&self) -> Result<RingKeys, Problem> {
        keys::list(self).await
    }

    async fn show_key(&self, key: Option<KeyId>) -> Result<KeyShown, Problem> {
        keys::show(self, key)
    }

    async fn install_key(&self, request: KeyInstall) -> Result<KeysChanged, Problem> {
        keys::install(self, request).await
    }

    async fn use_key(&self, request: KeyOrder) -> Result<KeysChanged, Problem> {
        keys::use_it(self, request).await
    }

    async fn remove_key(&self, request: KeyOrder) -> Result<KeysChanged, Problem> {
        keys::remove(self, request).await
    }

    async fn tokens(&self) -> Result<Tokens, Problem> {
        tokens::list(self).await
    }

    async fn new_token(&self, request: TokenRequest) -> Result<TokenMade, Problem> {
        tokens::make(self, request).await
    }

    async fn revoke_token(&self, token: TokenId) -> Result<TokenRevoked, Problem> {
        tokens::revoke(self, token).await
    }

    async fn token_role(&self, token: &Token) -> Result<Role, Problem> {
        tokens::role(self, token).await
    }

    async fn depart(&self, node: &str, request: DepartRequest) -> Result<Departed, Problem> {
        members::depart(self, node, request).await
    }

    async fn undepart(&self, node: &str) -> Result<Departed, Problem> {
        members::undepart(self, node).await
    }

    async fn recover(&self, group: &GroupId, _request: RecoverRequest) -> Result<Recovery, Problem> {
        members::recover(self, group).await
    }

    async fn groups(&self) -> Result<Groups, Problem> {
        self.look(|node| {
            let census = node.census();
            let mut ids: Vec<&GroupId> = census.group_ids().collect();
            ids.sort();
            Groups { groups: ids.into_iter().map(|group| Group::summary(&census.group(group))).collect() }
        })
        .await
    }

    async fn group(&self, group: &GroupId) -> Result<Group, Problem> {
        Ok(Group::full(&*self.view(group).await?))
    }

    async fn services(&self) -> Result<ServicesShape, Problem> {
        let mut services = Vec::new();
        for loaded in self.0.services.all() {
            services.push(self.shape(&loaded, shapes::Detail::Summary).await?);
        }
        let address = self.look(|node| node.identity().address).await?;
        for (service, why) in self.0.services.broken() {
            services.push(shapes::broken(self.0.me, address, &service, why));
        }
        services.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(ServicesShape { services })
    }

    async fn service(&self, service: &Name) -> Result<Service, Problem> {
        let loaded = self.0.services.find(&Target::Service(service.clone()))?;
        self.shape(&loaded, shapes::Detail::Full).await
    }

    async fn health(&self, group: &GroupId) -> Result<HealthReport, Problem> {
        let loaded = self.0.services.find(&Target::Group(group.clone()))?;
        Ok(shapes::health(&loaded.status()))
    }

    async fn start(&self, request: StartRequest) -> Result<Started, Problem> {
        let peers = request.peers.iter().map(|text| text.parse::<Peer>());
        let peers: Vec<Peer> =
            peers.collect::<Result<_, _>>().map_err(|error| Problem::caused(ProblemKind::BadRequest, &error))?;
        if !peers.is_empty() {
            self.0.ring.join(peers).await.map_err(|error| problem(&error))?;
        }
        let (loaded, begun) = self.0.services.start(&request).await?;
        Ok(Started {
            service: self.shape(&loaded, shapes::Detail::Summary).await?,
            was_loaded: begun != Begun::Loaded,
            goes_on: begun == Begun::GoesOn,
        })
    }

    async fn act(&self, action: Action, target: &Target, request: ActionRequest) -> Result<Acted, Problem> {
        let command = match (action, request.scope) {
            (Action::Stop, Scope::Here) => service::Command::Stop,
            (Action::Restart, Scope::Here) => service::Command::Restart,
            (Action::Unload, Scope::Here) => service::Command::Unload,
            (Action::Stop, Scope::Everywhere) => {
                let group = match target {
                    Target::Group(group) => group.clone(),
                    Target::Service(_) => self.0.services.find(target)?.group(),
                };
                return self.set_desired(&group, DesiredRequest::state(DesiredState::Down)).await;
            }
            (Action::Restart | Action::Unload, Scope::Everywhere) => {
                let what = action.as_str();
                return Err(unsupported(
                    "only stopping works everywhere in this version",
                    format!("on each node: sup {what} {}", target.service()),
                ));
            }
        };
        let group = self.0.services.command(target, command).await?;
        Ok(Acted { group, at: clock::now().wall.into(), asked: 0, changed: true })
    }

    async fn set_desired(&self, group: &GroupId, request: DesiredRequest) -> Result<Acted, Problem> {
        rollouts::set_desired(self, group, &request).await
    }

    async fn rollout(&self, group: &GroupId) -> Result<RolloutReport, Problem> {
        rollouts::report(self, group).await
    }

    async fn order(&self, group: &GroupId, order: OrderKind) -> Result<Acted, Problem> {
        rollouts::order(self, group, order).await
    }

    async fn add_release(&self, archive: Upload) -> Result<ReleaseAdded, Problem> {
        releases::add(self, archive).await
    }

    async fn releases(&self) -> Result<Releases, Problem> {
        releases::list(self).await
    }

    async fn release(&self, release: &Query) -> Result<Release, Problem> {
        releases::show(self, release).await
    }

    async fn gc_releases(&self) -> Result<ReleasesRemoved, Problem> {
        releases::gc(self).await
    }

    async fn apply_config(&self, group: &GroupId, request: ApplyRequest) -> Result<ConfigApplied, Problem> {
        configs::check(self, group, &request).await?;
        let command = Command::ApplyConfig { group: group.clone(), toml: request.toml, expect: request.expect };
        self.config_command(group, command).await
    }

    async fn preview_config(&self, group: &GroupId, request: ApplyRequest) -> Result<ConfigPreview, Problem> {
        configs::preview(self, group, request).await
    }

    async fn config(&self, group: &GroupId, revision: Option<&str>) -> Result<Config, Problem> {
        self.view(group).await?;
        let history = self.history(group).await?;
        configs::text(group, &history, revision)
    }

    async fn config_history(&self, group: &GroupId) -> Result<ConfigHistory, Problem> {
        self.view(group).await?;
        let history = self.history(group).await?;
        Ok(ConfigHistory { group: group.clone(), revisions: history.iter().map(configs::revision).collect() })
    }

    async fn rollback_config(&self, group: &GroupId, request: RollbackRequest) -> Result<ConfigApplied, Problem> {
        let command =
            Command::RollbackConfig { group: group.clone(), revision: request.revision, expect: request.expect };
        self.config_command(group, command).await
    }

    async fn unset_config(&self, group: &GroupId, request: UnsetRequest) -> Result<ConfigApplied, Problem> {
        self.view(group).await?;
        self.config_command(group, Command::UnsetConfig { group: group.clone(), expect: request.expect }).await
    }

    async fn files(&self, group: &GroupId) -> Result<Files, Problem> {
        Ok(files::list(&*self.view(group).await?))
    }

    async fn file_history(&self, group: &GroupId, name: &FileName) -> Result<FileHistory, Problem> {
        self.view(group).await?;
        files::history(group, name, &self.history_of_file(group, name).await?)
    }

    async fn put_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
        content: Upload,
    ) -> Result<FileApplied, Problem> {
        self.take_file(group, name, expect, content).await
    }

    async fn rollback_file(
        &self,
        group: &GroupId,
        name: &FileName,
        request: RollbackRequest,
    ) -> Result<FileApplied, Problem> {
        let RollbackRequest { revision, expect } = request;
        let command = Command::RollbackFile { group: group.clone(), name: name.clone(), revision, expect };
        self.file_command(group, name, command).await
    }

    async fn remove_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
    ) -> Result<FileApplied, Problem> {
        self.view(group).await?;
        files::history(group, name, &self.history_of_file(group, name).await?)?;
        let expect = expect.map(str::to_owned);
        self.file_command(group, name, Command::RemoveFile { group: group.clone(), name: name.clone(), expect }).await
    }

    async fn logs(&self, service: &Name, request: LogsRequest) -> Result<Lines, Problem> {
        self.0.services.find(&Target::Service(service.clone()))?;
        logs::lines(&self.0.settings.data_dir, service, request).await
    }

    async fn explain(&self, target: &Target) -> Result<Explanation, Problem> {
        let loaded = match target {
            Target::Service(_) => Some(self.0.services.find(target)?),
            Target::Group(group) => self.0.services.get(&group.service).filter(|loaded| loaded.group() == *group),
        };
        let group = match (target, &loaded) {
            (Target::Group(group), _) => group.clone(),
            (Target::Service(_), Some(loaded)) => loaded.group(),
            (Target::Service(service), None) => {
                return Err(self.0.services.find(target).err().unwrap_or_else(|| {
                    Problem::new(ProblemKind::UnknownService, format!("no service {service} is loaded on this node"))
                }));
            }
        };
        let view = match &loaded {
            Some(_) => self.known(&group).await?.view,
            None => self.view(&group).await?,
        };
        let status = loaded.map(|loaded| loaded.status());
        let mut explained = explain::explain(target, self.0.me, status.as_deref(), &view, &self.0.feed.recent());
        if let Some(why) = self.0.gauges.store_trouble() {
            explain::add_store_trouble(&mut explained, &why, &self.0.settings.data_dir);
        }
        Ok(explained)
    }

    fn subscribe(&self, group: Option<&GroupId>) -> Changes {
        let changes = self.0.feed.subscribe();
        match group {
            Some(group) => changes.while_keeping(self.0.ring.subscribe(group)),
            None => changes,
        }
    }

    async fn metrics(&self) -> Result<String, Problem> {
        let ring = self.look(metrics::Ring::of).await?;
        let services = self.0.services.all().iter().map(|loaded| loaded.status()).collect();
        Ok(metrics::render(&metrics::Numbers {
            ring,
            services,
            network: self.0.counters.snapshot(),
            blobs: self.0.blobs.traffic(),
            lag_us: self.0.gauges.take_lag_us(),
            store_fails: self.0.gauges.store_trouble().is_some(),
            uptime: clock::now().mono.since(self.0.started.mono),
        }))
    }

    async fn shutdown(&self) -> Result<(), Problem> {
        self.0.end.cancel();
        Ok(())
    }
}

impl Supervisor {
    async fn history(&self, group: &GroupId) -> Result<Vec<crate::census::ConfigEntry>, Problem> {
        let group = group.clone();
        self.look(move |node| node.census().config_history(&group)).await
    }
}
