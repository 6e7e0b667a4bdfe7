//! From actions to tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::health::{Check, check};
use super::super::hook::{HookCommand, HookRun, Program, run};
use super::super::load::{self, Loaded, Unusable, explain};
use super::super::machine::{Action, Applied, Event, Told};
use super::super::process::{launch_spec, stop_spec};
use super::super::standing::Standing;
use super::super::{ground, render};
use super::files::START_PATIENCE;
use super::observe::read_user;
use super::{Driver, Report};
use crate::base::{Hash, Mono, NodeId};
use crate::plan::{HealthCheck, HookName};
use crate::shim::{Client, StopSpec};

/// How soon a shim that cannot be spoken to is tried again.
const FIND_AGAIN: Duration = Duration::from_secs(1);

impl Driver {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Load(release) => self.load(release),
            Action::Fetch(release) => self.fetch(release),
            Action::Accept(target, turn) => self.accept(target, turn),
            Action::EndTurn { report, blame } => self.turn_ended(report, blame),
            Action::Render => self.render(),
            Action::RunHook(hook) => self.run_hook(hook),
            Action::CancelHook(hook) => {
                if let Some(cancel) = self.cancels.get(&hook) {
                    cancel.cancel();
                }
            }
            Action::Launch(applied) => self.launch(&applied),
            Action::StopProcess => self.stop_process(),
            Action::Remember(applied) => self.remember(applied),
            Action::ReleaseSwitch => {
                if let Some(switch) = self.switch.as_ref().filter(|_| self.lease.leads(self.now().mono).is_none()) {
                    switch.release();
                }
            }
            Action::CheckHealth => self.check_health(),
            Action::MeasureSuitability => self.measure_suitability(),
            Action::RememberInstallation => {
                let kept = self.loaded.as_ref().map_or(Ok(()), |loaded| load::remember_installation(loaded));
                self.complain("cannot remember that the service is installed", kept);
            }
            Action::ForgetInstallation => {
                let forgotten = load::forget_installation(&self.paths);
                self.complain("cannot forget that the service was installed", forgotten);
                let forgotten = Standing::forget(&self.paths);
                self.complain("cannot forget what the service was to be", forgotten);
            }
            // The loop sees that the machine has ended.
            Action::End => {}
        }
    }

    pub(super) fn complain(&self, what: &str, done: std::io::Result<()>) {
        if let Err(error) = done {
            tracing::warn!(service = %self.spec.service, %error, what);
        }
    }

    fn load(&mut self, release: Option<Hash>) {
        let (spec, paths, releases) = (Arc::clone(&self.spec), self.paths.clone(), Arc::clone(&self.deps.releases));
        let (user_toml, report) = (self.user_toml.clone(), self.report.clone());
        self.beside(async move {
            let socket = ground::shim_socket(&paths);
            let loading = spawn_blocking(move || {
                let loaded = load::load(&spec, release, releases.as_ref(), &paths);
                (loaded, read_user(&user_toml), render::recall(&paths))
            });
            let (loaded, user, applied) = loading
                .await
                .unwrap_or_else(|error| (Err(Unusable::Broken(internal(&error))), Ok(String::new()), None));
            report.send(Report::Loaded { loaded, user }).await.ok();
            let client = loop {
                match Client::adopt(&socket).await {
                    Ok(client) => break client,
                    Err(error) => {
                        // Starting a second process beside one that may run would be worse than waiting.
                        report.send(Report::NotYetFound(explain(&error))).await.ok();
                        sleep(FIND_AGAIN).await;
                    }
                }
            };
            report.send(Report::Found { client, applied }).await.ok();
        });
    }

    /// Gets a release. Nobody waits for an earlier one any more.
    fn fetch(&mut self, release: Hash) {
        if let Some(earlier) = self.fetching.take() {
            earlier.abort();
        }
        let (releases, report) = (Arc::clone(&self.deps.releases), self.report.clone());
        self.fetching = Some(self.tasks.spawn(async move {
            let outcome = releases.fetch(release).await;
            report.send(Report::Fetched { release, outcome }).await.ok();
        }));
    }

    fn render(&mut self) {
        self.newest.render += 1;
        let id = self.newest.render;
        let (Some(loaded), Ok(context)) = (self.loaded.clone(), self.context.clone()) else {
            let why = self.context.as_ref().err().cloned().unwrap_or_default();
            return self.tell(Event::RenderFailed(why));
        };
        let (told, report) = (self.told, self.report.clone());
        let revision = self.config.revision().map(str::to_owned);
        // Two renderings never write at once: the earlier one ends before its lock is had.
        let lock = Arc::clone(&self.writing);
        // What is about to start finds the uploaded files in place. What runs does not wait for them.
        let mut files = self.client.is_none().then(|| self.files.trouble());
        self.beside(async move {
            if let Some(files) = &mut files
                && timeout(START_PATIENCE, files.wait_for(Option::is_none)).await.is_err()
            {
                let why = files.borrow().clone().unwrap_or_default();
                report.send(Report::Rendered { id, rendered: Err(why) }).await.ok();
                return;
            }
            let guard = lock.lock_owned().await;
            let rendering = spawn_blocking(move || {
                let rendered = render::render(&loaded, revision, &context, told);
                drop(guard);
                rendered
            });
            let rendered = rendering.await.unwrap_or_else(|error| Err(internal(&error)));
            report.send(Report::Rendered { id, rendered }).await.ok();
        });
    }

    fn run_hook(&mut self, hook: HookName) {
        let cancel = CancellationToken::new();
        self.cancels.insert(hook, cancel.clone());
        let armed = match (hook, self.process_told()) {
            (HookName::Reconfigure, Told::Leads(_)) => self.switch.as_ref().map(super::Switch::armed),
            _ => None,
        };
        let Some(job) = self.job(hook) else { return };
        let (log, report) = (self.log.clone(), self.report.clone());
        self.beside(async move {
            let is_safe = match armed {
                Some(armed) => armed.await,
                None => true,
            };
            let run = if is_safe {
                job.run(&cancel, |line| log.line(hook, line)).await
            } else {
                HookRun::not_started("the shim does not know when the lease ends")
            };
            log.line(hook, &run.outcome.to_string());
            report.send(Report::HookEnded { hook, run }).await.ok();
        });
    }

    fn measure_suitability(&mut self) {
        let has_hook =
            self.loaded.as_ref().is_some_and(|loaded| loaded.plan.hooks.contains_key(&HookName::Suitability));
        let Some(job) = self.job(HookName::Suitability).filter(|_| has_hook) else {
            return self.tell(Event::Suitability(0));
        };
        let report = self.report.clone();
        self.beside(async move {
            let run = job.run(&CancellationToken::new(), |_| {}).await;
            report.send(Report::Suitability(run)).await.ok();
        });
    }

    fn check_health(&mut self) {
        self.newest.check += 1;
        let id = self.newest.check;
        let (Some(job), Some(loaded)) = (self.job(HookName::HealthCheck), self.loaded.clone()) else { return };
        let report = self.report.clone();
        self.beside(async move {
            let begun = Instant::now();
            let verdict = match job.check() {
                Ok(asked) => check(&asked, loaded.plan.manifest.health.timeout).await,
                Err(why) => super::Verdict::unknown(why),
            };
            report.send(Report::Checked { id, verdict, took: begun.elapsed() }).await.ok();
        });
    }

    fn launch(&mut self, applied: &Applied) {
        let (Some(loaded), Some(rendered)) = (self.loaded.clone(), self.rendered.clone()) else {
            return self.tell(Event::LaunchFailed("nothing is rendered".to_owned()));
        };
        let leads = matches!(applied.told, Told::Leads(_));
        let lease = match self.lease.until() {
            None if leads => Some(Mono(0)),
            until => until,
        };
        let env = self.environment(&loaded, &rendered.env);
        let spec = launch_spec(&self.spec.group_id(), &loaded, rendered.run.clone(), env, lease);
        let (report, program) = (self.report.clone(), self.shim.clone());
        self.beside(async move {
            let launched = Client::launch_with(&program, &spec).await.map_err(|error| explain(&error));
            report.send(Report::Launched(launched)).await.ok();
        });
    }

    fn stop_process(&mut self) {
        let Some(client) = self.client.clone() else { return };
        let how = self.loaded.as_ref().map_or_else(StopSpec::default, |loaded| stop_spec(loaded));
        let service = self.spec.service.clone();
        self.beside(async move {
            // Gone already is what was wanted; the wait for it tells. A shim that does not answer may do so later.
            let mut patience = 0;
            while let Err(error) = client.stop(&how).await {
                patience += 1;
                tracing::warn!(%service, error = explain(&error), "the process could not be asked to stop");
                if matches!(error, crate::shim::ClientError::Gone) || patience == 10 {
                    return;
                }
                sleep(FIND_AGAIN).await;
            }
        });
    }

    fn remember(&mut self, applied: Applied) {
        let (paths, service) = (self.paths.clone(), self.spec.service.clone());
        let lock = Arc::clone(&self.writing);
        self.beside(async move {
            let guard = lock.lock_owned().await;
            let kept = spawn_blocking(move || {
                let kept = render::remember(&paths, &applied);
                drop(guard);
                kept
            });
            if let Ok(Err(error)) = kept.await {
                tracing::warn!(%service, %error, "cannot keep what the process goes by");
            }
        });
    }

    /// The role that the files on the disk are for.
    fn process_told(&self) -> Told {
        self.rendered.as_ref().map_or(Told::Follows, |rendered| rendered.applied.told)
    }

    /// The whole environment of a process or a hook of the service.
    fn environment(&self, loaded: &Loaded, plan: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut env = loaded.account.environment(&self.paths);
        env.extend(plan.clone());
        env.extend(self.own_environment(loaded));
        env
    }

    fn own_environment(&self, loaded: &Loaded) -> BTreeMap<String, String> {
        let told = self.process_told();
        let term = match told {
            Told::Leads(term) => Some(term),
            Told::Follows => self.deps.group.borrow().leader.map(|seat| seat.term),
        };
        let me: NodeId = self.deps.me;
        let mut env = BTreeMap::from([
            ("SUP_SERVICE".to_owned(), self.spec.service.to_string()),
            ("SUP_GROUP".to_owned(), self.spec.group.to_string()),
            ("SUP_MEMBER_ID".to_owned(), me.to_string()),
            ("SUP_RELEASE".to_owned(), loaded.plan.release.to_string()),
            ("SUP_IS_LEADER".to_owned(), matches!(told, Told::Leads(_)).to_string()),
            ("SUP_LEADER_TERM".to_owned(), term.unwrap_or_default().to_string()),
            ("SUP_BIN".to_owned(), self.deps.sup_bin.display().to_string()),
        ]);
        if let Some(client) = &self.client {
            env.insert("SUP_PID".to_owned(), client.pid().to_string());
        }
        env
    }

    /// A hook, ready to be run; none before the plan is read, when no hook is ever asked for.
    pub(super) fn job(&self, hook: HookName) -> Option<Job> {
        let loaded = self.loaded.clone()?;
        let rendered = match hook {
            // These run while the rest cannot be rendered: before binds are met, before a leader is known.
            HookName::Install | HookName::Uninstall | HookName::Suitability => None,
            _ => self.rendered.clone(),
        };
        let base = self.environment(&loaded, &BTreeMap::new());
        Some(Job { hook, loaded, rendered, context: self.context.clone(), base })
    }
}

