use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Kept, ReleaseStore, Source, StoreError};
use crate::base::{Hash, ReleaseRef, Wall};
use crate::blob::BlobStore;
use crate::plan::Plan;
use crate::release::{PackError, Requirement, SecretKey, Signer, Trust, TrustedKey, UnpackError};

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
        self.store.list().iter().map(|kept| format!("{} {}", kept.id.name, kept.id.version)).collect()
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
    let release = kept.id.manifest;
    assert_eq!((kept.files, kept.added, kept.signer), (2, Wall(5), Signer::Nobody));
    assert!(world.blobs.has(kept.blob().unwrap().id));
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
    let release = origin.add("redis", "7.2", 1).release().unwrap();
    let archive = || origin.blobs.read(release.blob.id).unwrap();
    let world = World::new();
    let kept = world.store.receive(&release, archive(), Wall(2)).unwrap();
    assert_eq!(kept.release(), Some(release.clone()));
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
    assert_eq!(signed.id.manifest, unsigned.id.manifest);
    assert_ne!(signed.blob(), unsigned.blob());
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
    let needed = BTreeSet::from([old.id.manifest]);
    let gone = world.store.gc(2, &needed).unwrap();
    let gone: Vec<_> = gone.iter().map(|kept| kept.id.version.to_string()).collect();
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
    fs::create_dir_all(dir.join(format!(".gone-{}/plan", kept.id.manifest))).unwrap();
    assert_eq!(world.reopened().list(), [kept]);
    assert_eq!(world.entries(), 1);
}

#[test]
fn a_plan_that_was_changed_where_it_lies_is_noticed_by_name() {
    let alter = |change: &dyn Fn(&Path), expected: &str| {
        let world = World::new();
        let release = world.add("redis", "1", 1).id.manifest;
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
    let place = world.store.path(kept.id.manifest).unwrap();
    fs::write(place.with_file_name("release.toml"), "nonsense").unwrap();
    assert_eq!(world.store.get(kept.id.manifest), None);
    assert_eq!(world.add("redis", "1", 1), kept);
}

fn load(dir: &TempDir) -> Plan {
    Plan::load(dir.path()).unwrap()
}

#[test]
fn a_copy_of_a_directory_is_what_the_directory_was() {
    let world = World::new();
    let dir = plan("redis", "7.2");
    let kept = world.store.copy(&load(&dir), Wall(5)).unwrap();
    let source = Source::Copy(dir.path().canonicalize().unwrap());
    assert_eq!((kept.added, &kept.source, kept.release()), (Wall(5), &source, None));
    fs::write(dir.path().join("data/a"), "another").unwrap();
    let release = kept.id.manifest;
    for store in [&world.store, &world.reopened()] {
        store.verify(release).unwrap();
        assert_eq!(fs::read(store.path(release).unwrap().join("data/a")).unwrap(), b"content");
        assert_eq!(store.list(), std::slice::from_ref(&kept));
    }
    let changed = world.store.copy(&load(&dir), Wall(6)).unwrap();
    assert_ne!(changed.id.manifest, release);
    assert_eq!((world.versions().len(), world.entries()), (2, 2));
}

#[test]
fn an_unchanged_directory_is_not_copied_again_even_where_nothing_can_be_written() {
    let world = World::new();
    let dir = plan("redis", "7.2");
    let plan = load(&dir);
    let kept = world.store.copy(&plan, Wall(5)).unwrap();
    dir.close().unwrap();
    assert_eq!(world.store.copy(&plan, Wall(6)).unwrap(), kept);
}

#[test]
fn a_directory_that_is_written_to_meanwhile_is_not_copied() {
    let world = World::new();
    let dir = plan("redis", "7.2");
    let plan = load(&dir);
    fs::write(dir.path().join("data/a"), "changed").unwrap();
    let error = world.store.copy(&plan, Wall(5)).unwrap_err();
    assert!(matches!(error, StoreError::Pack(PackError::Changed(_))), "{error}");
    assert_eq!(world.entries(), 0);
}

#[test]
fn a_directory_without_a_signature_is_copied_and_not_offered_to_others_where_one_is_required() {
    let key = SecretKey::draw().unwrap();
    let world = World::trusting(Trust::load(&[TrustedKey::Key(key.public())], Requirement::Signature).unwrap());
    let dir = plan("redis", "7.2");
    let release = world.store.copy(&load(&dir), Wall(5)).unwrap().id.manifest;
    let error = world.store.offer(release, None, &world.blobs, Wall(6)).unwrap_err();
    assert!(matches!(error, StoreError::Refused(UnpackError::Trust(_))), "{error}");
    let offered = world.store.offer(release, Some(&key), &world.blobs, Wall(6)).unwrap();
    assert_eq!(offered.manifest, release);
    assert!(world.blobs.has(offered.blob.id));
    assert_eq!(world.store.offer(release, None, &world.blobs, Wall(7)).unwrap(), offered);
    assert_eq!(world.entries(), 1);
}

#[test]
fn copies_push_out_no_release_and_no_release_pushes_out_a_copy() {
    let world = World::new();
    world.add("redis", "1", 1);
    for version in ["2", "3", "4"] {
        world.store.copy(&load(&plan("redis", version)), Wall(9)).unwrap();
    }
    let gone = world.store.gc(1, &BTreeSet::new()).unwrap();
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(world.versions().contains(&"redis 1".to_owned()), "{:?}", world.versions());
}

#[test]
fn whoever_a_service_runs_as_can_read_a_release() {
    let world = World::new();
    let copied = world.store.copy(&load(&plan("redis", "1")), Wall(1)).unwrap().id.manifest;
    let unpacked = world.add("redis", "2", 2).id.manifest;
    for release in [copied, unpacked] {
        let plan = world.store.path(release).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([&plan, &plan.join("data"), &plan.join("data/a")].map(|path| mode(path)), [0o755, 0o755, 0o444]);
        assert_eq!((mode(plan.parent().unwrap()), mode(world.store.dir())), (0o755, 0o755));
    }
}
