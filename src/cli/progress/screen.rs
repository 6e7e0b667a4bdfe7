//! How a rollout stands, drawn over itself on a terminal.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::lines::change;
use super::verdict::serving_total;
use crate::api::shape::{MemberProgress, MemberState, RolloutMember, RolloutReport, phase_word, status_word};
use crate::base::NodeId;
use crate::cli::out::{Out, Tone};
use crate::records::value::{RolloutStatus, TurnKind, TurnPhase};

/// Width of a terminal that does not say.
const WIDTH: usize = 80;
/// Width of the bar.
const BAR: usize = 30;
/// How many members are shown on a line of their own, of each kind.
const SHOWN: usize = 6;

/// A picture of a rollout.
#[derive(Debug, Default)]
pub(super) struct Screen {
    report: Option<RolloutReport>,
    missing: String,
    /// Since when each member is in its phase, as seen from here: the members' clocks may be others.
    phases: BTreeMap<NodeId, (u64, TurnPhase, Instant)>,
    /// How many lines the last picture has.
    drawn: usize,
}

impl Screen {
    /// Takes in how it stands.
    pub(super) fn take(&mut self, report: &RolloutReport, missing: &str) {
        let now = Instant::now();
        let before = std::mem::take(&mut self.phases);
        for member in &report.members {
            let Some(turn) = &member.turn else { continue };
            let since = match before.get(&member.node_id) {
                Some((number, phase, since)) if (*number, *phase) == (turn.number, turn.phase) => *since,
                Some(_) | None => now,
            };
            self.phases.insert(member.node_id, (turn.number, turn.phase, since));
        }
        self.report = Some(report.clone());
        missing.clone_into(&mut self.missing);
    }

    /// Draws it over the last picture.
    pub(super) fn draw(&mut self, out: &mut Out<'_>, elapsed: Duration) -> io::Result<()> {
        let Some(report) = &self.report else { return Ok(()) };
        let width = crossterm::terminal::size().map_or(WIDTH, |(columns, _)| usize::from(columns).max(20));
        let phases = |member: &RolloutMember| self.phases.get(&member.node_id).map(|(_, _, since)| since.elapsed());
        let lines = picture(report, &self.missing, elapsed, phases);
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        text.push_str("\r\x1b[J");
        for (tone, line) in &lines {
            // A line that wraps would not be drawn over.
            let cut: String = line.chars().take(width.saturating_sub(1)).collect();
            text.push_str(&out.paint(*tone, &cut));
            text.push('\n');
        }
        self.drawn = lines.len();
        out.notice_raw(&text)
    }

    /// Takes it away: what came of it is said in words.
    pub(super) fn leave(&mut self, out: &mut Out<'_>) -> io::Result<()> {
        if self.drawn == 0 {
            return Ok(());
        }
        let text = format!("\x1b[{}A\r\x1b[J", self.drawn);
        self.drawn = 0;
        out.notice_raw(&text)
    }
}

