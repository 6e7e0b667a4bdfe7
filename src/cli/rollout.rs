//! `sup rollout`.

use std::io;
use std::time::Duration;

use super::act::did_you_mean;
use super::args::OrderArgs;
use super::failure::Outcome;
use super::out::{Out, Tone, member_tone};
use super::progress::{End, Since, Sought, Wants, follow, in_words, target_in_words};
use super::status::{age, now};
use super::table::{Cell, Table};
use super::update::{failed, later, members};
use super::watch::Watch;
use crate::api::ExitStatus;
use crate::api::client::Client;
use crate::api::shape::{
    MemberProgress, MemberState, Rollout, RolloutMember, RolloutOptions, RolloutReport, Target, order_word, phase_word,
    status_word,
};
use crate::base::{GroupId, Wall};
use crate::plan::period;
use crate::records::value::{OnFailure, OrderKind, RolloutStatus, Strategy};

pub(super) async fn status(client: &Client, out: &mut Out<'_>, group: &GroupId) -> Outcome {
    let report = match client.rollout(group).await {
        Ok(report) => report,
        Err(problem) => return Err(did_you_mean(client, &Target::Group(group.clone()), problem).await.into()),
    };
    out.result(&report, |out| print(&report, now(), out))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn order(client: &Client, out: &mut Out<'_>, what: OrderKind, args: &OrderArgs) -> Outcome {
    let group = &args.group;
    let mut watch = Watch::open(client, Some(group), args.patience.timeout).await?;
    let acted = match client.order(group, what).await {
        Ok(acted) => acted,
        Err(problem) => return Err(did_you_mean(client, &Target::Group(group.clone()), problem).await.into()),
    };
    if args.patience.no_wait {
        out.result(&acted, |out| out.line(format_args!("{group} is told to {} its rollout", order_word(what))))?;
        out.next(format_args!("sup rollout status {group}"))?;
        return Ok(ExitStatus::Done);
    }
    let wants = match what {
        OrderKind::Pause => Wants::Status(RolloutStatus::Paused),
        OrderKind::Abort => Wants::Status(RolloutStatus::Aborted),
        OrderKind::Resume | OrderKind::Retry => Wants::Forward,
        OrderKind::Rollback => Wants::Back,
    };
    let sought = Sought { since: Since::Obeyed(acted.asked), wants };
    match follow(client, out, &mut watch, group, &sought).await? {
        End::Interrupted => interrupted(out, group),
        End::Failed(report, problem) => failed(out, &report, problem),
        End::Done(report) => {
            out.result(&report, |out| out.line(ended(&report)))?;
            out.next(next(&report))?;
            Ok(ExitStatus::Done)
        }
    }
}

/// The person waits no longer.
pub(super) fn interrupted(out: &mut Out<'_>, group: &GroupId) -> Outcome {
    out.notice(format_args!("no longer waiting; the rollout of {group} goes on"))?;
    out.next(format_args!("sup rollout status {group}, sup rollout pause {group}, sup rollout abort {group}"))?;
    Ok(ExitStatus::Interrupted)
}

/// How a rollout stands once an order was obeyed.
fn ended(report: &RolloutReport) -> String {
    let group = &report.group;
    let Some(rollout) = &report.rollout else { return format!("{group} has no rollout") };
    let id = rollout.id;
    match rollout.status {
        RolloutStatus::Done => {
            format!("{group} is {} on {}{}", target_in_words(&rollout.to), members(report), later(report))
        }
        RolloutStatus::RolledBack => format!("{group} is back on {}", target_in_words(&rollout.from)),
        RolloutStatus::Paused | RolloutStatus::Running | RolloutStatus::Halted | RolloutStatus::RollingBack => {
            let still: Vec<String> = report.members.iter().filter_map(in_words).collect();
            let still =
                if still.is_empty() { String::new() } else { format!("; still under way: {}", still.join("; ")) };
            format!("rollout {id} of {group} is {}{still}", status_word(rollout.status))
        }
        RolloutStatus::Aborted => {
            format!("rollout {id} of {group} is aborted, with {} on the new state", members(report))
        }
    }
}

fn next(report: &RolloutReport) -> String {
    let group = &report.group;
    let command = |word: &str| format!("sup rollout {word} {group}");
    match report.rollout.as_ref().map(|rollout| rollout.status) {
        Some(RolloutStatus::Paused) => format!("{}, or {}", command("resume"), command("rollback")),
        Some(RolloutStatus::Aborted | RolloutStatus::Halted) => {
            format!("{}, or {}", command("retry"), command("rollback"))
        }
        Some(RolloutStatus::Running | RolloutStatus::RollingBack | RolloutStatus::Done | RolloutStatus::RolledBack)
        | None => command("status"),
    }
}

fn print(report: &RolloutReport, now: Wall, out: &mut Out<'_>) -> io::Result<()> {
    match &report.rollout {
        Some(rollout) => head(report, rollout, now, out)?,
        None => {
            out.line(format_args!("group     {}, which never had a rollout", report.group))?;
            out.line(format_args!("strategy  {}", strategy(report.strategy)))?;
            out.line(format_args!("options   {}", options_in_words(&report.options)))?;
        }
    }
    out.line("")?;
    table(report, now).print(out)?;
    for failure in report.rollout.iter().flat_map(|rollout| &rollout.failed) {
        if !failure.output.trim().is_empty() {
            out.line(format_args!("\n{} wrote:", failure.address))?;
            for line in failure.output.trim_end().lines() {
                out.line(format_args!("  {line}"))?;
            }
        }
    }
    if !report.standing.sentences.is_empty() {
        out.line("")?;
        report.standing.sentences.iter().try_for_each(|sentence| out.line(sentence))?;
    }
    match &report.standing.next {
        Some(next) => out.next(next),
        None => Ok(()),
    }
}

fn head(report: &RolloutReport, rollout: &Rollout, now: Wall, out: &mut Out<'_>) -> io::Result<()> {
    let tone = match rollout.status {
        RolloutStatus::Done | RolloutStatus::Running => Tone::Good,
        RolloutStatus::Paused | RolloutStatus::RollingBack => Tone::Uneasy,
        RolloutStatus::Halted | RolloutStatus::RolledBack | RolloutStatus::Aborted => Tone::Bad,
    };
    let status = out.paint(tone, status_word(rollout.status));
    let colon = if rollout.why.is_empty() { "" } else { ": " };
    out.line(format_args!("rollout   {} of {}: {status}{colon}{}", rollout.id, report.group, rollout.why))?;
    out.line(format_args!("from      {}", target_in_words(&rollout.from)))?;
    out.line(format_args!("to        {}", target_in_words(&rollout.to)))?;
    out.line(format_args!("options   {}", options_in_words(&rollout.options)))?;
    let updater = match &report.updater {
        Some(updater) if updater.address.is_empty() => updater.node_id.short(),
        Some(updater) => format!("{} (term {})", updater.address, updater.term),
        None => "none".to_owned(),
    };
    out.line(format_args!("updater   {updater}"))?;
    let ended = match rollout.ended_at {
        Some(ended) => {
            let took = Duration::from_millis(ended.0.0.saturating_sub(rollout.started_at.0.0));
            format!("; took {}", period::format(rounded(took)))
        }
        None => String::new(),
    };
    out.line(format_args!("started   {}, {} ago{ended}", rollout.started_at, age(rollout.started_at, now)))?;
    let count = |wanted| report.members.iter().filter(|member| member.progress == wanted).count();
    let counts: Vec<String> =
        [MemberProgress::Done, MemberProgress::InTurn, MemberProgress::Waiting, MemberProgress::Failed]
            .into_iter()
            .filter(|progress| count(*progress) > 0)
            .map(|progress| format!("{} {}", count(progress), progress.as_str()))
            .collect();
    out.line(format_args!("members   {} of {}", counts.join(", "), report.members.len()))
}

/// A time to the second, if it is longer than one.
fn rounded(time: Duration) -> Duration {
    if time.as_secs() > 0 { Duration::from_secs(time.as_secs()) } else { time }
}

fn table(report: &RolloutReport, now: Wall) -> Table<6> {
    let mut table = Table::new(["MEMBER", "CHANGE", "STATE", "RELEASE", "CONFIG", "WHY"]);
    for member in &report.members {
        let tone = match member.progress {
            MemberProgress::Done => Tone::Good,
            MemberProgress::InTurn => Tone::Uneasy,
            MemberProgress::Failed => Tone::Bad,
            MemberProgress::Waiting => Tone::Plain,
        };
        let state = match member.node_state {
            MemberState::Alive | MemberState::Suspect => {
                Cell::toned(super::out::state_tone(member.state), member.state.as_str())
            }
            gone => Cell::toned(member_tone(gone), format!("node {}", gone.as_str())),
        };
        let target = member.target.as_ref();
        table.row([
            member.address.as_str().into(),
            Cell::toned(tone, progress(member, now)),
            state,
            target.and_then(|target| target.release.clone()).unwrap_or_default().into(),
            target.and_then(|target| target.config_revision.clone()).unwrap_or_default().into(),
            why(report, member).into(),
        ]);
    }
    table
}

fn progress(member: &RolloutMember, now: Wall) -> String {
    match &member.turn {
        Some(turn) => {
            let long = turn.since.map(|since| format!(" {}", age(since, now))).unwrap_or_default();
            format!("{}, {}{long}", member.progress.as_str(), phase_word(turn.phase))
        }
        None => member.progress.as_str().to_owned(),
    }
}

fn why(report: &RolloutReport, member: &RolloutMember) -> String {
    let failures = report.rollout.iter().flat_map(|rollout| &rollout.failed);
    let failure = failures.into_iter().find(|failure| failure.node_id == member.node_id);
    match (failure, &member.turn) {
        (Some(failure), None) => {
            let now = if failure.restored { "; it is back on what it was" } else { "" };
            format!("{}{now}", failure.reason)
        }
        (_, Some(turn)) if !turn.why.is_empty() => turn.why.clone(),
        (Some(_) | None, _) => member.why.clone(),
    }
}

/// Options, in words.
pub(super) fn options_in_words(options: &RolloutOptions) -> String {
    let period = |ms: u64| period::format(Duration::from_millis(ms));
    let mut words = vec![
        format!("batch {}", options.batch),
        format!("min-healthy {}", period(options.min_healthy_ms)),
        format!("deadline {}", period(options.deadline_ms)),
        match options.on_failure {
            OnFailure::Halt => "on-failure halt".to_owned(),
            OnFailure::Rollback => "on-failure rollback".to_owned(),
            OnFailure::Continue => format!("on-failure continue (at most {})", options.max_failures),
        },
    ];
    if !options.restore_failed {
        words.push("no-restore-failed".to_owned());
    }
    if !options.hand_over_leader {
        words.push("no-hand-over".to_owned());
    }
    if options.strict {
        words.push("strict".to_owned());
    }
    words.join(", ")
}

pub(super) const fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::None => "none",
        Strategy::AtOnce => "at-once",
        Strategy::Rolling => "rolling",
    }
}
