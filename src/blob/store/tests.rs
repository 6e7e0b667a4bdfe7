use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::{BlobStore, Found, Taken};
use crate::base::{BlobRef, Hash};
use crate::blob::error::BlobError;
use crate::blob::list::{CHUNK_BYTES, ChunkList};

/// Two chunks and a bit.
const BYTES: usize = 2 * CHUNK_BYTES + 100;

fn content() -> Vec<u8> {
    let mut content = vec![0; BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    content
}

fn list(content: &[u8]) -> ChunkList {
    ChunkList::make(content.chunks(CHUNK_BYTES).map(Hash::of).collect(), content.len() as u64)
}

fn read(store: &BlobStore, id: Hash) -> Vec<u8> {
    let mut content = Vec::new();
    store.read(id).unwrap().read_to_end(&mut content).unwrap();
    content
}

fn names(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn chunk(content: &[u8], number: usize) -> &[u8] {
    content.chunks(CHUNK_BYTES).nth(number).unwrap()
}

#[test]
fn content_reads_back_as_it_was_put_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    for content in [&b""[..], b"x", &content()[..CHUNK_BYTES], &content()] {
        let blob = store.put(content, u64::MAX).unwrap();
        assert_eq!(blob, list(content).blob());
        assert_eq!(store.put(content, u64::MAX).unwrap(), blob);
        assert_eq!(read(&store, blob.id), content);
        let again = BlobStore::open(dir.path()).unwrap();
        assert_eq!(read(&again, blob.id), content);
    }
    assert_eq!(store.all().len(), 4);
}

#[test]
fn content_over_the_limit_is_refused_and_nothing_of_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    let limit = BYTES as u64 - 1;
    let error = store.put(&content()[..], limit).unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { limit: said } if said == limit), "{error}");
    assert_eq!(names(dir.path()), BTreeSet::new());
    assert!(store.put(&content()[1..], limit).is_ok());
}

#[test]
fn content_that_breaks_off_is_not_stored() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    let error = store.put(content().chain(Broken), u64::MAX).unwrap_err();
    assert!(matches!(error, BlobError::Content(_)), "{error}");
    assert_eq!(names(dir.path()), BTreeSet::new());
}

#[test]
fn a_blob_is_whole_once_each_chunk_has_come_and_no_wrong_one_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    let content = content();
    let blob = list(&content).blob();
    assert_eq!(store.resume(blob).unwrap(), Found::Nothing);
    store.begin(list(&content)).unwrap();
    assert_eq!(store.take_chunk(blob.id, 0, chunk(&content, 1)).unwrap(), Taken::Wrong);
    assert_eq!(store.take_chunk(blob.id, 3, chunk(&content, 2)).unwrap(), Taken::Wrong);
    assert_eq!(store.take_chunk(blob.id, 2, &chunk(&content, 2)[1..]).unwrap(), Taken::Wrong);
    assert_eq!(store.take_chunk(blob.id, 2, chunk(&content, 2)).unwrap(), Taken::New);
    assert_eq!(store.take_chunk(blob.id, 2, chunk(&content, 2)).unwrap(), Taken::Known);
    assert_eq!(store.bytes_here(blob.id), 100);
    assert!(matches!(store.finish(blob.id), Err(BlobError::Missing { .. })));
    assert!(matches!(store.read(blob.id), Err(BlobError::Missing { .. })));
    for number in [1, 0] {
        assert_eq!(store.take_chunk(blob.id, number, chunk(&content, number)).unwrap(), Taken::New);
    }
    store.finish(blob.id).unwrap();
    assert_eq!(read(&store, blob.id), content);
    assert_eq!(store.resume(blob).unwrap(), Found::Whole);
}

#[test]
fn after_a_crash_only_chunks_that_are_as_they_should_be_count() {
    let dir = tempfile::tempdir().unwrap();
    let content = content();
    let blob = list(&content).blob();
    let store = BlobStore::open(dir.path()).unwrap();
    store.begin(list(&content)).unwrap();
    for number in 0..2 {
        assert_eq!(store.take_chunk(blob.id, number, chunk(&content, number)).unwrap(), Taken::New);
    }
    drop(store);
    // Of the first chunk, the disk got all but one byte.
    let path = dir.path().join(format!("{}.partial", blob.id));
    let mut torn = fs::read(&path).unwrap();
    torn[CHUNK_BYTES - 1] ^= 1;
    fs::write(&path, torn).unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    assert_eq!(store.resume(blob).unwrap(), Found::Partial);
    assert_eq!(store.chunks(blob.id).unwrap().iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn what_a_crash_left_half_done_is_cleared_away_and_damage_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    let good = store.put(&b"good"[..], u64::MAX).unwrap();
    let short = store.put(&content()[..], u64::MAX).unwrap();
    let listless = store.put(&b"listless"[..], u64::MAX).unwrap();
    drop(store);
    fs::write(dir.path().join(short.id.to_string()), b"cut off").unwrap();
    fs::remove_file(dir.path().join(format!("{}.chunks", listless.id))).unwrap();
    fs::write(dir.path().join(".writing-1"), b"half").unwrap();
    fs::write(dir.path().join(format!("{}.partial", Hash::of(b"x"))), b"without a list").unwrap();
    fs::write(dir.path().join(format!("{}.chunks", Hash::of(b"y"))), b"without content").unwrap();
    fs::write(dir.path().join("notes"), b"not ours").unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    assert_eq!(store.all(), [good]);
    let expected = [good.id.to_string(), format!("{}.chunks", good.id), "notes".to_owned()];
    assert_eq!(names(dir.path()), expected.into());
}

#[test]
fn what_is_neither_referenced_nor_pinned_is_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(BlobStore::open(dir.path()).unwrap());
    let put = |content: &[u8]| store.put(content, u64::MAX).unwrap().id;
    let (referenced, pinned, unused) = (put(b"referenced"), put(b"pinned"), put(b"unused"));
    let content = content();
    let partial = list(&content).blob().id;
    store.begin(list(&content)).unwrap();
    let pin = store.pin(pinned);
    let second_pin = store.pin(pinned);
    let mut gone = vec![unused, partial];
    gone.sort_unstable();
    assert_eq!(store.sweep(&[referenced].into()).unwrap(), gone);
    assert_eq!(names(dir.path()).len(), 4);
    drop(pin);
    assert_eq!(store.sweep(&[referenced].into()).unwrap(), []);
    drop(second_pin);
    assert_eq!(store.sweep(&[referenced].into()).unwrap(), [pinned]);
    assert!(store.has(referenced) && !store.has(pinned));
}

#[test]
fn a_full_disk_is_told_before_the_first_chunk_and_room_makes_it_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(dir.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: a small tmpfs cannot be mounted here (it takes root)");
        return;
    }
    let store = BlobStore::open(dir.path()).unwrap();
    let large = list(&vec![7; 8 * CHUNK_BYTES]);
    let begun = store.begin(large.clone());
    let put = store.put(io::repeat(7).take(8 * CHUNK_BYTES as u64), u64::MAX);
    let small = store.put(&content()[..], u64::MAX);
    store.remove(large.blob().id).unwrap();
    let removed = names(dir.path());
    let unmounted = Command::new("umount").arg("-l").arg(dir.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert!(matches!(begun, Err(BlobError::NoRoom { bytes, .. }) if bytes == large.blob().bytes), "{begun:?}");
    assert!(matches!(put, Err(BlobError::NoRoom { .. })), "{put:?}");
    let BlobRef { id, .. } = small.unwrap();
    assert_eq!(removed, [id.to_string(), format!("{id}.chunks")].into());
}
