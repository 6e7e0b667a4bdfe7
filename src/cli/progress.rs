//! Follows a change on its way through a group, until it is there or stands still for good.
//!
//! | file | subject |
//! | --- | --- |
//! | `verdict` | whether it is done, goes on or has failed |
//! | `lines` | what happened since the last look, a line each |
//! | `screen` | how it stands, on a terminal |

mod lines;
mod screen;
mod verdict;

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::out::{Notices, Out, Reader};
use super::watch::{Watch, Woken};
use crate::api::Problem;
use crate::api::client::Client;
use crate::api::shape::RolloutReport;
use crate::base::GroupId;
use screen::Screen;
use verdict::{Verdict, judge};

pub(super) use lines::whole as target_in_words;
pub(super) use verdict::{Since, Sought, Wants, in_words, serving_total};

/// How often the time that has passed is shown anew.
const TICK: Duration = Duration::from_millis(500);
/// What begins sooner needs no word about what it waits for.
const QUIET: Duration = Duration::from_secs(1);

/// How the wait for a change ended.
pub(super) enum End {
    /// It is there.
    Done(RolloutReport),
    /// It will not be, as it stands.
    Failed(RolloutReport, Problem),
    /// The person wants to wait no longer. It goes on.
    Interrupted,
}

/// Waits until the change is there, and shows how it goes.
pub(super) async fn follow(
    client: &Client,
    out: &mut Out<'_>,
    watch: &mut Watch,
    group: &GroupId,
    sought: &Sought,
) -> Result<End, Failure> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut shown = Shown::new(out);
    loop {
        let report = client.rollout(group).await?;
        let verdict = judge(&report, sought);
        shown.show(out, watch, &report, &verdict, sought)?;
        let missing = match verdict {
            Verdict::Done => return shown.end(out).map(|()| End::Done(report)),
            Verdict::Failed(problem) => return shown.end(out).map(|()| End::Failed(report, problem)),
            Verdict::Going(missing) => missing,
        };
        loop {
            let woken = tokio::select! {
                woken = watch.changed(Instant::now() + TICK) => woken?,
                // Without a handler the process would have ended by itself: then nobody waits here either.
                _ = &mut interrupted => {
                    shown.end(out)?;
                    return Ok(End::Interrupted);
                }
            };
            match woken {
                Woken::Changed => break,
                Woken::Tick => shown.tick(out, watch)?,
                Woken::Late => {
                    // What the last notice said may have been overtaken without another one.
                    let report = client.rollout(group).await?;
                    shown.end(out)?;
                    return match judge(&report, sought) {
                        Verdict::Done => Ok(End::Done(report)),
                        Verdict::Failed(problem) => Ok(End::Failed(report, problem)),
                        Verdict::Going(_) => Err(late(watch, group, &missing).into()),
                    };
                }
            }
        }
    }
}

fn late(watch: &Watch, group: &GroupId, missing: &str) -> Problem {
    let mut problem = watch.late(missing).next(format!("sup rollout status {group}, sup explain {group}"));
    problem.detail.push_str("; it goes on without this command");
    problem
}

/// What a person has been shown.
enum Shown {
    /// Nothing: a program reads the result alone.
    Nothing,
    /// Lines.
    Lines { last: Option<RolloutReport>, told: String },
    /// A picture of how it stands, which is drawn over.
    Screen(Screen),
}

impl Shown {
    fn new(out: &Out<'_>) -> Self {
        match (out.reader, out.notices) {
            (Reader::Program, _) => Self::Nothing,
            (Reader::Person, Notices::Lines) => Self::Lines { last: None, told: String::new() },
            (Reader::Person, Notices::Screen) => Self::Screen(Screen::default()),
        }
    }

    fn show(
        &mut self,
        out: &mut Out<'_>,
        watch: &Watch,
        report: &RolloutReport,
        verdict: &Verdict,
        sought: &Sought,
    ) -> Result<(), Failure> {
        match self {
            Self::Nothing => {}
            Self::Lines { last, told } => {
                // How an earlier rollout stands is nobody's question here.
                if sought.is_answered_by(report) {
                    for line in lines::since(last.as_ref(), report) {
                        out.notice(line)?;
                    }
                    *last = Some(report.clone());
                }
                let quiet = watch.opened().elapsed() < QUIET;
                if let Verdict::Going(missing) = verdict
                    && !quiet
                    && *missing != *told
                    && !lines::tells(report)
                {
                    out.notice(missing)?;
                    told.clone_from(missing);
                }
            }
            Self::Screen(screen) => {
                let missing = match verdict {
                    Verdict::Going(missing) => missing.as_str(),
                    Verdict::Done | Verdict::Failed(_) => "",
                };
                screen.take(report, missing);
                screen.draw(out, watch.opened().elapsed())?;
            }
        }
        Ok(())
    }

    /// Shows that time passes.
    fn tick(&mut self, out: &mut Out<'_>, watch: &Watch) -> Result<(), Failure> {
        match self {
            Self::Nothing | Self::Lines { .. } => Ok(()),
            Self::Screen(screen) => Ok(screen.draw(out, watch.opened().elapsed())?),
        }
    }

    /// Leaves the last picture where it is: what follows is below it.
    fn end(&mut self, out: &mut Out<'_>) -> Result<(), Failure> {
        match self {
            Self::Nothing | Self::Lines { .. } => Ok(()),
            Self::Screen(screen) => Ok(screen.leave(out)?),
        }
    }
}
