use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Kept, ReleaseStore, StoreError};
use crate::base::{Hash, ReleaseRef, Wall};
use crate::blob::BlobStore;
use crate::plan::Plan;
use crate::release::{Requirement, SecretKey, Signer, Trust, TrustedKey, UnpackError};

struct World {
    dir: TempDir,
    store: ReleaseStore,
    blobs: Arc<BlobStore>,
}

impl World {
    fn new() -> Self {
        Self::trusting(Trust::default())
    }

    fn trusting(trust: Trust) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ReleaseStore::open(&dir.path().join("releases"), trust).unwrap();
        let blobs = Arc::new(BlobStore::open(&dir.path().join("blobs")).unwrap());
        Self { dir, store, blobs }
    }

    fn reopened(&self) -> ReleaseStore {
        ReleaseStore::open(&self.dir.path().join("releases"), Trust::default()).unwrap()
    }

    fn add(&self, name: &str, version: &str, at: u64) -> Kept {
        let plan = plan(name, version);
        self.store.import_dir(plan.path(), None, &self.blobs, Wall(at)).unwrap()
    }

    fn entries(&self) -> usize {
        fs::read_dir(self.dir.path().join("releases")).unwrap().count()
    }

    fn versions(&self) -> Vec<String> {
        self.store.list().iter().map(|kept| format!("{} {}", kept.release.name, kept.release.version)).collect()
    }
}

fn plan(name: &str, version: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("name = \"{name}\"\nversion = \"{version}\"\n[service]\nrun = \"exec sleep 9\"\n");
    fs::write(dir.path().join("plan.toml"), text).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data/a"), "content").unwrap();
    dir
}

#[test]
fn a_release_that_is_taken_is_there_after_a_restart() {
    let world = World::new();
    let kept = world.add("redis", "7.2", 5);
    let release = kept.release.manifest;
    assert_eq!((kept.files, kept.added, kept.signer), (2, Wall(5), Signer::Nobody));
    assert!(world.blobs.has(kept.release.blob.id));
    for store in [&world.store, &world.reopened()] {
        assert_eq!(store.list(), std::slice::from_ref(&kept));
        let plan = Plan::load(&store.path(release).unwrap()).unwrap();
        assert_eq!(plan.release.hash(), release);
        store.verify(release).unwrap();
        assert_eq!(store.content(release).unwrap(), plan.content);
    }
    assert_eq!(world.entries(), 1);
    let unknown = Hash::of(b"");
    assert_eq!((world.store.get(unknown), world.store.path(unknown)), (None, None));
    assert!(matches!(world.store.verify(unknown), Err(StoreError::Missing(_))));
}

#[test]
fn a_release_that_was_announced_is_taken_from_its_archive_and_no_other_is() {
    let origin = World::new();
    let release = origin.add("redis", "7.2", 1).release;
    let archive = || origin.blobs.read(release.blob.id).unwrap();
    let world = World::new();
    let kept = world.store.receive(&release, archive(), Wall(2)).unwrap();
    assert_eq!(kept.release, release);
    let other = ReleaseRef { manifest: Hash::of(b"another"), ..release.clone() };
    let error = world.store.receive(&other, archive(), Wall(3)).unwrap_err();
    assert!(matches!(error, StoreError::Refused(UnpackError::OtherRelease { .. })), "{error}");
    let renamed = ReleaseRef { version: "7.3".parse().unwrap(), ..release.clone() };
    let error = world.store.receive(&renamed, archive(), Wall(3)).unwrap_err();
    assert!(matches!(error, StoreError::Other { .. }), "{error}");
    assert!(error.to_string().contains("7.3"), "{error}");
    assert_eq!((world.store.list(), world.entries()), (vec![kept.clone()], 1));
    // It is not read again.
    assert_eq!(world.store.receive(&release, &b""[..], Wall(9)).unwrap(), kept);
}

