//! The services of this node: loaded from their specs, asked by people, told to the ring.
//!
//! | file | subject |
//! | --- | --- |
//! | `minder` | one task per service, which tells the ring how it is doing |
//! | `plans` | from what a person named to a plan, and what is wrong with it |
//! | `snapshot` | the copy of a plan's directory that a service goes by |
//!
//! A service itself is a task of [`crate::service`]. This holds their handles, keeps their specs on disk, and sees to
//! it that two requests do not get in each other's way.

mod minder;
mod plans;
mod snapshot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::clock;
use super::error::chain;
use super::feed::Feed;
use super::releases::NodeReleases;
use super::ringloop::RingHandle;
use super::settings::Settings;
use crate::api::shape::{self, EventKind, StartRequest, Target};
use crate::api::{Problem, ProblemKind};
use crate::base::{GroupId, Name, NodeId};
use crate::blob::Blobs;
use crate::plan::Plan;
use crate::records::value::{DesiredState, ServiceState};
use crate::service::{
    self, Bind, BindingMode, Command, Deps, Handle, LoadSpecError, ServiceSpec, ServiceStatus, Subscribe,
};
use crate::template::SysContext;

pub(super) use plans::Places;

/// Most services of one node.
pub(super) const SERVICES_MAX: usize = 200;

/// What all services of this node have in common.
pub(super) struct Common {
    pub me: NodeId,
    pub settings: Settings,
    pub sys: Arc<SysContext>,
    pub sup_bin: PathBuf,
    pub ring: RingHandle,
    pub feed: Feed,
    pub releases: NodeReleases,
    pub blobs: Blobs,
}

/// The services of this node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Services(Arc<Inner>);

struct Inner {
    common: Common,
    loaded: Mutex<BTreeMap<Name, Arc<Loaded>>>,
    /// Specs that cannot be loaded, and why. They stay until a person mends or replaces them.
    broken: Mutex<BTreeMap<Name, String>>,
    /// Held while a service is loaded, acted on or unloaded.
    changing: AsyncMutex<()>,
}

/// A service that is loaded here.
pub(super) struct Loaded {
    /// What was asked for, but for whether it should run and which copy of its directory it goes by, which change.
    pub spec: ServiceSpec,
    /// The service's task.
    pub handle: Handle,
}

/// What became of a service that was to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It was not loaded before.
    Loaded,
    /// It was.
    Again,
    /// It was, and runs: it goes on as it was started, although its plan's directory is another one by now.
    GoesOn,
}

impl Loaded {
    /// How it is doing.
    pub(super) fn status(&self) -> Arc<ServiceStatus> {
        Arc::clone(&self.handle.status().borrow())
    }

    pub(super) fn group(&self) -> GroupId {
        self.spec.group_id()
    }
}

