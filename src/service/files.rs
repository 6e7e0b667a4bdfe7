//! Uploaded files, as they are on this node's disk.
//!
//! Each is old or new at any moment, never a part (see [`crate::whole`]). The directory belongs to the service's user, who
//! may put there what they like: so nothing is followed out of it, and what was uploaded is written down outside of it,
//! so that only that is ever removed.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::base::FileName;
use crate::blob::BlobStore;
use crate::plan::ServicePaths;
use crate::records::value::FileContent;
use crate::template::Owner;
use crate::whole::{self, WholeFile};

/// Who may read an uploaded file: the service's user and group.
const MODE: u32 = 0o640;
/// What was uploaded, in the service's directory: JSON.
const LIST: &str = ".uploaded";
/// How much of a file is in memory at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What the files should be.
pub(super) type Wanted = BTreeMap<FileName, FileContent>;

/// What came of bringing the disk to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// The files that are other than before.
    pub changed: Vec<FileName>,
    /// Why some are not as they should be.
    pub troubles: Vec<String>,
}

/// Brings the files of a service to what they should be; those whose blob is not here yet stay as they are. Blocks.
pub(super) fn place(paths: &ServicePaths, owner: Owner, wanted: &Wanted, blobs: Option<&BlobStore>) -> Placed {
    let mut placed = Placed::default();
    let list = paths.root.join(LIST);
    let before = match read_list(&list) {
        Ok(before) => before,
        Err(why) => {
            placed.troubles.push(why);
            return placed;
        }
    };
    let mut now = Vec::new();
    for (name, content) in wanted {
        let path = paths.files.join(name.as_str());
        let done = match content {
            FileContent::Removed => continue,
            FileContent::Inline(content) => write(&path, owner, &mut content.get().as_ref()),
            FileContent::Blob(blob) => match blobs.map(|blobs| blobs.read(blob.id)) {
                Some(Ok(mut content)) => write(&path, owner, &mut content),
                Some(Err(_)) | None => {
                    placed.troubles.push(format!("the content of {name} is not on this node yet"));
                    if before.contains(name) {
                        now.push(name.clone());
                    }
                    continue;
                }
            },
        };
        now.push(name.clone());
        match done {
            Ok(Done::Changed) => placed.changed.push(name.clone()),
            Ok(Done::Unchanged) => {}
            Err(error) => placed.troubles.push(format!("cannot write {}: {error}", path.display())),
        }
    }
    for gone in before.iter().filter(|name| !wanted.contains_key(*name)) {
        let path = paths.files.join(gone.as_str());
        match fs::remove_file(&path) {
            Ok(()) => placed.changed.push(gone.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                now.push(gone.clone());
                placed.troubles.push(format!("cannot remove {}: {error}", path.display()));
            }
        }
    }
    if let Err(error) = (before != now).then(|| write_list(&list, &now)).transpose() {
        placed.troubles.push(format!("cannot write {}: {error}", list.display()));
    }
    placed
}

/// Whether anything was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Changed,
    Unchanged,
}

/// Writes a file, if it is other than `content`.
fn write(path: &Path, owner: Owner, content: &mut dyn io::Read) -> io::Result<Done> {
    let dir = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
    let mut new = WholeFile::begin(path)?;
    io::copy(content, &mut new)?;
    if is_same(path, new.place())? {
        return Ok(Done::Unchanged);
    }
    let file = new.file();
    file.set_permissions(Permissions::from_mode(MODE))?;
    // The open file, not its name: the name is in a directory of somebody else.
    if owner != Owner::default() {
        fchown(file, owner.uid, owner.gid)?;
    }
    new.commit()?;
    Ok(Done::Changed)
}

/// Whether there is a file that has this very content. What is no plain file is another one.
fn is_same(path: &Path, content: &Path) -> io::Result<bool> {
    let opened = OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path);
    let Ok(mut there) = opened else { return Ok(false) };
    let mut content = File::open(content)?;
    let (there_is, content_is) = (there.metadata()?, content.metadata()?);
    if !there_is.is_file() || there_is.len() != content_is.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let read = content.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        if there.read_exact(&mut right[..read]).is_err() || left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

fn read_list(path: &Path) -> Result<Vec<FileName>, String> {
    let in_words = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| in_words(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(in_words(&error)),
    }
}

