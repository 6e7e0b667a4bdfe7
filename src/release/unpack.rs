//! An archive becomes a directory: all of it, or nothing.

mod stream;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::UnpackError;
use super::label::{LABEL_BYTES, Label, LabelError};
use super::limits::Limits;
use super::sign::{SIGNATURE_BYTES, verify};
use super::tar::Entry;
use super::trust::{Signer, Trust};
use super::{LABEL, MANIFEST, SIGNATURE};
use crate::base::{Hash, ReleaseId};
use crate::plan::{CONTENT_BYTES, Content, ContentFile, FileMode, Plan, PlanError, check_path};
use stream::Stream;

/// What a directory is called until all of it is there. What is left of one is from a crash.
pub(super) const UNFINISHED: &str = ".new-";
/// How much is copied at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// A release that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// What it is.
    pub id: ReleaseId,
    /// Its files.
    pub content: Content,
    /// Who signed it.
    pub signer: Signer,
}

/// What must hold of an archive.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The release that it must be; none: any.
    pub expected: Option<Hash>,
    /// How large it may be.
    pub limits: Limits,
    /// Whose it may be.
    pub trust: &'a Trust,
}

/// Unpacks an archive into `dir`, which must not be there yet. It is read once, from its beginning to its end, and
/// checked as it is read. What is unpacked is durable, nobody's to write to, and a plan that loads.
///
/// # Errors
/// The archive is refused, or cannot be read; or the directory cannot be written. There is no `dir` then, nor anything
/// beside it.
pub fn unpack(archive: impl Read, dir: &Path, terms: Terms<'_>) -> Result<Unpacked, UnpackError> {
    let failed = |source| UnpackError::Write { path: dir.to_owned(), source };
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent).map_err(failed)?;
    let tree = unfinished.path().join("plan");
    let unpacked = extract(archive, &tree, terms)?;
    settle(unfinished.path()).map_err(failed)?;
    fs::rename(&tree, dir).map_err(failed)?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    Ok(unpacked)
}

/// Makes durable what was written below a directory, in one go: a flush of each of ten thousand files takes minutes.
pub(super) fn settle(dir: &Path) -> io::Result<()> {
    nix::unistd::syncfs(File::open(dir)?).map_err(io::Error::from)
}

/// Unpacks an archive into `tree`, making it. On an error there may be parts of it.
pub(super) fn extract(archive: impl Read, tree: &Path, terms: Terms<'_>) -> Result<Unpacked, UnpackError> {
    let stream = Stream::open(BufReader::new(archive))?;
    let mut reader = Reader { stream, ahead: None, content: Content::default() };
    let label = reader.label()?;
    let manifest = reader.manifest(terms)?;
    let id = label.with(manifest);
    let signer = reader.signature(manifest, terms.trust)?;
    make_dir(tree).map_err(|source| UnpackError::Write { path: tree.to_owned(), source })?;
    let count = reader.content.files().len();
    for at in 0..count {
        let entry = reader.next()?;
        reader.file(at, entry, tree)?;
    }
    match reader.next()? {
        Some(entry) => return Err(reader.unexpected(count, entry.path)),
        None => reader.stream.end()?,
    }
    check_plan(tree, &id)?;
    Ok(Unpacked { id, content: reader.content, signer })
}

/// An archive that is being read, and what it lists.
struct Reader<R: BufRead> {
    stream: Stream<R>,
    /// The first file, where it was found in the place of a signature.
    ahead: Option<Entry>,
    content: Content,
}

impl<R: BufRead> Reader<R> {
    fn label(&mut self) -> Result<Label, UnpackError> {
        let text = self.part(LABEL, LABEL_BYTES)?;
        let text = String::from_utf8(text).map_err(|_| UnpackError::Label("it is not UTF-8 text".to_owned()))?;
        text.parse().map_err(|error| match error {
            LabelError::Format(format) => UnpackError::Format(format),
            LabelError::Content(why) => UnpackError::Label(why),
        })
    }

    fn manifest(&mut self, terms: Terms<'_>) -> Result<Hash, UnpackError> {
        let text = self.part(MANIFEST, CONTENT_BYTES as u64)?;
        let found = Hash::of(&text);
        if let Some(expected) = terms.expected.filter(|expected| *expected != found) {
            return Err(UnpackError::OtherRelease { expected, found });
        }
        self.content = Content::parse(&text).map_err(UnpackError::List)?;
        match terms.limits.exceeded_by(&self.content) {
            Some((bytes, limit)) => Err(UnpackError::TooLarge { bytes, limit }),
            None => Ok(found),
        }
    }

    /// Who signed.
    fn signature(&mut self, release: Hash, trust: &Trust) -> Result<Signer, UnpackError> {
        let entry = match self.next()? {
            Some(entry) if entry.path == SIGNATURE => entry,
            Some(file) => {
                self.ahead = Some(file);
                return Ok(trust.admit(None)?);
            }
            None => return Err(UnpackError::NotARelease("it has no files".to_owned())),
        };
        let text = self.content_of(&entry, SIGNATURE_BYTES)?;
        let text = std::str::from_utf8(&text).map_err(|_| UnpackError::Signature)?;
        let key = verify(text, release).ok_or(UnpackError::Signature)?;
        Ok(trust.admit(Some(key))?)
    }