impl Services {
    pub(super) fn new(common: Common) -> Self {
        Self(Arc::new(Inner {
            common,
            loaded: Mutex::default(),
            broken: Mutex::default(),
            changing: AsyncMutex::default(),
        }))
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Loaded>>> {
        // Held for single operations of the map, none of which can panic half-way.
        self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken_specs(&self) -> MutexGuard<'_, BTreeMap<Name, String>> {
        self.0.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The releases of this node.
    pub(super) fn releases(&self) -> &NodeReleases {
        &self.0.common.releases
    }

    fn data_dir(&self) -> &Path {
        &self.0.common.settings.data_dir
    }

    /// All that are loaded, by name.
    pub(super) fn all(&self) -> Vec<Arc<Loaded>> {
        self.loaded().values().cloned().collect()
    }

    /// One that is loaded.
    pub(super) fn get(&self, service: &Name) -> Option<Arc<Loaded>> {
        self.loaded().get(service).cloned()
    }

    /// The specs that cannot be loaded, and why.
    pub(super) fn broken(&self) -> BTreeMap<Name, String> {
        self.broken_specs().clone()
    }

    /// One that is loaded, or what to say if it is not.
    pub(super) fn find(&self, target: &Target) -> Result<Arc<Loaded>, Problem> {
        let service = target.service();
        let unknown = |detail| Problem::new(ProblemKind::UnknownService, detail);
        match (self.get(service), target) {
            (Some(loaded), Target::Group(group)) if loaded.group() != *group => {
                Err(unknown(format!("{service} is a member of {} here, not of {group}", loaded.group())))
            }
            (Some(loaded), Target::Service(_) | Target::Group(_)) => Ok(loaded),
            (None, _) => match self.broken_specs().get(service) {
                Some(why) => Err(unknown(format!("the spec of {service} cannot be loaded: {why}"))),
                None => Err(unknown(format!("no service {service} is loaded on this node"))
                    .next(format!("see what is: sup status; load it: sup start {service}"))),
            },
        }
    }

    /// Loads everything whose spec is in the data directory. A spec that is bad does not stop the others.
    pub(super) async fn load_all(&self) {
        let data_dir = self.data_dir().to_owned();
        let specs = tokio::task::spawn_blocking(move || ServiceSpec::load_all(&data_dir)).await;
        let specs = match specs {
            Ok(Ok(specs)) => specs,
            Ok(Err(cause)) => return error!(%cause, "the specs cannot be read: no service is loaded"),
            Err(_) => return,
        };
        for spec in specs {
            match spec {
                Ok(spec) => self.load(spec).await,
                Err(cause) => self.keep_broken(&cause),
            }
        }
    }

    fn keep_broken(&self, cause: &LoadSpecError) {
        let why = chain(cause);
        error!(cause = why, "a spec cannot be loaded; its service is not supervised");
        self.0.common.feed.tell(EventKind::Service, None, None, why.clone());
        let path = match cause {
            LoadSpecError::Read { path, .. }
            | LoadSpecError::Content { path, .. }
            | LoadSpecError::Misnamed { path, .. }
            | LoadSpecError::TooLarge { path, .. } => path,
        };
        if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()) {
            self.broken_specs().insert(name, why);
        }
    }

    /// Takes a service up. Its process, if one still runs, is adopted.
    async fn load(&self, spec: ServiceSpec) {
        let common = &self.0.common;
        let group = spec.group_id();
        common.releases.start_from(&group, spec.snapshot);
        let election = plans::election(self.plan_dir(&spec)).await;
        let ring = common.ring.clone();
        let subscribe: Subscribe = Arc::new(move |group: &GroupId| ring.subscribe(group));
        let deps = Deps {
            me: common.me,
            sys: Arc::clone(&common.sys),
            data_dir: self.data_dir().to_owned(),
            sup_bin: common.sup_bin.clone(),
            clock: clock::now,
            ring: common.ring.board().ring(),
            group: common.ring.subscribe(&group),
            subscribe,
            lease: common.ring.board().lease(&group),
            releases: Arc::new(common.releases.of(&group)),
            blobs: Some(common.blobs.clone()),
        };
        info!(service = %spec.service, %group, "service loaded");
        let handle = service::spawn(spec.clone(), deps);
        let rules = common.settings.election_rules(spec.topology, &election);
        self.broken_specs().remove(&spec.service);
        let loaded = Arc::new(Loaded { spec, handle });
        self.loaded().insert(loaded.spec.service.clone(), Arc::clone(&loaded));
        let services = self.clone();
        let resign_after = election.resign_after_critical;
        let prefetch = AbortOnDropHandle::new(tokio::spawn(common.releases.of(&group).prefetch()));
        tokio::spawn(async move {
            minder::mind(&services, &loaded, rules, resign_after).await;
            drop(prefetch);
        });
    }

    /// Loads a service and starts it, from its plan's directory as it is now. One that is loaded must have the same plan
    /// and options, and goes on as it is if it runs.
    pub(super) async fn start(&self, request: &StartRequest) -> Result<(Arc<Loaded>, Begun), Problem> {
        // The name of a service that is loaded stands for its plan, wherever that is.
        let named = request.plan.parse().ok().and_then(|name| self.get(&name));
        let plan = match named {
            Some(loaded) => self.plan_of(&loaded.spec).await?,
            None => plans::find(&request.plan, &self.0.common.settings).await?,
        };
        let mut spec = self.wanted(request, &plan);
        plans::check_binds(&plan, &spec)?;

        let _one_at_a_time = self.0.changing.lock().await;
        if let Some(loaded) = self.get(&spec.service) {
            return self.start_again(loaded, &spec, plan).await;
        }
        if self.loaded().len() >= SERVICES_MAX {
            let detail = format!("{SERVICES_MAX} services are loaded here, which is as many as one node takes");
            return Err(Problem::new(ProblemKind::Busy, detail).next("unload one: sup unload SVC"));
        }
        spec.snapshot = self.copied(&spec.group_id(), plan).await?;
        self.save(spec.clone()).await?;
        let service = spec.service.clone();
        self.load(spec).await;
        match self.get(&service) {
            Some(loaded) => Ok((loaded, Begun::Loaded)),
            None => Err(Problem::new(ProblemKind::Internal, format!("{service} was unloaded while it was loaded"))),
        }
    }

    /// The spec that is asked for. What the request does not say stays as it is, if the service is loaded.
    fn wanted(&self, request: &StartRequest, plan: &Plan) -> ServiceSpec {
        let known = self.get(&plan.manifest.name).map(|loaded| loaded.spec.clone());
        let default = || ServiceSpec::new(plan.manifest.name.clone(), plan.dir.clone());
        let mut spec =
            ServiceSpec { plan: plan.dir.clone(), desired: DesiredState::Up, ..known.unwrap_or_else(default) };
        if let Some(group) = &request.group {
            spec.group = group.clone();
        }
        spec.topology = request.topology.unwrap_or(spec.topology);
        spec.strategy = request.strategy.unwrap_or(spec.strategy);
        if !request.binds.is_empty() {
            spec.binds = request.binds.iter().map(|b| Bind { name: b.name.clone(), group: b.group.clone() }).collect();
        }
        spec.binding_mode = match request.binding_mode {
            shape::BindingMode::Strict => spec.binding_mode,
            shape::BindingMode::Relaxed => BindingMode::Relaxed,
        };
        if request.config_from.is_some() {
            spec.config_from.clone_from(&request.config_from);
        }
        spec
    }

    async fn start_again(
        &self,
        loaded: Arc<Loaded>,
        wanted: &ServiceSpec,
        plan: Plan,
    ) -> Result<(Arc<Loaded>, Begun), Problem> {
        let known = ServiceSpec { desired: wanted.desired, ..loaded.spec.clone() };
        if known != *wanted {
            let service = &wanted.service;
            let detail = format!("{service} is loaded here already, with {}", plans::difference(&known, wanted));
            return Err(
                Problem::new(ProblemKind::AlreadyLoaded, detail).next(format!("unload it first: sup unload {service}"))
            );
        }
        let (status, before) = (loaded.status(), self.releases().started_from(&loaded.group()));
        let (snapshot, begun) = match (snapshot::goes_by_it(&status), snapshot::rests(&status)) {
            (true, true) => (self.copied(&loaded.group(), plan).await?, Begun::Again),
            (true, false) if before.is_some_and(|before| before != plan.release.hash()) => (before, Begun::GoesOn),
            (true | false, _) => (before, Begun::Again),
        };
        self.save(ServiceSpec { snapshot, ..wanted.clone() }).await?;
        self.releases().start_from(&loaded.group(), snapshot);
        self.send(&loaded, Command::Start).await?;
        Ok((loaded, begun))
    }

    /// Stops, restarts or unloads a service. Returns once it has been told.
    pub(super) async fn command(&self, target: &Target, command: Command) -> Result<GroupId, Problem> {
        let _one_at_a_time = self.0.changing.lock().await;
        let loaded = self.find(target)?;
        let desired = match command {
            Command::Start | Command::Restart => DesiredState::Up,
            // It is unloaded by its minder, once it is down: should this supervisor end before, it stays down.
            Command::Stop | Command::Unload => DesiredState::Down,
        };
        let snapshot = match command {
            Command::Restart if snapshot::goes_by_it(&loaded.status()) => self.refreshed(&loaded).await?,
            Command::Start | Command::Restart | Command::Stop | Command::Unload => {
                self.releases().started_from(&loaded.group())
            }
        };
        self.save(ServiceSpec { desired, snapshot, ..loaded.spec.clone() }).await?;
        self.releases().start_from(&loaded.group(), snapshot);
        self.send(&loaded, command).await?;
        Ok(loaded.group())
    }

    async fn send(&self, loaded: &Loaded, command: Command) -> Result<(), Problem> {
        loaded.handle.send(command).await.map_err(|gone| Problem::caused(ProblemKind::UnknownService, &gone))
    }

    async fn save(&self, spec: ServiceSpec) -> Result<(), Problem> {
        let data_dir = self.data_dir().to_owned();
        let saved = tokio::task::spawn_blocking(move || spec.save(&data_dir)).await;
        match saved {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Problem::caused(ProblemKind::StoreUnavailable, &error)
                .next("nothing was changed; make room on that disk, and repeat the command")),
            Err(_) => Err(Problem::new(ProblemKind::ShuttingDown, "this supervisor is shutting down")),
        }
    }

    /// Forgets a service that has unloaded itself.
    async fn forget(&self, service: &Name) {
        let data_dir = self.data_dir().to_owned();
        let name = service.clone();
        let removed = tokio::task::spawn_blocking(move || ServiceSpec::remove(&data_dir, &name)).await;
        if let Ok(Err(cause)) = removed {
            warn!(%service, %cause, "the spec cannot be removed: the service will be loaded again, stopped");
        }
        if let Some(loaded) = self.loaded().remove(service) {
            self.0.common.releases.forget(&loaded.group());
        }
    }

    /// Stops all services, in parallel, and waits until they are down. Their specs stay as they are: the next
    /// supervisor starts those that should run.
    pub(super) async fn stop_all(&self) {
        let all = self.all();
        for loaded in &all {
            // One whose task has ended needs no stopping.
            loaded.handle.send(Command::Stop).await.ok();
        }
        for loaded in all {
            let at_rest = |status: &ServiceStatus| status.unloaded || matches!(status.member.state, ServiceState::Down);
            loaded.handle.wait_for(at_rest).await.ok();
        }
    }
}