#[test]
fn what_is_refused_leaves_nothing_in_the_store_nor_among_the_blobs() {
    let world = World::new();
    let bad = world.dir.path().join("bad.sup");
    fs::write(&bad, "no archive").unwrap();
    let error = world.store.import(&bad, &world.blobs, Wall(1)).unwrap_err();
    assert!(matches!(error, StoreError::Refused(UnpackError::NotAnArchive)), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = world.store.import_dir(empty.path(), None, &world.blobs, Wall(1)).unwrap_err();
    assert!(matches!(error, StoreError::Pack(_)), "{error}");
    assert_eq!((world.entries(), world.blobs.all()), (0, Vec::new()));
}

#[test]
fn a_node_that_asks_for_signatures_keeps_nothing_else() {
    let key = SecretKey::draw().unwrap();
    let world = World::trusting(Trust::load(&[TrustedKey::Key(key.public())], Requirement::Signature).unwrap());
    let plan = plan("redis", "7.2");
    let error = world.store.import_dir(plan.path(), None, &world.blobs, Wall(1)).unwrap_err();
    assert!(matches!(error, StoreError::Refused(UnpackError::Trust(_))), "{error}");
    assert_eq!(world.entries(), 0);
    let kept = world.store.import_dir(plan.path(), Some(&key), &world.blobs, Wall(1)).unwrap();
    assert_eq!(kept.signer, Signer::Trusted { key: key.public() });
    // To a node that trusts nobody the same release is signed by a stranger.
    assert_eq!(world.reopened().list()[0].signer, Signer::Unknown { key: key.public() });
}

#[test]
fn a_release_in_another_archive_is_known_by_the_newer_one() {
    let world = World::new();
    let plan = plan("redis", "7.2");
    let unsigned = world.store.import_dir(plan.path(), None, &world.blobs, Wall(1)).unwrap();
    let key = SecretKey::draw().unwrap();
    let signed = world.store.import_dir(plan.path(), Some(&key), &world.blobs, Wall(2)).unwrap();
    assert_eq!(signed.release.manifest, unsigned.release.manifest);
    assert_ne!(signed.release.blob, unsigned.release.blob);
    assert_eq!(world.store.list(), [signed]);
    assert_eq!(world.entries(), 1);
}

#[test]
fn the_newest_of_each_plan_are_kept_and_whatever_is_needed() {
    let world = World::new();
    let old = world.add("redis", "1", 1);
    for at in 2..=5 {
        world.add("redis", &at.to_string(), at);
    }
    world.add("nginx", "1", 1);
    let needed = BTreeSet::from([old.release.manifest]);
    let gone = world.store.gc(2, &needed).unwrap();
    let gone: Vec<_> = gone.iter().map(|kept| kept.release.version.to_string()).collect();
    assert_eq!(gone, ["3", "2"]);
    assert_eq!(world.versions(), ["nginx 1", "redis 5", "redis 4", "redis 1"]);
    assert_eq!(world.store.gc(2, &needed).unwrap(), []);
    world.store.gc(0, &BTreeSet::new()).unwrap();
    assert_eq!((world.versions(), world.entries()), (Vec::new(), 0));
}

#[test]
fn what_a_crash_left_half_done_is_gone_after_a_restart() {
    let world = World::new();
    let kept = world.add("redis", "1", 1);
    let dir = world.dir.path().join("releases");
    fs::create_dir_all(dir.join(".new-abc/plan/data")).unwrap();
    fs::write(dir.join(".new-abc/plan/data/a"), "half").unwrap();
    fs::create_dir_all(dir.join(format!(".gone-{}/plan", kept.release.manifest))).unwrap();
    assert_eq!(world.reopened().list(), [kept]);
    assert_eq!(world.entries(), 1);
}

#[test]
fn a_plan_that_was_changed_where_it_lies_is_noticed_by_name() {
    let alter = |change: &dyn Fn(&Path), expected: &str| {
        let world = World::new();
        let release = world.add("redis", "1", 1).release.manifest;
        let place = world.store.path(release).unwrap();
        let file = place.join("data/a");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        change(&place);
        let error = world.store.verify(release).unwrap_err();
        assert!(matches!(error, StoreError::Altered { .. }) && error.to_string().contains(expected), "{error}");
    };
    alter(&|place| fs::write(place.join("data/a"), "CONTENT").unwrap(), "data/a has another content");
    alter(&|place| fs::remove_file(place.join("data/a")).unwrap(), "data/a is missing");
    alter(&|place| fs::write(place.join("data/b"), "").unwrap(), "data/b is not of it");
    let executable = fs::Permissions::from_mode(0o755);
    alter(&|place| fs::set_permissions(place.join("data/a"), executable.clone()).unwrap(), "data/a has another mode");
    alter(&|place| fs::write(place.with_file_name("manifest"), "").unwrap(), "is another list");
}

#[test]
fn a_release_whose_record_cannot_be_read_can_be_taken_again() {
    let world = World::new();
    let kept = world.add("redis", "1", 1);
    let place = world.store.path(kept.release.manifest).unwrap();
    fs::write(place.with_file_name("release.toml"), "nonsense").unwrap();
    assert_eq!(world.store.get(kept.release.manifest), None);
    assert_eq!(world.add("redis", "1", 1), kept);
}
