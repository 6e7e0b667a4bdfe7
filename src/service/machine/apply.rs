//! What a running process is told when something changed.

use super::ending::Then;
use super::event::{Action, Applied, Blame, HookEnd, Role, Told};
use super::{Gate, Machine, Phase, RETRY_MIN, Remedy, Timer, Trouble};
use crate::base::Now;
use crate::plan::HookName;
use crate::service::handle::RingState;

/// How far a change has got. One at a time; what changes meanwhile is taken up, all at once, when it is through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Apply {
    /// No change is under way.
    Idle,
    /// The files are being rendered.
    Rendering,
    /// `reconfigure` runs, to bring the process to this.
    Reconfiguring(Applied),
    /// The same, and the hook was killed for something newer: what it has done so far nobody knows.
    Cancelled(Applied),
}

/// What a difference asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Reconfigure,
    Restart(&'static str),
}

impl Machine {
    pub(super) fn context_changed(&mut self) {
        self.dirty = true;
        self.try_again();
    }

    /// Renders for a service that could not be rendered before. It stays failed until that succeeds: templates see this
    /// member's own state, and to leave it for the try would be the next change to try for.
    fn try_again(&mut self) {
        if self.phase == Phase::Failed(Remedy::NewContext) && self.dirty && self.apply == Apply::Idle {
            self.dirty = false;
            self.apply = Apply::Rendering;
            self.actions.push(Action::Render);
        }
    }

    /// Renders if something has changed and a process is there that could be told of it.
    pub(super) fn go_on_applying(&mut self) {
        let runs = matches!(self.phase, Phase::Starting | Phase::Up);
        if !runs || !self.dirty || self.apply != Apply::Idle || !self.may_render() {
            return;
        }
        self.dirty = false;
        self.apply = Apply::Rendering;
        self.actions.push(Action::Render);
    }

    fn may_render(&mut self) -> bool {
        let known = self.ring == RingState::Ready
            && self.unmet_binds.is_empty()
            && !matches!(self.role, Role::Leaderless(_))
            && !self.troubles.contains_key(&Trouble::Plan);
        self.settled = self.settled || known;
        self.settled
    }

    pub(super) fn rendered(&mut self, rendered: Applied, now: Now) {
        self.troubles.remove(&Trouble::Render);
        match self.phase {
            Phase::Preparing => self.prepared(rendered, now),
            Phase::Starting | Phase::Up if self.apply == Apply::Rendering => self.compare(rendered, now),
            Phase::Failed(Remedy::NewContext) if self.apply == Apply::Rendering => {
                self.apply = Apply::Idle;
                self.enter(Phase::Waiting(Gate::Ring), String::new(), now);
            }
            // It ended meanwhile; the next start renders anew.
            _ => {}
        }
    }

    pub(super) fn render_failed(&mut self, why: String, now: Now) {
        match self.phase {
            Phase::Preparing => self.not_prepared(why, now),
            Phase::Starting | Phase::Up if self.apply == Apply::Rendering => {
                self.apply = Apply::Idle;
                self.turn_failed(why.as_str(), Blame::Nothing);
                self.troubles.insert(Trouble::Render, why);
                // It may have been the disk, which says nothing when there is room again.
                self.arm_retry(Timer::Apply, now);
            }
            Phase::Failed(Remedy::NewContext) if self.apply == Apply::Rendering => {
                self.apply = Apply::Idle;
                self.turn_failed(why.as_str(), Blame::Nothing);
                self.why = why;
                self.arm_retry(Timer::Apply, now);
                self.try_again();
            }
            _ => {}
        }
    }

    fn compare(&mut self, rendered: Applied, now: Now) {
        match self.change(&rendered) {
            Change::Nothing => self.applied(rendered),
            Change::Reconfigure => {
                self.apply = Apply::Reconfiguring(rendered);
                self.run_hook(HookName::Reconfigure);
            }
            Change::Restart(why) => {
                self.end(Then::Again(self.seat_after_stop()), why.to_owned(), now);
                self.backoff.reset();
            }
        }
    }

    fn change(&self, rendered: &Applied) -> Change {
        let Some(applied) = &self.applied else {
            // An adopted process of which nothing is known: telling it again harms nothing, restarting it might.
            return if self.has(HookName::Reconfigure) { Change::Reconfigure } else { Change::Nothing };
        };
        let told = applied.told != rendered.told;
        if applied.run != rendered.run {
            Change::Restart("restarting: the text of run, init or post-run has changed")
        } else if self.has(HookName::Reconfigure) {
            let same = !told && applied.config == rendered.config && applied.reconfigure == rendered.reconfigure;
            if same { Change::Nothing } else { Change::Reconfigure }
        } else if applied.config != rendered.config {
            Change::Restart("restarting: its config has changed, and the plan has no reconfigure hook")
        } else if told {
            Change::Restart("restarting: its role has changed, and the plan has no reconfigure hook")
        } else {
            Change::Nothing
        }
    }

    /// The process goes by this now.
    fn applied(&mut self, applied: Applied) {
        self.apply = Apply::Idle;
        self.retry = RETRY_MIN;
        self.timers.remove(&Timer::Apply);
        if self.applied.as_ref() != Some(&applied) {
            self.actions.push(Action::Remember(applied.clone()));
        }
        // Only now may the switch be released: until the process has let go, the shim stops it when the lease ends.
        if applied.told == Told::Follows && self.role.told() == Told::Follows {
            self.actions.push(Action::ReleaseSwitch);
        }
        self.applied = Some(applied);
    }

    pub(super) fn reconfigured(&mut self, end: HookEnd, now: Now) {
        let to = match self.apply.clone() {
            Apply::Reconfiguring(to) => to,
            Apply::Cancelled(to) => {
                self.apply = Apply::Idle;
                return self.not_reconfigured(to, now);
            }
            Apply::Idle | Apply::Rendering => return,
        };
        // What it does may show in its health.
        if self.health.is_some() {
            self.timers.insert(Timer::Health, now.mono);
        }
        match end {
            HookEnd::Done => {
                self.troubles.remove(&Trouble::Reconfigure);
                self.applied(to);
            }
            HookEnd::Failed(how) => {
                let why = format!("the reconfigure hook {how}");
                self.turn_failed(why.as_str(), Blame::Hook(HookName::Reconfigure));
                self.troubles.insert(Trouble::Reconfigure, why);
                self.apply = Apply::Idle;
                self.not_reconfigured(to, now);
            }
        }
    }

    /// A config that a process would not take is not offered to it again until it changes. Its role is.
    fn not_reconfigured(&mut self, to: Applied, now: Now) {
        let Some(applied) = self.applied.as_mut() else { return };
        let told = applied.told;
        if told != to.told {
            self.arm_retry(Timer::Apply, now);
        }
        let applied = Applied { told, ..to };
        self.actions.push(Action::Remember(applied.clone()));
        self.applied = Some(applied);
    }
}