    fn next(&mut self) -> Result<Option<Entry>, UnpackError> {
        match self.ahead.take() {
            Some(entry) => Ok(Some(entry)),
            None => self.stream.entry(),
        }
    }

    /// One of the parts before the files.
    fn part(&mut self, name: &'static str, limit: u64) -> Result<Vec<u8>, UnpackError> {
        match self.next()? {
            Some(entry) if entry.path == name => self.content_of(&entry, limit),
            Some(entry) => Err(UnpackError::NotARelease(format!("{:?} comes where {name} should be", entry.path))),
            None => Err(UnpackError::NotARelease(format!("it has no {name}"))),
        }
    }

    fn content_of(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u8>, UnpackError> {
        let name = entry.path.clone();
        if entry.bytes > limit {
            return Err(UnpackError::EntryTooLarge { entry: name, bytes: entry.bytes, limit });
        }
        if entry.mode != FileMode::Plain.as_str() {
            return Err(UnpackError::Header { entry: name });
        }
        let mut text = Vec::new();
        self.stream.content(entry, |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(text)
    }

    /// Writes the file at a place of the list, if that is what comes.
    fn file(&mut self, at: usize, entry: Option<Entry>, tree: &Path) -> Result<(), UnpackError> {
        let listed = self.content.files()[at].clone();
        let name = listed.path.display().to_string();
        let entry = entry.ok_or_else(|| UnpackError::Missing { entry: name.clone() })?;
        if entry.path != name {
            return Err(self.unexpected(at, entry.path));
        }
        let differs = |found, listed| UnpackError::Differs { entry: name.clone(), found, listed };
        if entry.bytes != listed.bytes {
            return Err(differs(format!("{} bytes", entry.bytes), format!("{} bytes", listed.bytes)));
        }
        if entry.mode != listed.mode.as_str() {
            return Err(differs(format!("the mode {}", entry.mode), listed.mode.as_str().to_owned()));
        }
        let path = tree.join(&listed.path);
        let failed = |source| UnpackError::Write { path: path.clone(), source };
        make_dir(path.parent().unwrap_or(tree)).map_err(failed)?;
        let mut file = create(&path, &listed).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        self.stream.content(&entry, |bytes| {
            hasher.update(bytes);
            file.write_all(bytes).map_err(failed)
        })?;
        if Hash::from(hasher.finalize()) == listed.hash { Ok(()) } else { Err(UnpackError::Tampered { entry: name }) }
    }

    /// Why a file that comes where the one at a place of the list should is refused.
    fn unexpected(&self, at: usize, entry: String) -> UnpackError {
        let place = self.content.files().iter().position(|file| file.path == Path::new(&entry));
        match (place, self.content.files().get(at)) {
            (Some(place), _) if place < at => UnpackError::Duplicate { entry },
            (Some(_), Some(missing)) => UnpackError::Missing { entry: missing.path.display().to_string() },
            (Some(_) | None, _) => UnpackError::NotListed { entry },
        }
    }
}

/// Makes a directory and those above it, all of which a service's user gets into, whatever the supervisor's umask. That
/// none is a link to elsewhere is sure: all of them were made here.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_dir(above)?;
    }
    fs::create_dir(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
}

/// Makes a file that nobody writes to later on.
pub(super) fn create(path: &Path, listed: &ContentFile) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mode = match listed.mode {
        FileMode::Plain => 0o444,
        FileMode::Executable => 0o555,
    };
    // The mode at creation is subject to the umask.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}

/// Whether what was unpacked is a plan, and the one that the archive says it is.
fn check_plan(tree: &Path, id: &ReleaseId) -> Result<(), UnpackError> {
    let plan = Plan::load(tree).map_err(|error| UnpackError::Plan(below(error, tree)))?;
    let found = Label::of(&plan).with(plan.release.hash());
    if found == *id {
        Ok(())
    } else {
        Err(UnpackError::OtherPlan { said: Box::new(id.clone()), found: Box::new(found) })
    }
}

/// The error with the names of files as the archive has them, not where they were written to in passing.
fn below(error: PlanError, tree: &Path) -> PlanError {
    let short = |path: PathBuf| path.strip_prefix(tree).map(Path::to_owned).unwrap_or(path);
    match error {
        PlanError::Wrong(mut complaints) => {
            for complaint in &mut complaints.0 {
                complaint.file = short(std::mem::take(&mut complaint.file));
            }
            PlanError::Wrong(complaints)
        }
        PlanError::NotAPlan(path) => PlanError::NotAPlan(short(path)),
        PlanError::Read { path, source } => PlanError::Read { path: short(path), source },
        PlanError::TooLarge { path, bytes, limit } => PlanError::TooLarge { path: short(path), bytes, limit },
        PlanError::TooManyFiles(path) => PlanError::TooManyFiles(short(path)),
        PlanError::TooDeep(path) => PlanError::TooDeep(short(path)),
        PlanError::Outside { link, target } => PlanError::Outside { link: short(link), target },
        PlanError::NotAFile(path) => PlanError::NotAFile(short(path)),
        PlanError::NotText(path) => PlanError::NotText(short(path)),
    }
}
