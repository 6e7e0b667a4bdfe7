//! Revisions of configs: apply, roll back, unset. Each is a new record; none is ever changed.

use crate::base::{GroupId, Now};
use crate::census::ConfigEntry;
use crate::records::Key;
use crate::records::value::ConfigRevision;

use super::{CommandError, Done, Node};

/// How many revisions of a config are kept.
pub const REVISIONS_KEPT: usize = 20;
/// What `expect` says when no revision is expected to be in force.
const NO_REVISION: &str = "none";

impl Node {
    pub(super) fn apply_config(
        &mut self,
        now: Now,
        group: &GroupId,
        toml: String,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.expected_history(group, expect)?;
        self.put_revision(now, group, &history, toml, "apply")
    }

    /// The revisions, newest first, if the one in force is the one that the caller expects.
    fn expected_history(&self, group: &GroupId, expect: Option<&str>) -> Result<Vec<ConfigEntry>, CommandError> {
        let history = self.census.config_history(group);
        let found = history.first().map_or(NO_REVISION, |entry| entry.revision.as_str());
        match expect {
            Some(expected) if expected != found => Err(CommandError::Expectation {
                group: group.clone(),
                expected: expected.to_owned(),
                found: found.to_owned(),
            }),
            Some(_) | None => Ok(history),
        }
    }

    pub(super) fn rollback_config(
        &mut self,
        now: Now,
        group: &GroupId,
        revision: Option<&str>,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.expected_history(group, expect)?;
        let target = match (revision, history.first()) {
            (Some(revision), _) => Some(revision.to_owned()),
            (None, Some(current)) => match &current.value.parent {
                Some(parent) => Some(parent.clone()),
                // Before the first revision the plans' defaults were in force.
                None => return self.unset_config(now, group, expect),
            },
            (None, None) => None,
        };
        let known = || {
            let names: Vec<&str> = history.iter().map(|entry| entry.revision.as_str()).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        let missing = |revision: &str| CommandError::NoRevision {
            group: group.clone(),
            revision: revision.to_owned(),
            known: known(),
        };
        let target = target.ok_or_else(|| missing("before the current one"))?;
        let entry = history.iter().find(|entry| entry.revision == target).ok_or_else(|| missing(&target))?;
        let toml = entry.value.toml.clone();
        self.put_revision(now, group, &history, toml, &format!("rollback to {target}"))
    }

    pub(super) fn unset_config(
        &mut self,
        now: Now,
        group: &GroupId,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.expected_history(group, expect)?;
        if history.is_empty() {
            return Ok(Done::default());
        }
        self.put_revision(now, group, &history, String::new(), "unset")
    }

    fn put_revision(
        &mut self,
        now: Now,
        group: &GroupId,
        history: &[ConfigEntry],
        toml: String,
        action: &str,
    ) -> Result<Done, CommandError> {
        let parent = history.first();
        if let Some(current) = parent
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
        let revision = name(&value);
        let before = self.next_write;
        self.try_put_value(now, Key::config(group, &revision), &value, 0)?;
        // What a rollout goes to, and would go back to, must be there for as long as it may.
        let needed: Vec<String> = self
            .census
            .group(group)
            .rollout
            .iter()
            .flat_map(|(_, rollout)| {
                [&rollout.from.config, &rollout.to.config].into_iter().flatten().cloned().collect::<Vec<_>>()
            })
            .collect();
        let is_needed = |old: &&ConfigEntry| needed.contains(&old.revision);
        for old in history.iter().skip(REVISIONS_KEPT - 1).filter(|old| !is_needed(old)) {
            self.records.delete(now, &Key::config(group, &old.revision)).map_err(CommandError::Record)?;
        }
        self.settle(now);
        // The record's write is the first that was asked for since.
        let write = (self.next_write > before).then_some(before);
        Ok(Done { write, revision: Some(revision), changed: true })
    }
}

/// `SEQUENCE-HASH`: the number says the order to people, the hash tells apart two of one number that were applied at
/// the same time on two sides.
fn name(value: &ConfigRevision) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(value.toml.as_bytes());
    hasher.update(value.parent.as_deref().unwrap_or_default().as_bytes());
    hasher.update(&value.at.0.to_be_bytes());
    hasher.update(&value.by.map_or(0, crate::base::NodeId::as_u128).to_be_bytes());
    let hex = hasher.finalize().to_hex();
    format!("{}-{}", value.sequence, &hex[..8])
}