/// The lines of the picture.
fn picture(
    report: &RolloutReport,
    missing: &str,
    elapsed: Duration,
    in_phase_for: impl Fn(&RolloutMember) -> Option<Duration>,
) -> Vec<(Tone, String)> {
    let (done, total, _) = serving_total(report);
    let mut lines = Vec::new();
    if let Some(rollout) = &report.rollout {
        let head = format!("{}  rollout {}: {}", report.group, rollout.id, change(rollout));
        lines.push((Tone::Plain, head));
        let (tone, status) = match rollout.status {
            RolloutStatus::Running | RolloutStatus::Done => (Tone::Good, ""),
            RolloutStatus::Paused | RolloutStatus::RollingBack => (Tone::Uneasy, status_word(rollout.status)),
            RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted => {
                (Tone::Bad, status_word(rollout.status))
            }
        };
        let status = if status.is_empty() { String::new() } else { format!("  {status}") };
        lines.push((tone, format!("{} {done}/{total} done  {}{status}", bar(done, total), clock(elapsed))));
    } else {
        lines.push((Tone::Plain, report.group.to_string()));
        lines.push((Tone::Plain, format!("{} {done}/{total} done  {}", bar(done, total), clock(elapsed))));
    }
    let of = |wanted: MemberProgress| report.members.iter().filter(move |member| member.progress == wanted);
    let in_turn: Vec<&RolloutMember> = of(MemberProgress::InTurn).collect();
    for member in in_turn.iter().take(SHOWN) {
        let Some(turn) = &member.turn else { continue };
        let back = if turn.kind == TurnKind::Forward { "" } else { "goes back, " };
        let long = in_phase_for(member).map(|long| format!(" {}", clock(long))).unwrap_or_default();
        let colon = if turn.why.is_empty() { "" } else { ": " };
        let phase = phase_word(turn.phase);
        lines.push((Tone::Plain, format!("  in turn  {}  {back}{phase}{long}{colon}{}", member.address, turn.why)));
    }
    if let Some(more @ 1..) = in_turn.len().checked_sub(SHOWN) {
        lines.push((Tone::Faint, format!("           and {more} more")));
    }
    let waiting: Vec<String> = of(MemberProgress::Waiting).map(name).collect();
    if !waiting.is_empty() {
        lines.push((Tone::Faint, format!("  waiting  {}: {}", waiting.len(), waiting.join(", "))));
    }
    for failure in report.rollout.iter().flat_map(|rollout| &rollout.failed).take(SHOWN) {
        let back = if failure.restored { " (it is back on what it was)" } else { "" };
        lines.push((Tone::Bad, format!("  failed   {}  {}{back}", failure.address, failure.reason)));
    }
    if in_turn.is_empty() && !missing.is_empty() {
        lines.push((Tone::Uneasy, format!("  {missing}")));
    }
    lines
}

fn name(member: &RolloutMember) -> String {
    let gone = !matches!(member.node_state, MemberState::Alive | MemberState::Suspect);
    match (gone, member.leader) {
        (true, _) => format!("{} ({})", member.address, member.node_state.as_str()),
        (false, true) => format!("{} (leader)", member.address),
        (false, false) => member.address.clone(),
    }
}

fn bar(done: usize, total: usize) -> String {
    let full = (BAR * done).checked_div(total).unwrap_or(BAR);
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

/// A time as on a stopwatch.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bar, clock, picture};
    use crate::api::fake::rolling;
    use crate::api::shape::RolloutReport;
    use crate::records::value::TurnPhase;

    fn shown(report: &RolloutReport, missing: &str) -> String {
        let lines = picture(report, missing, Duration::from_secs(72), |_| Some(Duration::from_secs(3)));
        lines.into_iter().map(|(_, line)| line + "\n").collect()
    }

    #[test]
    fn a_picture_says_who_is_done_in_turn_and_waits() {
        let expected = "\
redis.default  rollout 7: redis/7.0/abababababab -> redis/7.2/cdcdcdcdcdcd
[##########....................] 1/3 done  1m12s
  in turn  127.0.0.4:9638  verifying 3s
  waiting  1: 127.0.0.3:9638 (leader)
";
        assert_eq!(shown(&rolling::running(1, Some((2, TurnPhase::Verifying))), ""), expected);
    }

    #[test]
    fn a_picture_of_a_halt_says_who_failed_and_why() {
        let expected = "\
redis.default  rollout 7: redis/7.0/abababababab -> redis/7.2/cdcdcdcdcdcd
[##########....................] 1/3 done  1m12s  halted
  waiting  1: 127.0.0.4:9638
  failed   127.0.0.3:9638  the health check says critical after it was ok (it is back on what it was)
  a person has to say how to go on
";
        assert_eq!(shown(&rolling::halted(true), "a person has to say how to go on"), expected);
    }

    #[test]
    fn a_bar_is_empty_at_first_and_full_at_the_end() {
        assert_eq!(bar(0, 3), format!("[{}]", ".".repeat(30)));
        assert_eq!(bar(3, 3), format!("[{}]", "#".repeat(30)));
        assert_eq!(bar(0, 0), bar(1, 1));
    }

    #[test]
    fn time_is_shown_as_on_a_stopwatch() {
        for (seconds, shown) in [(0, "0s"), (59, "59s"), (60, "1m00s"), (3599, "59m59s"), (3660, "1h01m")] {
            assert_eq!(clock(Duration::from_secs(seconds)), shown);
        }
    }
}