/// A task panicked: a bug, which ends as an error of the service instead of leaving it waiting. Or the runtime is
/// shutting down, and nobody will see this.
fn internal(error: &JoinError) -> String {
    format!("internal error, please report it: {error}")
}

/// A hook that is to be run.
pub(super) struct Job {
    hook: HookName,
    loaded: Arc<Loaded>,
    rendered: Option<Arc<render::Rendered>>,
    context: Result<Arc<serde_json::Value>, String>,
    /// The environment without the plan's own.
    base: BTreeMap<String, String>,
}

impl Job {
    /// The same, with one more variable in its environment.
    pub(super) fn with(mut self, variable: &str, value: String) -> Self {
        self.base.insert(variable.to_owned(), value);
        self
    }

    pub(super) async fn run(self, cancel: &CancellationToken, line: impl FnMut(&str)) -> HookRun {
        let prepared = spawn_blocking(move || self.prepare()).await;
        match prepared {
            Ok(Ok(command)) => run(&command, cancel, line).await,
            Ok(Err(why)) => HookRun::not_started(&why),
            Err(error) => HookRun::not_started(&internal(&error)),
        }
    }

    fn prepare(&self) -> Result<HookCommand, String> {
        if self.rendered.is_none() {
            let context = self.context.as_ref().map_err(Clone::clone)?;
            render::render_hook(&self.loaded, self.hook, context)?;
        }
        self.command(render::program(&self.loaded.paths, self.hook))
    }

