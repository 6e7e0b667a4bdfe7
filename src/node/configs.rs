//! Revisions of configs: apply, roll back, unset. Each is a new record; none is ever changed.

use crate::base::{GroupId, Now};
use crate::census::{ConfigEntry, Standing};
use crate::records::value::ConfigRevision;

use super::revisions::{Back, Subject, name};
use super::{CommandError, Done, Node};

const fn subject(group: &GroupId) -> Subject<'_> {
    Subject { group, file: None }
}

impl Node {
    pub(super) fn apply_config(
        &mut self,
        now: Now,
        group: &GroupId,
        toml: String,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.census.config_history(group);
        subject(group).check_expectation(&history, expect)?;
        self.put_config(now, group, &history, toml, "apply")
    }

    pub(super) fn rollback_config(
        &mut self,
        now: Now,
        group: &GroupId,
        revision: Option<&str>,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.census.config_history(group);
        subject(group).check_expectation(&history, expect)?;
        match subject(group).back(&history, revision)? {
            Back::To(entry) => {
                let toml = entry.value.toml.clone();
                self.put_config(now, group, &history, toml, &format!("rollback to {}", entry.revision))
            }
            // Before the first revision the plans' defaults were in force.
            Back::BeforeAll => self.unset_config(now, group, expect),
        }
    }

    pub(super) fn unset_config(
        &mut self,
        now: Now,
        group: &GroupId,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.census.config_history(group);
        subject(group).check_expectation(&history, expect)?;
        if history.is_empty() {
            return Ok(Done::default());
        }
        self.put_config(now, group, &history, String::new(), "unset")
    }

    fn put_config(
        &mut self,
        now: Now,
        group: &GroupId,
        history: &[ConfigEntry],
        toml: String,
        action: &str,
    ) -> Result<Done, CommandError> {
        let parent = history.first();
        // What was rolled back can be asked for again.
        if let Some(current) = parent
            && current.standing == Standing::Current
            && current.value.toml == toml
        {
            return Ok(Done { write: None, revision: Some(current.revision.clone()), changed: false });
        }
        let value = ConfigRevision {
            sequence: parent.map_or(0, |current| current.value.sequence) + 1,
            parent: parent.map(|current| current.revision.clone()),
            toml,
            at: now.wall,
            by: Some(self.me),
            action: action.to_owned(),
        };
        let revision = name(value.sequence, value.toml.as_bytes(), value.parent.as_deref(), now, self.me);
        // What a rollout goes to, and would go back to, must be there for as long as it may.
        let rollout = self.census.group(group).rollout.clone();
        let needed = rollout.iter().flat_map(|(_, rollout)| [&rollout.from.config, &rollout.to.config]);
        let needed: Vec<&String> = needed.flatten().collect();
        let spare = history.iter().filter(|old| !needed.contains(&&old.revision));
        self.put_revision(now, subject(group), history.len(), spare, revision, &value)
    }
}
