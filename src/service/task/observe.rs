//! From views, lease and config to what the machine is told and what templates see.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use toml::Table;

use super::super::config::Config;
use super::super::ground::write_pid;
use super::super::handle::RingState;
use super::super::load::{Loaded, Unusable};
use super::super::machine::{self, Applied, Event, Known, Successor};
use super::super::process::{Switch, last_words};
use super::super::view::{own, role, unmet};
use super::super::watch::FileWatch;
use super::{Driver, Report};
use crate::base::limits::CONFIG_BYTES;
use crate::base::{Name, NodeId, Wall};
use crate::census::{ConfigView, Goal, GroupView, Liveness, MemberView};
use crate::records::value::Strategy;
use crate::shim::Client;
use crate::template::{Bind, Inputs, context, context_hash};

impl Driver {
    /// Looks at everything, and tells the machine what is new.
    pub(super) fn observe(&mut self) {
        let now = self.now();
        let lease = *self.deps.lease.borrow_and_update();
        self.lease.update(lease, now.mono);
        self.arm_switch();
        let view = Arc::clone(&self.deps.group.borrow_and_update());
        let ring = *self.deps.ring.borrow_and_update();
        let binds: BTreeMap<Name, Arc<GroupView>> =
            self.binds.iter_mut().map(|(name, view)| (name.clone(), Arc::clone(&view.borrow_and_update()))).collect();
        let seen = own(&view, self.deps.me, self.lease.leads(now.mono), &self.member);
        let role = role(&seen, self.deps.me, self.spec.topology);
        let mut changed = false;
        let mut unmet_binds = Vec::new();
        let goal = self.goal(&view);
        if let Some(loaded) = self.loaded.clone() {
            self.take_config(goal.as_ref(), &loaded);
            unmet_binds = unmet(&loaded.required, &binds);
            self.told = role.told();
            // A view without this very member is not of the group as it is.
            if ring == RingState::Ready && view.members.contains_key(&self.deps.me) {
                self.observe_files(&loaded, &view);
            }
            changed = self.set_context(&loaded, seen, &binds);
        }
        // A view without this very member is not one to render: it is about to change.
        self.told_goal = self.told_goal || goal.is_some();
        let known = ring == RingState::Ready && view.members.contains_key(&self.deps.me) && self.told_goal;
        if let Some(Goal { target, release_when, turn, .. }) = goal {
            self.tell(Event::Goal(machine::Goal { target, release_when, turn }));
        }
        self.tell(Event::Successor(successor(&view, self.deps.me)));
        self.tell(Event::Binds(unmet_binds));
        self.tell(Event::Role(role));
        if changed {
            self.tell(Event::ContextChanged);
        }
        self.tell(Event::Ring(if known { RingState::Ready } else { RingState::Joining }));
    }

    /// What the member is to be; none while that is not known. What is told rests on what the member said of itself, and
    /// does not count before that is what it is.
    fn goal(&self, view: &GroupView) -> Option<Goal> {
        let goal = view.goal.clone()?;
        let revision = goal.config.as_ref().map(|config| &config.revision);
        if revision != goal.target.config.as_ref() {
            return None;
        }
        let said = view.members.get(&self.deps.me).map(|member| &*member.status);
        let known = self.machine.knows();
        let rests_on_status = self.spec.strategy == Strategy::Rolling;
        let is_said = match (known, said.map(|said| said.pid)) {
            (Known::Nothing, _) | (_, None) => false,
            (Known::None, Some(pid)) => pid.is_none(),
            (Known::Runs, Some(pid)) => pid.is_some(),
        };
        if rests_on_status && !is_said {
            return None;
        }
        // The supervisor ended in the middle of a turn, which is about to be given again: going back for that moment would
        // be one start too many, or two. A process that runs can wait for as long as it takes; where there is none, what
        // was there before the turn is better than nothing after a while.
        let is_to_go_on = self.standing.in_turn().is_some_and(|attempt| {
            let rollout = view.rollout.as_ref().filter(|(_, rollout)| rollout.id == attempt.rollout);
            let grant = rollout.and_then(|(_, rollout)| rollout.turn_of(self.deps.me));
            grant.is_some_and(|grant| grant.turn == attempt.turn)
        });
        let has_time = known == Known::Runs || self.now().mono < self.turn_awaited_until;
        (goal.turn.is_some() || !is_to_go_on || !has_time).then_some(goal)
    }

