//! What a member has accepted to be: kept on the disk before it is acted on, so that a supervisor that was killed
//! half-way knows what it was about to do, and the ring learns of it at once.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::ground;
use crate::plan::ServicePaths;
use crate::records::value::{Target, TurnReport};
use crate::whole;

/// The file, beside the others that the task keeps of the process.
const TARGET: &str = "target.json";

/// Where a member stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Standing {
    /// What it counts as; none before it first accepted anything.
    pub(super) target: Option<Target>,
    /// What it goes by instead, since the turn that led there is not done, or failed.
    pub(super) attempt: Option<Attempt>,
    /// The last turn that ended here. It is not taken twice.
    pub(super) turn: Option<TurnReport>,
}

/// What a member tries to be in a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) target: Target,
    pub(super) rollout: u64,
    pub(super) turn: u64,
}

impl Standing {
    /// What it goes by.
    pub(super) fn goes_by(&self) -> Option<&Target> {
        self.attempt.as_ref().map(|attempt| &attempt.target).or(self.target.as_ref())
    }

    /// The turn that was under way, if it did not end.
    pub(super) fn in_turn(&self) -> Option<&Attempt> {
        let has_ended = |attempt: &&Attempt| {
            let ended = self.turn.as_ref();
            ended.is_some_and(|ended| (ended.rollout, ended.turn) == (attempt.rollout, attempt.turn))
        };
        self.attempt.as_ref().filter(|attempt| !has_ended(attempt))
    }

    /// What is on the disk; nothing if it cannot be read, which only makes the member ask the ring again. Blocks.
    pub(super) fn recall(paths: &ServicePaths) -> Self {
        let file = ground::state_dir(paths).join(TARGET);
        let read = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => Err(error),
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
        };
        read.unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "what the service had accepted to be is forgotten");
            Self::default()
        })
    }

    /// On the disk in whole, or not at all. Blocks.
    pub(super) fn keep(&self, paths: &ServicePaths) -> io::Result<()> {
        let dir = ground::state_dir(paths);
        // The first target is accepted before the plan is read, which is when the directories are made.
        ground::make_private(&dir)?;
        whole::write(&dir.join(TARGET), &serde_json::to_vec(self)?, 0o600)
    }

    /// Forgets it: the service is gone from this node. Blocks.
    pub(super) fn forget(paths: &ServicePaths) -> io::Result<()> {
        remove(&ground::state_dir(paths).join(TARGET))
    }
}

/// How much may wait to be written: at most a target and the end of a turn are under way at once.
const PENDING: usize = 8;

/// Writes one after the other, so that the last one asked for is the one that stays.
#[derive(Debug)]
pub(super) struct Keeper(mpsc::Sender<Standing>);

impl Keeper {
    /// A keeper, and the task that does its work. `written` is told how each went.
    pub(super) fn new<F, W>(paths: ServicePaths, written: F) -> (Self, impl Future<Output = ()> + Send)
    where
        F: Fn(Standing, Result<(), String>) -> W + Send,
        W: Future<Output = ()> + Send,
    {
        let (sender, mut wanted) = mpsc::channel::<Standing>(PENDING);
        let work = async move {
            while let Some(standing) = wanted.recv().await {
                let (paths, text) = (paths.clone(), standing.clone());
                let kept = tokio::task::spawn_blocking(move || text.keep(&paths)).await;
                let kept = match kept {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(format!("what it is to be cannot be written down: {error}")),
                    Err(error) => Err(format!("internal error, please report it: {error}")),
                };
                written(standing, kept).await;
            }
        };
        (Self(sender), work)
    }

    /// Has this written.
    ///
    /// # Errors
    /// When far too much waits already.
    pub(super) fn keep(&self, standing: Standing) -> Result<(), String> {
        self.0.try_send(standing).map_err(|_| "what it is to be cannot be written down: the disk hangs".to_owned())
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Standing, TARGET, ground};
    use crate::plan::ServicePaths;
    use crate::records::value::{Target, TurnPhase, TurnReport};

    fn paths(data: &tempfile::TempDir) -> ServicePaths {
        ServicePaths::new(data.path(), &"demo".parse().unwrap())
    }

    #[test]
    fn what_was_accepted_is_known_after_a_restart_and_gone_when_forgotten() {
        let data = tempfile::tempdir().unwrap();
        let paths = paths(&data);
        assert_eq!(Standing::recall(&paths), Standing::default());
        let standing = Standing {
            target: Some(Target { config: Some("2-b".to_owned()), ..Target::default() }),
            attempt: None,
            turn: Some(TurnReport { turn: 7, phase: TurnPhase::Done, ..TurnReport::default() }),
        };
        standing.keep(&paths).unwrap();
        assert_eq!(Standing::recall(&paths), standing);
        let left = std::fs::read_dir(ground::state_dir(&paths)).unwrap().count();
        assert_eq!(left, 1, "a temporary file was left");
        Standing::forget(&paths).unwrap();
        Standing::forget(&paths).unwrap();
        assert_eq!(Standing::recall(&paths), Standing::default());
    }

    #[test]
    fn a_turn_that_did_not_end_is_what_the_member_goes_by_and_is_not_what_it_counts_as() {
        let target = Target { config: Some("2-b".to_owned()), ..Target::default() };
        let attempt = Attempt { target: target.clone(), rollout: 1, turn: 7 };
        let mut standing = Standing { target: Some(Target::default()), attempt: Some(attempt), turn: None };
        assert_eq!(standing.goes_by(), Some(&target));
        assert!(standing.in_turn().is_some());
        standing.turn = Some(TurnReport { rollout: 1, turn: 7, phase: TurnPhase::Failed, ..TurnReport::default() });
        assert_eq!((standing.goes_by(), standing.in_turn()), (Some(&target), None));
    }

    #[test]
    fn what_it_counts_as_is_the_old_or_the_new_whatever_fails_while_it_is_kept() {
        let data = tempfile::tempdir().unwrap();
        let paths = paths(&data);
        let new = Standing { target: Some(Target::default()), ..Standing::default() };
        new.keep(&paths).unwrap();
        let file = ground::state_dir(&paths).join(TARGET);
        let text = std::fs::read(&file).unwrap();
        crate::whole::faults::whole_at_every_step(&file, b"{}", &text, || new.keep(&paths));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_taken_for_none() {
        let data = tempfile::tempdir().unwrap();
        let paths = paths(&data);
        Standing::default().keep(&paths).unwrap();
        std::fs::write(ground::state_dir(&paths).join(TARGET), "{\"target\":").unwrap();
        assert_eq!(Standing::recall(&paths), Standing::default());
    }
}