    fn command(&self, program: Program) -> Result<HookCommand, String> {
        let plan = match &self.rendered {
            Some(rendered) => rendered.env.clone(),
            None => render::environment(&self.loaded, self.context.as_ref().map_err(Clone::clone)?)?,
        };
        let mut env = self.base.clone();
        for (name, value) in plan {
            // What the supervisor says of itself is not for a plan to change.
            if !name.starts_with("SUP_") {
                env.insert(name, value);
            }
        }
        Ok(HookCommand {
            program,
            env,
            cwd: self.loaded.paths.root.clone(),
            user: self.loaded.account.ids(),
            timeout: self.loaded.plan.manifest.hook_timeout(self.hook).unwrap_or(crate::plan::manifest::HOOK_TIMEOUT),
        })
    }

    fn check(&self) -> Result<Check, String> {
        let context = self.context.as_ref().map_err(Clone::clone)?;
        let fill = |what: &str, text: &str| {
            self.loaded.templates.render_str(what, text, context).map_err(|error| error.to_string())
        };
        match &self.loaded.plan.manifest.health.check {
            HealthCheck::None => Err("the plan has no health check".to_owned()),
            HealthCheck::Http(url) => Ok(Check::Http(fill("health.http", url)?)),
            HealthCheck::Tcp(address) => Ok(Check::Tcp(fill("health.tcp", address)?)),
            HealthCheck::Exec(line) => Ok(Check::Command(self.command(Program::Shell(fill("health.exec", line)?))?)),
            HealthCheck::Hook => {
                Ok(Check::Command(self.command(render::program(&self.loaded.paths, HookName::HealthCheck))?))
            }
        }
    }
}
