//! Revisions of files: upload, roll back, remove. Each is a new record; none is ever changed.

use crate::base::{FileName, GroupId, Now};
use crate::census::FileEntry;
use crate::records::value::{FileContent, FileRevision};

use super::revisions::{Back, Subject, name};
use super::{CommandError, Done, Node};

/// How many files a group has at most, those removed included of which the history is kept. Every node of the ring
/// has their records in memory.
pub const FILES_PER_GROUP_MAX: usize = 64;

const fn subject<'a>(group: &'a GroupId, file: &'a FileName) -> Subject<'a> {
    Subject { group, file: Some(file) }
}

impl Node {
    pub(super) fn put_file(
        &mut self,
        now: Now,
        group: &GroupId,
        file: &FileName,
        content: FileContent,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.census.file_history(group, file);
        subject(group, file).check_expectation(&history, expect)?;
        if history.is_empty() && self.census.file_names(group).count() >= FILES_PER_GROUP_MAX {
            return Err(CommandError::TooManyFiles { group: group.clone(), limit: FILES_PER_GROUP_MAX });
        }
        self.put_content(now, group, file, &history, content, "upload")
    }

    pub(super) fn rollback_file(
        &mut self,
        now: Now,
        group: &GroupId,
        file: &FileName,
        revision: Option<&str>,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.census.file_history(group, file);
        subject(group, file).check_expectation(&history, expect)?;
        match subject(group, file).back(&history, revision)? {
            Back::To(entry) => {
                let content = entry.value.content.clone();
                let action = format!("rollback to {}", entry.revision);
                self.put_content(now, group, file, &history, content, &action)
            }
            // Before the first revision there was no such file.
            Back::BeforeAll => self.remove_file(now, group, file, expect),
        }
    }

    pub(super) fn remove_file(
        &mut self,
        now: Now,
        group: &GroupId,
        file: &FileName,
        expect: Option<&str>,
    ) -> Result<Done, CommandError> {
        let history = self.census.file_history(group, file);
        subject(group, file).check_expectation(&history, expect)?;
        if history.is_empty() {
            return Ok(Done::default());
        }
        self.put_content(now, group, file, &history, FileContent::Removed, "remove")
    }

    fn put_content(
        &mut self,
        now: Now,
        group: &GroupId,
        file: &FileName,
        history: &[FileEntry],
        content: FileContent,
        action: &str,
    ) -> Result<Done, CommandError> {
        let parent = history.first();
        if let Some(current) = parent
            && current.value.content == content
        {
            return Ok(Done { write: None, revision: Some(current.revision.clone()), changed: false });
        }
        let value = FileRevision {
            sequence: parent.map_or(0, |current| current.value.sequence) + 1,
            parent: parent.map(|current| current.revision.clone()),
            content,
            at: now.wall,
            by: Some(self.me),
            action: action.to_owned(),
        };
        let identity = match &value.content {
            FileContent::Removed => &[][..],
            FileContent::Inline(content) => content.get(),
            FileContent::Blob(blob) => blob.id.as_bytes(),
        };
        let revision = name(value.sequence, identity, value.parent.as_deref(), now, self.me);
        self.put_revision(now, subject(group, file), history.len(), history.iter(), revision, &value)
    }
}
