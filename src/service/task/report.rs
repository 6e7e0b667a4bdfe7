//! From all of it to the status.

use std::sync::Arc;
use std::time::Duration;

use super::super::health::Verdict;
use super::super::hook::HookRun;
use super::super::status::{HookReport, ServiceStatus};
use super::Driver;
use crate::plan::HookName;
use crate::records::value::{Health, MemberStatus, ServiceState};

impl Driver {
    /// Tells the status, if it has changed.
    pub(super) fn publish(&mut self) {
        let told = self.machine.snapshot();
        // A process goes by a revision once its reconfigure hook has ended well; what does not run yet will start with
        // what was rendered last.
        if told.applied || told.pid.is_none() {
            self.revision.clone_from(&self.rendered_revision);
        }
        let mut problems = told.problems;
        problems.extend(self.unreachable.clone());
        problems.extend(self.files.problem());
        problems.extend(self.config.problems().map(str::to_owned));
        problems.extend(self.loaded.iter().flat_map(|loaded| loaded.warnings.clone()));
        // A problem may show the place in its file in lines of its own; why is for tables and for the ring.
        let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        let why = match told.why.as_str() {
            "" => problems.iter().map(|problem| first_line(problem)).collect::<Vec<_>>().join("; "),
            why => first_line(why),
        };
        let loaded = self.loaded.as_ref();
        let member = MemberStatus {
            topology: self.spec.topology,
            strategy: self.spec.strategy,
            state: told.state,
            why,
            health: told.health,
            eligible: told.eligible,
            suitability: told.suitability,
            ident: loaded.map(|loaded| loaded.plan.ident()).unwrap_or_default(),
            release: loaded.map(|loaded| loaded.shown_release()).unwrap_or_default(),
            config_revision: self.revision.clone(),
            files_revision: self.files.placed(),
            pid: told.pid,
            since: told.since,
            restarts: told.restarts,
            exports: self.member.exports.clone(),
            paths: self.paths.to_map(),
            target: told.target,
            turn: told.turn.or_else(|| self.standing.turn.clone()),
        };
        self.log_change(&member);
        if member != self.member {
            // Templates show this member's own status, too.
            self.stale = true;
        }
        self.member = member.clone();
        let status = ServiceStatus {
            spec: Arc::clone(&self.spec),
            member,
            launches: told.launches,
            problems,
            hooks: self.hook_reports.clone(),
            files: self.rendered.as_ref().map(|rendered| rendered.files.clone()).unwrap_or_default(),
            unloaded: self.machine.is_unloaded(),
        };
        self.publish.send_if_modified(|last| {
            if **last == status {
                return false;
            }
            *last = Arc::new(status);
            true
        });
    }

    fn log_change(&self, member: &MemberStatus) {
        let (service, why, pid) = (&self.spec.service, member.why.as_str(), member.pid);
        if member.state != self.member.state {
            let state = word(member.state);
            match member.state {
                ServiceState::Backoff | ServiceState::Failed => {
                    tracing::warn!(%service, state, why, "service state changed");
                }
                _ => tracing::info!(%service, state, why, pid, "service state changed"),
            }
        }
        if member.health != self.member.health && member.health != Health::Unknown {
            let health = format!("{:?}", member.health).to_lowercase();
            tracing::info!(%service, health, why, "service health changed");
        }
    }

    pub(super) fn keep_report(&mut self, hook: HookName, run: &HookRun) {
        let report = HookReport {
            at: self.now().wall,
            took_ms: millis(run.took),
            outcome: run.outcome.to_string(),
            output: run.output.text().to_owned(),
        };
        self.keep(hook, report);
    }

    pub(super) fn keep_verdict(&mut self, verdict: &Verdict, took: Duration) {
        let health = format!("{:?}", verdict.health).to_lowercase();
        let outcome = if verdict.said.is_empty() { health } else { format!("{health}: {}", verdict.said) };
        let report = HookReport { at: self.now().wall, took_ms: millis(took), outcome, output: verdict.output.clone() };
        self.keep(HookName::HealthCheck, report);
    }

    /// Keeps a report. What runs at an interval and says the same as before is neither logged nor told again: the
    /// status would change with every check.
    fn keep(&mut self, hook: HookName, report: HookReport) {
        let repeats = matches!(hook, HookName::HealthCheck | HookName::Suitability);
        let last = self.hook_reports.get(hook.as_str());
        if repeats && last.is_some_and(|last| (&last.outcome, &last.output) == (&report.outcome, &report.output)) {
            return;
        }
        if repeats {
            self.log.line(hook, &report.outcome);
            for line in
                report.output.lines().rev().take(super::super::output::TOLD_LINES).collect::<Vec<_>>().iter().rev()
            {
                self.log.line(hook, line);
            }
        }
        self.hook_reports.insert(hook.as_str().to_owned(), report);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::WaitingForRing => "waiting-for-ring",
        ServiceState::WaitingForBinds => "waiting-for-binds",
        ServiceState::WaitingForLeader => "waiting-for-leader",
        ServiceState::Initializing => "initializing",
        ServiceState::Starting => "starting",
        ServiceState::Up => "up",
        ServiceState::Stopping => "stopping",
        ServiceState::Down => "down",
        ServiceState::Backoff => "backoff",
        ServiceState::Failed => "failed",
        ServiceState::Loaded => "loaded",
    }
}