    /// Takes the config that belongs to what the member goes by, if the plan that is loaded is the one that it goes by:
    /// the config of the next release is nothing for this one.
    fn take_config(&mut self, goal: Option<&Goal>, loaded: &Loaded) {
        let Some(target) = self.standing.goes_by() else { return };
        if let Some(goal) = goal.filter(|goal| goal.target.config == target.config) {
            self.in_force = Some(goal.config.clone());
        }
        let is_its_plan = loaded.release == target.release;
        let Some(config) = self.config_in_force().filter(|_| is_its_plan).map(Option::<&ConfigView>::cloned) else {
            return;
        };
        match &config {
            Some(config) => self.config.set_group(Some(&config.revision), &config.toml, &loaded.plan),
            None => self.config.set_group(None, "", &loaded.plan),
        }
        if let Some(why) = self.config.refused() {
            let why = why.to_owned();
            self.tell(Event::ConfigRefused(why));
        }
    }

    /// The group's config that the member goes by, if that is known: a supervisor that has just begun learns it from the
    /// ring.
    fn config_in_force(&self) -> Option<Option<&ConfigView>> {
        let wanted = self.standing.goes_by()?.config.as_ref();
        let known = self.in_force.as_ref()?.as_ref();
        (known.map(|config| &config.revision) == wanted).then_some(known)
    }

    /// Makes the context anew, and says whether it is another one.
    fn set_context(&mut self, loaded: &Loaded, mut svc: GroupView, views: &BTreeMap<Name, Arc<GroupView>>) -> bool {
        let cfg = match self.known_config(loaded) {
            Ok(cfg) => cfg,
            Err(why) => {
                let changed = self.context.as_ref().err() != Some(&why);
                self.context = Err(why);
                return changed;
            }
        };
        let exports = loaded.plan.exports(&cfg);
        if let Some(me) = svc.members.get_mut(&self.deps.me) {
            Arc::make_mut(&mut me.status).exports.clone_from(&exports);
        }
        self.member.exports = exports;
        let binds = loaded.binds.iter().filter_map(|(name, spec)| {
            let group = views.get(name)?;
            Some((name.clone(), Bind { group, spec }))
        });
        let binds = binds.collect();
        let inputs = Inputs {
            sys: &self.deps.sys,
            pkg: &loaded.pkg,
            cfg: &cfg,
            me: self.deps.me,
            svc: &svc,
            binds: &binds,
            uses: loaded.templates.uses(),
        };
        let context = context(&inputs);
        let hash = context_hash(&context);
        // A revision that changes no value is rendered, too: whoever applied it waits until this member goes by it.
        let revision = self.config.revision().map(str::to_owned);
        let changed = hash != self.context_hash || revision != self.context_revision || self.context.is_err();
        self.context_hash = hash;
        self.context_revision = revision;
        self.context = Ok(Arc::new(context));
        changed
    }

    fn known_config(&self, loaded: &Loaded) -> Result<Table, String> {
        let wanted = self.standing.goes_by().and_then(|target| target.config.as_ref());
        if let Some(revision) = wanted.filter(|_| self.in_force.is_none()) {
            return Err(format!("the config {revision}, which the service goes by, is not known here yet"));
        }
        self.config.effective(&loaded.plan)
    }

    /// While this member holds the lease, its process ends with it, whatever the process was told so far: it must not
    /// lead for a moment without that.
    pub(super) fn arm_switch(&self) {
        if let (Some(switch), Some(until)) = (&self.switch, self.lease.until()) {
            switch.arm(until);
        }
    }

