//! Uploaded files: fetched, written, and told of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::files::{Placed, Wanted, place};
use super::super::load::Loaded;
use super::{Driver, Report};
use crate::base::limits::FILE_BYTES;
use crate::base::{BlobRef, FileName, Hash};
use crate::blob::Blobs;
use crate::census::GroupView;
use crate::plan::HookName;
use crate::records::value::FileContent;

/// How soon it is tried again to write what could not be written, or to see what came.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a start waits for files before it says what it waits for; it is tried again.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(10);

/// The uploaded files of a service.
#[derive(Debug)]
pub(super) struct Files {
    /// The revisions in force; none before the group was first seen.
    revisions: Option<BTreeMap<FileName, String>>,
    /// What all of them came to when they were last in place; none for no files.
    placed: Option<String>,
    /// Why they are not in place since; none once they are.
    problem: Option<String>,
    /// What is still in the way of having them: none once they are all in place.
    trouble: watch::Sender<Option<String>>,
    placing: Option<AbortHandle>,
    /// The blobs that may be wanted for them.
    blobs: BTreeSet<Hash>,
    /// One hook at a time.
    hooks: Arc<Mutex<()>>,
}

impl Default for Files {
    fn default() -> Self {
        let trouble = watch::Sender::new(Some("the group's files are not known yet".to_owned()));
        Self {
            revisions: None,
            placed: None,
            problem: None,
            trouble,
            placing: None,
            blobs: BTreeSet::new(),
            hooks: Arc::default(),
        }
    }
}

impl Files {
    /// What the files came to that were last in place; none for no files.
    pub(super) fn placed(&self) -> Option<String> {
        self.placed.clone()
    }

    /// Why files are not in place that should be; none once they are.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// Follows what is in the way of having them.
    pub(super) fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }
}

impl Driver {
    /// Looks whether the group's files are other than before, and has them put in place.
    pub(super) fn observe_files(&mut self, loaded: &Loaded, view: &GroupView) {
        let revisions = view.files.iter().map(|(name, file)| (name.clone(), file.revision.clone())).collect();
        if self.files.revisions.as_ref() == Some(&revisions) {
            return;
        }
        self.files.revisions = Some(revisions);
        self.files.trouble.send_replace(Some("the group's files are being put in place".to_owned()));
        let wanted: Wanted = view.files.iter().map(|(name, file)| (name.clone(), file.value.content.clone())).collect();
        let blobs = wanted.values().filter_map(|content| match content {
            FileContent::Blob(blob) => Some(blob.id),
            FileContent::Inline(_) | FileContent::Removed => None,
        });
        let before = std::mem::replace(&mut self.files.blobs, blobs.collect());
        if let Some(earlier) = self.files.placing.take() {
            earlier.abort();
        }
        for gone in before.difference(&self.files.blobs) {
            // Another group that wants it says so again.
            self.deps.blobs.iter().for_each(|blobs| blobs.unwant(*gone));
        }
        let (paths, owner, blobs) = (self.paths.clone(), loaded.account.owner(), self.deps.blobs.clone());
        let revision = view.files_revision();
        let (report, trouble, lock) = (self.report.clone(), self.files.trouble.clone(), Arc::clone(&self.writing));
        let placing = self.tasks.spawn(async move {
            loop {
                let (paths, these, from) = (paths.clone(), wanted.clone(), blobs.clone());
                let guard = Arc::clone(&lock).lock_owned().await;
                let placed = spawn_blocking(move || {
                    let placed = place(&paths, owner, &these, from.as_ref().map(|blobs| &**blobs.store()));
                    drop(guard);
                    placed
                });
                let Ok(Placed { changed, troubles }) = placed.await else { return };
                if !changed.is_empty() {
                    report.send(Report::FilesChanged(changed)).await.ok();
                }
                let first = troubles.into_iter().next();
                let is_news = trouble.send_if_modified(|trouble| {
                    let differs = *trouble != first;
                    trouble.clone_from(&first);
                    differs
                });
                match first {
                    None => {
                        report.send(Report::FilesPlaced(revision)).await.ok();
                        return;
                    }
                    Some(why) if is_news => {
                        report.send(Report::FilesMissing(why)).await.ok();
                    }
                    Some(_) => {}
                }
                wait_for_content(&wanted, blobs.as_ref()).await;
            }
        });
        self.files.placing = Some(placing);
    }

    /// All files are in place; what was in force meanwhile is another placing.
    pub(super) fn files_placed(&mut self, revision: Option<String>) {
        (self.files.placed, self.files.problem) = (revision, None);
    }

    /// Some files are not in place yet.
    pub(super) fn files_missing(&mut self, why: String) {
        tracing::warn!(service = %self.spec.service, why, "the group's files are not all in place; it is tried again");
        self.files.problem = Some(why);
    }

    /// Tells the service of files that are other than before. One that does not run yet finds them when it starts.
    pub(super) fn files_changed(&mut self, changed: Vec<FileName>) {
        let has_hook =
            self.loaded.as_ref().is_some_and(|loaded| loaded.plan.hooks.contains_key(&HookName::FileUpdated));
        for name in changed {
            tracing::info!(service = %self.spec.service, file = %name, "an uploaded file changed");
            if !has_hook || self.client.is_none() {
                continue;
            }
            let Some(job) = self.job(HookName::FileUpdated) else { continue };
            let job = job.with("SUP_FILE", name.to_string());
            let (log, report, turn) = (self.log.clone(), self.report.clone(), Arc::clone(&self.files.hooks));
            self.beside(async move {
                let _turn = turn.lock_owned().await;
                let hook = HookName::FileUpdated;
                let run = job.run(&CancellationToken::new(), |line| log.line(hook, line)).await;
                log.line(hook, &run.outcome.to_string());
                report.send(Report::FileHook(run)).await.ok();
            });
        }
    }
}

/// Waits until content that is missing may have come, or it is time to look again.
async fn wait_for_content(wanted: &Wanted, blobs: Option<&Blobs>) {
    let missing = blobs.and_then(|blobs| Some((blobs, wanted.values().find_map(|content| lacks(blobs, content))?)));
    let Some((blobs, blob)) = missing else { return tokio::time::sleep(AGAIN).await };
    for blob in wanted.values().filter_map(|content| lacks(blobs, content)) {
        if let Err(error) = blobs.want(blob, FILE_BYTES) {
            tracing::warn!(blob = %blob.id.short(), %error, "the content of an uploaded file is not fetched");
        }
    }
    // The time over: it is looked at again, since others may have come.
    if timeout(AGAIN, blobs.wait_for(blob.id)).await.is_ok_and(|waited| waited.is_err()) {
        tokio::time::sleep(AGAIN).await;
    }
}

fn lacks(blobs: &Blobs, content: &FileContent) -> Option<BlobRef> {
    match content {
        FileContent::Blob(blob) if !blobs.store().has(blob.id) => Some(*blob),
        FileContent::Blob(_) | FileContent::Inline(_) | FileContent::Removed => None,
    }
}
