//! From views, lease and config to what the machine is told and what templates see.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::super::config::Config;
use super::super::ground::write_pid;
use super::super::handle::RingState;
use super::super::load::Loaded;
use super::super::machine::{Applied, Event};
use super::super::process::{Switch, last_words};
use super::super::view::{own, role, unmet};
use super::super::watch::FileWatch;
use super::{Driver, Report};
use crate::base::limits::CONFIG_BYTES;
use crate::base::{Name, Wall};
use crate::census::GroupView;
use crate::records::value::DesiredState;
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
        if let Some(loaded) = self.loaded.clone() {
            let config = view.config.as_ref();
            let revision = config.map(|config| config.revision.as_str());
            self.config.set_group(revision, config.map_or("", |config| &config.toml), &loaded.plan);
            unmet_binds = unmet(&loaded.required, &binds);
            self.told = role.told();
            changed = self.set_context(&loaded, seen, &binds);
        }
        // A view without this very member is not one to render: it is about to change.
        let known = ring == RingState::Ready && view.members.contains_key(&self.deps.me);
        let desired = view.desired.as_ref().map_or(DesiredState::Up, |desired| desired.state);
        self.tell(Event::GroupDesired(desired));
        self.tell(Event::Binds(unmet_binds));
        self.tell(Event::Role(role));
        if changed {
            self.tell(Event::ContextChanged);
        }
        self.tell(Event::Ring(if known { RingState::Ready } else { RingState::Joining }));
    }

    /// Makes the context anew, and says whether it is another one.
    fn set_context(&mut self, loaded: &Loaded, mut svc: GroupView, views: &BTreeMap<Name, Arc<GroupView>>) -> bool {
        let cfg = match self.config.effective(&loaded.plan) {
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
        let inputs =
            Inputs { sys: &self.deps.sys, pkg: &loaded.pkg, cfg: &cfg, me: self.deps.me, svc: &svc, binds: &binds };
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

    /// While this member holds the lease, its process ends with it, whatever the process was told so far: it must not
    /// lead for a moment without that.
    pub(super) fn arm_switch(&self) {
        if let (Some(switch), Some(until)) = (&self.switch, self.lease.until()) {
            switch.arm(until);
        }
    }

    pub(super) fn plan_loaded(&mut self, loaded: Result<Arc<Loaded>, String>, user: Result<String, String>) {
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
            Err(why) => {
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
            let last_words = words.ok().flatten();
            // Its exit is known: the shim may go. One that is gone already needs no telling.
            held.forget().await.ok();
            report.send(Report::Exited { pid: held.pid(), exit, last_words }).await.ok();
        });
    }
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
