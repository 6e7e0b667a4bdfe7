//! Files: taken in, recorded, shown.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::task::spawn_blocking;

use super::{Supervisor, configs};
use crate::api::shape::{File, FileApplied, FileHistory, FileRevision, Files};
use crate::api::{Problem, ProblemKind, Upload};
use crate::base::limits::{FILE_BYTES, FILE_INLINE_BYTES};
use crate::base::{FileName, GroupId};
use crate::blob::{BlobError, Blobs, Pin};
use crate::census::{Entry, FileEntry, GroupView};
use crate::node::Command;
use crate::records::value::{FileContent, InlineBytes};

/// Content that was handed over, where the ring can have it.
struct Taken {
    content: FileContent,
    /// Keeps its blob until the record that names it is there.
    _pin: Option<Pin>,
}

impl Supervisor {
    pub(super) async fn take_file(
        &self,
        group: &GroupId,
        name: &FileName,
        expect: Option<&str>,
        upload: Upload,
    ) -> Result<FileApplied, Problem> {
        self.view(group).await?;
        let taken = take(&self.0.blobs, upload).await?;
        let (group, name, expect) = (group.clone(), name.clone(), expect.map(str::to_owned));
        let content = taken.content.clone();
        self.file_command(&group.clone(), &name.clone(), Command::PutFile { group, name, content, expect }).await
    }

    pub(super) async fn history_of_file(&self, group: &GroupId, name: &FileName) -> Result<Vec<FileEntry>, Problem> {
        let (group, name) = (group.clone(), name.clone());
        self.look(move |node| node.census().file_history(&group, &name)).await
    }

    /// What a command about a file came to.
    pub(super) async fn file_command(
        &self,
        group: &GroupId,
        name: &FileName,
        command: Command,
    ) -> Result<FileApplied, Problem> {
        let previous = self.history_of_file(group, name).await?.first().map(|entry| entry.revision.clone());
        let done = self.execute(command).await?;
        let revision = done.revision.or_else(|| previous.clone()).unwrap_or_default();
        Ok(FileApplied { group: group.clone(), name: name.clone(), revision, previous, changed: done.changed })
    }
}

pub(super) fn list(view: &GroupView) -> Files {
    let file = |(name, file): (&FileName, &crate::census::FileView)| File {
        name: name.clone(),
        revision: file.revision.clone(),
        bytes: file.value.content.bytes().unwrap_or_default(),
        at: file.value.at.into(),
        by: file.value.by,
    };
    Files { group: view.group.clone(), revision: view.files_revision(), files: view.files.iter().map(file).collect() }
}

pub(super) fn history(group: &GroupId, name: &FileName, entries: &[FileEntry]) -> Result<FileHistory, Problem> {
    if entries.is_empty() {
        let detail = format!("{group} has no file {name}, and never had one");
        return Err(Problem::new(ProblemKind::UnknownRevision, detail)
            .next(format!("see which there are: sup file list {group}")));
    }
    let revision = |entry: &Entry<_>| {
        let value: &crate::records::value::FileRevision = &entry.value;
        FileRevision {
            revision: crate::api::shape::Revision {
                revision: entry.revision.clone(),
                status: configs::status(entry.standing),
                at: value.at.into(),
                by: value.by,
                parent: value.parent.clone(),
                action: value.action.clone(),
            },
            bytes: value.content.bytes(),
        }
    };
    Ok(FileHistory { group: group.clone(), name: name.clone(), revisions: entries.iter().map(revision).collect() })
}

/// Takes content in: small content for the record, larger content into a blob, without ever having it in memory.
async fn take(blobs: &Blobs, mut upload: Upload) -> Result<Taken, Problem> {
    let mut first = BytesMut::new();
    while first.len() <= FILE_INLINE_BYTES {
        match upload.recv().await {
            Some(piece) => first.extend_from_slice(&piece?),
            None => break,
        }
    }
    if let Some(content) = InlineBytes::new(first.clone().freeze()) {
        return Ok(Taken { content: FileContent::Inline(content), _pin: None });
    }
    let store = Arc::clone(blobs.store());
    let problem = Arc::new(Mutex::new(None));
    let reader = Pieces { now: first.freeze(), rest: upload, problem: Arc::clone(&problem) };
    let stored = spawn_blocking(move || {
        let blob = store.put(reader, FILE_BYTES)?;
        Ok((blob, store.pin(blob.id)))
    });
    match stored.await.map_err(|error| Problem::new(ProblemKind::Internal, error.to_string()))? {
        Ok((blob, pin)) => Ok(Taken { content: FileContent::Blob(blob), _pin: Some(pin) }),
        Err(error) => {
            // What the sender did wrong says more than that its content could not be read.
            let sender = problem.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(sender.unwrap_or_else(|| not_stored(&error)))
        }
    }
}

fn not_stored(error: &BlobError) -> Problem {
    match error {
        BlobError::TooLarge { .. } => Problem::caused(ProblemKind::TooLarge, error)
            .next("put large content where members can fetch it, and its address into a file"),
        BlobError::NoRoom { .. } | BlobError::Io { .. } | BlobError::TooMany { .. } => {
            Problem::caused(ProblemKind::StoreUnavailable, error)
        }
        BlobError::Content(_) => Problem::caused(ProblemKind::BadRequest, error),
        BlobError::Missing { .. } | BlobError::CutOff => Problem::caused(ProblemKind::Internal, error),
    }
}

/// The pieces of an upload, as something to read. Blocks.
struct Pieces {
    now: Bytes,
    rest: Upload,
    /// Why there are no more pieces, if that is not the end.
    problem: Arc<Mutex<Option<Problem>>>,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.rest.blocking_recv() {
                Some(Ok(piece)) => self.now = piece,
                Some(Err(problem)) => {
                    *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                    return Err(io::ErrorKind::InvalidData.into());
                }
                None => return Ok(0),
            }
        }
        let length = self.now.len().min(into.len());
        self.now.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
