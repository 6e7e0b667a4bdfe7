//! Waits for something to be done, without polling.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::out::{Out, Reader};
use crate::api::client::{Client, Events};
use crate::api::shape::GroupMember;
use crate::api::{Problem, ProblemKind};
use crate::base::GroupId;

use super::failure::Failure;

/// What is done sooner needs no word about what is missing on the way.
const QUIET: Duration = Duration::from_secs(1);

/// For how long changes that follow each other count as one: a look at a large group is not for nothing.
const SETTLED: Duration = Duration::from_millis(20);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something changed.
    Changed,
    /// Nothing did, and it is time.
    Tick,
    /// Patience is at its end.
    Late,
}

/// How far something is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress<T> {
    /// It is done.
    Done(T),
    /// It is not; what is missing.
    Missing(String),
}

impl Progress<usize> {
    /// Whether all of these members have it, by `has`; who does not, and why not, as the first of them says.
    pub(super) fn of(members: &[&GroupMember], has: impl Fn(&GroupMember) -> bool) -> Self {
        let left: Vec<_> = members.iter().filter(|member| !has(member)).collect();
        match left.first() {
            None => Self::Done(members.len()),
            Some(first) => {
                let colon = if first.why.is_empty() { "" } else { ": " };
                let (count, all) = (left.len(), members.len());
                let (address, why) = (&first.address, &first.why);
                Self::Missing(format!("{count} of {all} members do not have it yet, {address}{colon}{why}"))
            }
        }
    }
}

/// A view of the changes from its opening on. It is opened before a change is asked for, so that none is missed.
pub(super) struct Watch {
    events: Events,
    opened: Instant,
    deadline: Instant,
    patience: Duration,
}

impl Watch {
    /// Watches a group, or everything.
    pub(super) async fn open(client: &Client, group: Option<&GroupId>, patience: Duration) -> Result<Self, Problem> {
        let opened = Instant::now();
        Ok(Self { events: client.events(group).await?, opened, deadline: opened + patience, patience })
    }

    /// Looks, and looks again at each change, until it is done. What is missing is noticed on the way.
    pub(super) async fn until<T>(
        &mut self,
        out: &mut Out<'_>,
        mut look: impl AsyncFnMut() -> Result<Progress<T>, Problem>,
    ) -> Result<T, Failure> {
        let mut told = String::new();
        loop {
            let missing = match look().await? {
                Progress::Done(done) => return Ok(done),
                Progress::Missing(missing) => missing,
            };
            let quiet_until = self.opened + QUIET;
            let is_quiet = Instant::now() < quiet_until && quiet_until < self.deadline;
            if !is_quiet && missing != told {
                notice(out, &missing)?;
                told.clone_from(&missing);
            }
            let until = if is_quiet { quiet_until } else { self.deadline };
            match timeout_at(until, self.events.next()).await {
                Ok(Ok(Some(_))) => {}
                Err(_) if is_quiet => {}
                Ok(Ok(None)) => return Err(ended().into()),
                Ok(Err(problem)) => return Err(problem.into()),
                Err(_) => {
                    // What the last notice said may have been overtaken without another one.
                    return match look().await? {
                        Progress::Done(done) => Ok(done),
                        Progress::Missing(missing) => Err(self.late(&missing).into()),
                    };
                }
            }
        }
    }

    /// Since when it watches.
    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Until something changes, or until `tick`. Changes that come in quick succession are one.
    pub(super) async fn changed(&mut self, tick: Instant) -> Result<Woken, Problem> {
        let until = tick.min(self.deadline);
        match timeout_at(until, self.events.next()).await {
            Err(_) if Instant::now() >= self.deadline => return Ok(Woken::Late),
            Err(_) => return Ok(Woken::Tick),
            Ok(event) => event?.ok_or_else(ended)?,
        };
        let settled = (Instant::now() + SETTLED).min(self.deadline);
        loop {
            match timeout_at(settled, self.events.next()).await {
                Err(_) => return Ok(Woken::Changed),
                Ok(event) => event?.ok_or_else(ended)?,
            };
        }
    }

    /// Until the supervisor ends.
    pub(super) async fn until_end(&mut self) -> Result<(), Problem> {
        loop {
            match timeout_at(self.deadline, self.events.next()).await {
                Ok(Ok(Some(_))) => {}
                // A connection that breaks off is an end as well.
                Ok(Ok(None) | Err(_)) => return Ok(()),
                Err(_) => return Err(self.late("the supervisor still runs")),
            }
        }
    }

    /// That it was not done in time.
    pub(super) fn late(&self, missing: &str) -> Problem {
        let patience = crate::plan::period::format(self.patience);
        Problem::new(ProblemKind::Timeout, format!("not done within {patience}: {missing}"))
    }
}

fn notice(out: &mut Out<'_>, missing: &str) -> io::Result<()> {
    match out.reader {
        Reader::Person => out.notice(missing),
        Reader::Program => Ok(()),
    }
}

fn ended() -> Problem {
    Problem::new(ProblemKind::Unreachable, "the supervisor ended meanwhile").next("see why in its log")
}