    pub(super) fn plan_loaded(&mut self, loaded: Result<Arc<Loaded>, Unusable>, user: Result<String, String>) {
        self.stale = true;
        match loaded {
            Ok(loaded) => {
                self.config = Config::new(loaded.environment.clone());
                self.loaded = Some(Arc::clone(&loaded));
                self.user_read(user);
                self.watch_user();
                for warning in &loaded.warnings {
                    tracing::warn!(service = %self.spec.service, warning, "the service does not run as its plan says");
                }
                self.tell(Event::PlanRead(loaded.settings.clone()));
            }
            Err(Unusable::Missing(release)) => self.tell(Event::ReleaseMissing(release)),
            Err(Unusable::Broken(why)) => {
                tracing::warn!(service = %self.spec.service, why, "the plan cannot be used");
                self.tell(Event::PlanFailed(why));
            }
        }
    }

    fn watch_user(&mut self) {
        if self.user_watch.is_some() {
            return;
        }
        match FileWatch::new(&self.user_toml) {
            Ok(watch) => {
                self.user_watch = Some(watch);
                // It may have changed between being read and being watched.
                self.read_user();
            }
            Err(error) => {
                let file = self.user_toml.display();
                tracing::warn!(service = %self.spec.service, %file, %error, "changes of the file will not be seen");
            }
        }
    }

    pub(super) fn read_user(&mut self) {
        let (file, report) = (self.user_toml.clone(), self.report.clone());
        self.beside(async move {
            let read = tokio::task::spawn_blocking(move || read_user(&file)).await;
            if let Ok(user) = read {
                report.send(Report::User(user)).await.ok();
            }
        });
    }

    pub(super) fn user_read(&mut self, user: Result<String, String>) {
        let Some(loaded) = self.loaded.clone() else { return };
        self.stale = true;
        let file = self.user_toml.display().to_string();
        match user {
            Ok(text) => self.config.set_user(&file, &text, &loaded.plan),
            Err(why) => self.config.user_unreadable(why),
        }
        for problem in self.config.problems() {
            tracing::warn!(service = %self.spec.service, problem, "the config keeps its previous value");
        }
    }

    pub(super) fn found(&mut self, client: Option<Client>, applied: Option<Applied>) {
        self.unreachable = None;
        self.stale = true;
        match client {
            Some(client) => {
                let (pid, since) = (client.pid(), client.started_at());
                tracing::info!(service = %self.spec.service, pid, "adopted the running process");
                self.hold(client);
                self.tell(Event::Adopted { pid, since: Wall(since.0), applied });
            }
            None => self.tell(Event::NothingToAdopt),
        }
    }

    /// A process is there: waits for its end, and holds its switch.
    pub(super) fn hold(&mut self, client: Client) {
        let written = write_pid(&self.paths, client.pid());
        self.complain("cannot write the file with the process id", written);
        self.switch = Some(Switch::new(client.clone()));
        self.arm_switch();
        let (held, report, logs) = (client.clone(), self.report.clone(), self.paths.logs.clone());
        self.client = Some(client);
        self.beside(async move {
            let exit = held.wait().await;
            let started = Wall(held.started_at().0);
            let words = tokio::task::spawn_blocking(move || last_words(&logs, started)).await;
            let last_words = words.unwrap_or_default();
            // Its exit is known: the shim may go. One that is gone already needs no telling.
            held.forget().await.ok();
            report.send(Report::Exited { pid: held.pid(), exit, last_words }).await.ok();
        });
    }
}

/// Whether another member could take the leader's seat.
fn successor(view: &GroupView, me: NodeId) -> Successor {
    let stands = |(id, member): (&NodeId, &MemberView)| {
        *id != me && member.node.liveness == Liveness::Alive && member.status.eligible
    };
    if view.members.iter().any(stands) { Successor::Ready } else { Successor::None }
}

/// The text of `user.toml`; empty if there is none. Blocks.
pub(super) fn read_user(file: &Path) -> Result<String, String> {
    let in_words = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
    let open = match std::fs::File::open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(in_words(error)),
    };
    let mut text = String::new();
    // One byte more than is allowed is enough to be refused.
    open.take(CONFIG_BYTES as u64 + 1).read_to_string(&mut text).map_err(in_words)?;
    Ok(text)
}
