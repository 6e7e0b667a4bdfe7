//! What the member goes by, and how its turns end, to the disk.

use super::super::machine::{Blame, Event};
use super::super::standing::{Attempt, Standing};
use super::Driver;
use crate::census::Turn;
use crate::plan::HookName;
use crate::records::value::{Target, TurnPhase, TurnReport};

impl Driver {
    /// Has a target written down, to go by it then.
    pub(super) fn accept(&mut self, target: Target, turn: Option<Turn>) {
        match turn {
            Some(Turn { rollout, number, .. }) => {
                self.written.attempt = Some(Attempt { target, rollout, turn: number });
            }
            None => {
                self.written.target = Some(target);
                self.written.attempt = None;
            }
        }
        if let Err(why) = self.keeper.keep(self.written.clone()) {
            self.not_accepted(why);
        }
    }

    fn not_accepted(&mut self, why: String) {
        self.written.target.clone_from(&self.standing.target);
        self.written.attempt.clone_from(&self.standing.attempt);
        self.tell(Event::NotAccepted(why));
    }

    /// Where the member stands is on the disk, or is not.
    pub(super) fn kept(&mut self, standing: Standing, kept: Result<(), String>) {
        // A text that differs in its turn only is for the next task: this one knows how its turns ended.
        let is_new = standing.goes_by() != self.standing.goes_by();
        if let Err(why) = kept {
            if is_new {
                return self.not_accepted(why);
            }
            return tracing::warn!(service = %self.spec.service, why, "the end of a turn is not on the disk");
        }
        let Standing { target, attempt, .. } = standing;
        self.standing.target = target;
        self.standing.attempt = attempt;
        if is_new {
            // Its config comes first, since the machine may begin to render at once; what is wrong with that config is
            // told when the machine has begun.
            self.observe();
            self.stale = true;
        }
        if let Some(target) = self.standing.goes_by().cloned() {
            if is_new {
                let (release, config) = (target.release.map(|release| release.short()), &target.config);
                tracing::info!(service = %self.spec.service, release, config, state = ?target.state, "target accepted");
            }
            self.tell(Event::Accepted(target));
        }
    }

    pub(super) fn turn_ended(&mut self, report: TurnReport, blame: Blame) {
        let output = match (report.phase, blame) {
            (TurnPhase::Failed, Blame::Hook(hook)) => self.last_output(hook),
            (TurnPhase::Failed, Blame::Process) => self.last_words.clone(),
            (_, Blame::Nothing | Blame::Hook(_) | Blame::Process) => String::new(),
        };
        let report = TurnReport { output: tail(&output, TurnReport::OUTPUT_BYTES).to_owned(), ..report };
        let TurnReport { rollout, turn, phase, why, .. } = &report;
        match phase {
            TurnPhase::Failed => tracing::warn!(service = %self.spec.service, rollout, turn, why, "turn failed"),
            _ => tracing::info!(service = %self.spec.service, rollout, turn, "turn done"),
        }
        if phase == &TurnPhase::Done
            && let Some(attempt) = self.written.attempt.take()
        {
            self.written.target = Some(attempt.target);
        }
        self.standing.turn = Some(report.clone());
        self.written.turn = Some(report);
        if let Err(why) = self.keeper.keep(self.written.clone()) {
            tracing::warn!(service = %self.spec.service, why, "the end of a turn is not on the disk");
        }
    }

    fn last_output(&self, hook: HookName) -> String {
        self.hook_reports.get(hook.as_str()).map(|report| report.output.clone()).unwrap_or_default()
    }
}

/// The end of a text, in whole characters.
fn tail(text: &str, bytes: usize) -> &str {
    let mut begin = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    &text[begin..]
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_end_of_an_output_is_kept_to_the_byte_and_never_cuts_a_character() {
        assert_eq!(tail("abc", 3), "abc");
        assert_eq!(tail("abcd", 3), "bcd");
        assert_eq!(tail("aüb", 2), "b");
        assert_eq!(tail("aüb", 3), "üb");
    }
}
