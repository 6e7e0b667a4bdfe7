//! What revisions of configs and of files have in common.

use crate::base::{FileName, GroupId, NodeId, Now};
use crate::census::{Entry, Revision, Standing};
use crate::records::Key;

use super::{CommandError, Done, Node};

/// How many revisions of a config, and of each file, are kept.
pub const REVISIONS_KEPT: usize = 20;
/// What `expect` says when no revision is expected to be in force.
const NO_REVISION: &str = "none";

/// The config of a group, or one of its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub group: &'a GroupId,
    /// None: the config.
    pub file: Option<&'a FileName>,
}

/// Where a rollback goes.
pub(super) enum Back<'a, V> {
    /// To this revision.
    To(&'a Entry<V>),
    /// To how it was before there was a revision.
    BeforeAll,
}

impl Subject<'_> {
    fn key(self, revision: &str) -> Key {
        match self.file {
            Some(name) => Key::file(self.group, name, revision),
            None => Key::config(self.group, revision),
        }
    }

    /// Refuses unless the revision that is expected is in force, if one is. Who expects the newest one knows that it was
    /// rolled back, or was quicker than that.
    pub(super) fn check_expectation<V>(self, history: &[Entry<V>], expect: Option<&str>) -> Result<(), CommandError> {
        let in_force = history.iter().find(|entry| entry.standing == Standing::Current);
        let found = in_force.map_or(NO_REVISION, |entry| entry.revision.as_str());
        let newest = history.first().map_or(NO_REVISION, |entry| entry.revision.as_str());
        match expect {
            Some(expected) if ![found, newest].contains(&expected) => Err(CommandError::Expectation {
                group: self.group.clone(),
                file: self.file.cloned(),
                expected: expected.to_owned(),
                found: found.to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Where to go back to: the revision that is named, or else the one that the current one replaced.
    pub(super) fn back<'a, V: Revision>(
        self,
        history: &'a [Entry<V>],
        revision: Option<&str>,
    ) -> Result<Back<'a, V>, CommandError> {
        let target = match (revision, history.first()) {
            (Some(revision), _) => revision,
            (None, Some(current)) => match current.value.parent() {
                Some(parent) => parent,
                None => return Ok(Back::BeforeAll),
            },
            (None, None) => "before the current one",
        };
        let names = || history.iter().map(|entry| entry.revision.as_str()).collect::<Vec<_>>().join(", ");
        let entry = history.iter().find(|entry| entry.revision == target);
        entry.map(Back::To).ok_or_else(|| CommandError::NoRevision {
            group: self.group.clone(),
            file: self.file.cloned(),
            revision: target.to_owned(),
            known: if history.is_empty() { "nothing".to_owned() } else { names() },
        })
    }
}

impl Node {
    /// Records a new revision besides those `kept`, and lets go of the oldest `spare` ones (they come newest first) if
    /// there are too many.
    pub(super) fn put_revision<'a, V: serde::Serialize + 'a>(
        &mut self,
        now: Now,
        subject: Subject<'_>,
        kept: usize,
        spare: impl DoubleEndedIterator<Item = &'a Entry<V>>,
        revision: String,
        value: &V,
    ) -> Result<Done, CommandError> {
        let before = self.next_write;
        self.try_put_value(now, subject.key(&revision), value, 0)?;
        for old in spare.rev().take((kept + 1).saturating_sub(REVISIONS_KEPT)) {
            self.records.delete(now, &subject.key(&old.revision)).map_err(CommandError::Record)?;
        }
        self.settle(now);
        // The record's write is the first that was asked for since.
        let write = (self.next_write > before).then_some(before);
        Ok(Done { write, revision: Some(revision), changed: true })
    }
}

/// `SEQUENCE-HASH`: the number says the order to people, the hash tells apart two of one number that were made at the
/// same time on two sides.
pub(super) fn name(sequence: u64, content: &[u8], parent: Option<&str>, now: Now, by: NodeId) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(content);
    hasher.update(parent.unwrap_or_default().as_bytes());
    hasher.update(&now.wall.0.to_be_bytes());
    hasher.update(&by.as_u128().to_be_bytes());
    let hex = hasher.finalize().to_hex();
    format!("{sequence}-{}", &hex[..8])
}