fn write_list(path: &Path, names: &[FileName]) -> io::Result<()> {
    whole::write(path, &serde_json::to_vec(names)?, 0o600)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use bytes::Bytes;

    use super::{Wanted, place};
    use crate::base::{BlobRef, FileName};
    use crate::blob::BlobStore;
    use crate::plan::ServicePaths;
    use crate::records::value::{FileContent, InlineBytes};
    use crate::template::Owner;
    use crate::whole;

    struct World {
        dir: tempfile::TempDir,
        paths: ServicePaths,
        blobs: BlobStore,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let paths = ServicePaths::new(dir.path(), &"redis".parse().unwrap());
            fs::create_dir_all(&paths.files).unwrap();
            let blobs = BlobStore::open(&dir.path().join("blobs")).unwrap();
            Self { dir, paths, blobs }
        }

        /// Places them, and says which changed.
        fn place(&self, wanted: &[(&str, FileContent)]) -> Vec<String> {
            let placed = place(&self.paths, Owner::default(), &wanted_of(wanted), Some(&self.blobs));
            assert_eq!(placed.troubles, [""; 0]);
            placed.changed.iter().map(FileName::to_string).collect()
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.paths.files.join(name)).unwrap()
        }
    }

    fn wanted_of(wanted: &[(&str, FileContent)]) -> Wanted {
        wanted.iter().map(|(name, content)| (name.parse().unwrap(), content.clone())).collect()
    }

    fn inline(text: &'static str) -> FileContent {
        FileContent::Inline(InlineBytes::new(Bytes::from_static(text.as_bytes())).unwrap())
    }

    #[test]
    fn files_come_change_and_go_and_only_what_changed_is_told() {
        let world = World::new();
        assert_eq!(world.place(&[("a", inline("1")), ("b", inline("2"))]), ["a", "b"]);
        let mode = fs::metadata(world.paths.files.join("a")).unwrap().permissions().mode();
        assert_eq!((world.read("a"), mode & 0o777), ("1".to_owned(), 0o640));
        assert_eq!(world.place(&[("a", inline("1")), ("b", inline("3"))]), ["b"]);
        assert_eq!(world.place(&[("b", inline("3"))]), ["a"]);
        assert_eq!(fs::read_dir(&world.paths.files).unwrap().count(), 1);
        assert_eq!(world.place(&[("b", FileContent::Removed)]), [""; 0]);
    }

    #[test]
    fn an_uploaded_file_is_the_old_or_the_new_one_whatever_fails_while_it_is_placed() {
        let world = World::new();
        world.place(&[("a", inline("old"))]);
        let wanted = wanted_of(&[("a", inline("the new one"))]);
        whole::faults::whole_at_every_step(&world.paths.files.join("a"), b"old", b"the new one", || {
            let placed = place(&world.paths, Owner::default(), &wanted, Some(&world.blobs));
            if placed.troubles.is_empty() { Ok(()) } else { Err(placed.troubles) }
        });
    }

    #[test]
    fn what_the_service_itself_keeps_there_stays_and_nothing_is_written_through_a_link() {
        let world = World::new();
        let outside = world.dir.path().join("outside");
        fs::write(&outside, "not to be touched").unwrap();
        fs::write(world.paths.files.join("own"), "its own").unwrap();
        symlink(&outside, world.paths.files.join("a")).unwrap();
        assert_eq!(world.place(&[("a", inline("uploaded"))]), ["a"]);
        assert_eq!(world.place(&[]), ["a"]);
        assert_eq!(
            (world.read("own"), fs::read_to_string(outside).unwrap()),
            ("its own".into(), "not to be touched".into())
        );
    }

    #[test]
    fn a_file_whose_content_is_not_here_yet_stays_as_it_was_until_it_is() {
        let world = World::new();
        world.place(&[("a", inline("old"))]);
        let elsewhere = BlobStore::open(&world.dir.path().join("elsewhere")).unwrap();
        let blob: BlobRef = elsewhere.put(&b"new"[..], 100).unwrap();
        let wanted = wanted_of(&[("a", FileContent::Blob(blob))]);
        let placed = place(&world.paths, Owner::default(), &wanted, Some(&world.blobs));
        assert_eq!(placed.changed, []);
        assert_eq!(placed.troubles, ["the content of a is not on this node yet"]);
        assert_eq!(world.read("a"), "old");
        world.blobs.put(&b"new"[..], 100).unwrap();
        assert_eq!(world.place(&[("a", FileContent::Blob(blob))]), ["a"]);
        assert_eq!(world.read("a"), "new");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_with_its_path() {
        let world = World::new();
        fs::create_dir(world.paths.files.join("a")).unwrap();
        let placed = place(&world.paths, Owner::default(), &wanted_of(&[("a", inline("x"))]), None);
        assert!(placed.troubles[0].contains("files/a"), "{placed:?}");
    }
}
