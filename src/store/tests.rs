//! The store on real files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::{Lost, LostHow, STATE, Store};
use crate::base::{NodeId, Wall};
use crate::records::{Record, Remembered, Stamp, Write};
use crate::store::content::{FORMAT, FORMAT_NAME, NUMBERS, RECORDS};
use crate::store::{Loaded, StoreError, node_id, worker};

fn record(name: &str, value: usize) -> Record {
    let stamp = Stamp { term: 0, time: 7, node: NodeId::from_u128(1) };
    Record { key: format!("shared/{name}").parse().unwrap(), stamp, value: Some(vec![b'x'; value].into()) }
}

fn reopen(dir: &Path) -> Loaded {
    Store::open(dir).unwrap().1
}

fn names(loaded: &Loaded) -> Vec<String> {
    loaded.restored.records.iter().map(|record| record.key.to_string()).collect()
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let (mut store, first) = Store::open(dir.path()).unwrap();
    let remembered = vec![Remembered { id: NodeId::from_u128(2), address: "127.0.0.2:9638".parse().unwrap() }];
    let group = "redis.default".parse().unwrap();
    let state = Bytes::from_static(b"promised");
    store
        .write(&[
            Write::Remembered(remembered.clone()),
            Write::Records(vec![record("a", 10), record("b", 60_000)]),
            Write::Election { group, state: state.clone() },
            Write::LastSeen(Wall(77)),
        ])
        .unwrap();
    store.write(&[Write::DropRecords(vec![record("a", 0).key]), Write::Records(vec![record("c", 1)])]).unwrap();
    drop(store);

    let again = reopen(dir.path()).restored;
    assert_eq!(again.node_id, first.restored.node_id);
    assert_eq!(again.records, [record("b", 60_000), record("c", 1)]);
    assert_eq!(again.remembered, remembered);
    assert_eq!(again.elections.into_iter().collect::<Vec<_>>(), [("redis.default".parse().unwrap(), state)]);
    assert_eq!(again.last_seen, Some(Wall(77)));
}

#[test]
fn every_start_has_a_higher_generation() {
    let dir = TempDir::new().unwrap();
    let first = reopen(dir.path()).restored;
    let second = reopen(dir.path()).restored;
    assert!(second.generation > first.generation);
    let (mut store, _) = Store::open(dir.path()).unwrap();
    let renewed = second.generation + 1_000_000;
    store.write(&[Write::Generation(renewed)]).unwrap();
    drop(store);
    assert_eq!(reopen(dir.path()).restored.generation, renewed + 1);
}

#[test]
fn the_directory_is_made_and_is_nobody_elses_business() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/b");
    drop(Store::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_second_supervisor_is_told_which_process_holds_the_directory() {
    let dir = TempDir::new().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    let StoreError::Locked { pid, .. } = &error else { panic!("{error}") };
    assert_eq!(*pid, Some(std::process::id()));
    assert!(error.to_string().contains(&format!("in use by process {}", std::process::id())), "{error}");
    drop(store);
    reopen(dir.path());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("data")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

/// What was lost to damage: where the state is now, and why.
fn damage(loaded: &Loaded) -> (&Path, &str) {
    match &loaded.lost {
        Some(Lost { how: LostHow::Damaged { to, why }, .. }) => (to, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_state_is_moved_aside_and_the_node_is_another_one() {
    let dir = TempDir::new().unwrap();
    let before = reopen(dir.path()).restored;
    let garbage = "this is no database, and it is longer than a header of one".repeat(100);
    fs::write(dir.path().join(STATE), &garbage).unwrap();
    let after = reopen(dir.path());
    let (to, _) = damage(&after);
    assert!(to.to_string_lossy().contains("state.redb.unreadable-"), "{to:?}");
    assert_eq!(fs::read_to_string(to).unwrap(), garbage);
    let told = after.lost.as_ref().unwrap().to_string();
    for part in [&*to.to_string_lossy(), &before.node_id.to_string(), &after.restored.node_id.to_string()] {
        assert!(told.contains(part), "{told}");
    }
    assert_ne!(after.restored.node_id, before.node_id, "nobody knows what that one promised");
    assert!(after.restored.generation >= before.generation);
    let later = reopen(dir.path());
    assert_eq!((later.lost, later.restored.node_id), (None, after.restored.node_id));
}

#[test]
fn a_lost_or_garbled_node_id_file_is_written_anew_from_the_state() {
    let dir = TempDir::new().unwrap();
    let before = reopen(dir.path()).restored.node_id;
    let path = dir.path().join(node_id::NAME);
    fs::remove_file(&path).unwrap();
    assert_eq!(reopen(dir.path()).restored.node_id, before);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{before}\n"));
    fs::write(&path, [0xff, 0x00, b'z']).unwrap();
    assert_eq!(reopen(dir.path()).restored.node_id, before);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{before}\n"));
}

#[test]
fn a_state_that_is_gone_is_not_taken_for_a_first_start() {
    let dir = TempDir::new().unwrap();
    let first = reopen(dir.path());
    assert_eq!(first.lost, None);
    let path = dir.path().join(STATE);
    fs::remove_file(&path).unwrap();
    let after = reopen(dir.path());
    let (before, now) = (Some(first.restored.node_id), after.restored.node_id);
    assert_ne!(before, Some(now));
    assert_eq!(after.lost, Some(Lost { how: LostHow::Gone { path }, before, now }));
}

#[test]
fn a_first_start_that_was_cut_off_is_another_first_start() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(super::NEW), "half a state").unwrap();
    assert_eq!(reopen(dir.path()).lost, None);
    assert!(!dir.path().join(super::NEW).exists());
}

#[test]
fn the_state_of_a_newer_version_is_left_alone() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let path = dir.path().join(STATE);
    {
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(NUMBERS).unwrap().insert(FORMAT_NAME, FORMAT + 1).unwrap();
        transaction.commit().unwrap();
    }
    for _ in 0..2 {
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
    }
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["lock", node_id::NAME, STATE]);
}

#[test]
fn a_record_that_cannot_be_decoded_is_damage() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(dir.path()).unwrap());
    {
        let database = redb::Database::create(dir.path().join(STATE)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(RECORDS).unwrap().insert("shared/x", &[0xff_u8; 3][..]).unwrap();
        transaction.commit().unwrap();
    }
    let loaded = reopen(dir.path());
    let (_, why) = damage(&loaded);
    assert!(why.contains("shared/x"), "{why}");
}

/// A state with some history in it, as it is on disk while it is in use, as a power cut would leave it.
fn state_in_use() -> (Vec<u8>, NodeId) {
    let dir = TempDir::new().unwrap();
    let (mut store, loaded) = Store::open(dir.path()).unwrap();
    for n in 0..20 {
        store.write(&[Write::Records(vec![record(&format!("r{n}"), 3_000)])]).unwrap();
    }
    let bytes = fs::read(dir.path().join(STATE)).unwrap();
    drop(store);
    (bytes, loaded.restored.node_id)
}

/// Opens such a state, and says what came of it: it was loaded, or it was moved aside.
fn open_state(bytes: &[u8], id: NodeId) -> Loaded {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(STATE), bytes).unwrap();
    node_id::write(dir.path(), id).unwrap();
    let (mut store, loaded) = Store::open(dir.path()).unwrap();
    assert_eq!(loaded.restored.node_id == id, loaded.lost.is_none());
    store.write(&[Write::Records(vec![record("after", 10)])]).unwrap();
    drop(store);
    assert!(names(&reopen(dir.path())).contains(&"shared/after".to_owned()));
    loaded
}

#[test]
fn a_state_that_was_in_use_when_the_power_went_is_whole() {
    let (bytes, id) = state_in_use();
    let loaded = open_state(&bytes, id);
    assert_eq!(loaded.lost, None);
    assert_eq!(names(&loaded).len(), 20);
}

#[test]
fn a_state_that_is_cut_off_anywhere_is_loaded_whole_or_moved_aside() {
    let (bytes, id) = state_in_use();
    let mut moved = 0;
    for part in 0..40 {
        let cut = bytes.len() * part / 40 + part;
        let loaded = open_state(&bytes[..cut], id);
        match loaded.lost {
            Some(_) => moved += 1,
            // Nothing is missing: what was after the cut was free space.
            None => assert_eq!(names(&loaded).len(), 20, "cut at {cut}"),
        }
    }
    assert!(moved > 0);
}

#[test]
fn a_state_with_a_rotten_page_is_loaded_whole_or_moved_aside() {
    let (bytes, id) = state_in_use();
    let mut moved = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut rotten = bytes.clone();
        let end = (at + 64).min(rotten.len());
        for byte in &mut rotten[at..end] {
            *byte ^= 0x5a;
        }
        let loaded = open_state(&rotten, id);
        match loaded.lost {
            Some(_) => moved += 1,
            // A rotten page of the last write, in a state that was not closed, is one that did not reach the disk.
            None => assert!(names(&loaded).len() >= 19, "rotten at {at}: {:?}", names(&loaded)),
        }
    }
    assert!(moved > 0);
}

#[test]
fn a_full_disk_is_an_error_and_the_store_goes_on_once_there_is_room() {
    let dir = TempDir::new().unwrap();
    let Some(_mounted) = SmallDisk::mount(dir.path()) else {
        println!("skipped: a small tmpfs cannot be mounted here (it takes root)");
        return;
    };
    let data = dir.path().join("data");
    let (mut store, _) = Store::open(&data).unwrap();
    store.write(&[Write::Records(vec![record("before", 10)])]).unwrap();
    let filler = dir.path().join("filler");
    // Fills what is left; that it fails in the end is the point.
    assert!(fs::write(&filler, vec![0; 64 << 20]).is_err());

    let large: Vec<Record> = (0..64).map(|n| record(&format!("large{n}"), 60_000)).collect();
    for _ in 0..3 {
        let error = store.write(&[Write::Records(large.clone())]).unwrap_err();
        assert!(error.to_string().contains("state.redb"), "{error}");
    }
    fs::remove_file(&filler).unwrap();
    store.write(&[Write::Records(vec![record("later", 10)])]).unwrap();
    drop(store);
    assert_eq!(names(&reopen(&data)), ["shared/before", "shared/later"]);
}

/// A tmpfs of a few MiB.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(at);
        let output = command.output().ok()?;
        output.status.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(self.0).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn the_worker_stores_what_waits_together_and_reports_every_write_in_order() {
    let dir = TempDir::new().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let (jobs, queue) = tokio::sync::mpsc::channel(worker::QUEUE);
    let count = 600_u64;
    for write in 0..count {
        let items = vec![Write::Records(vec![record(&format!("r{write}"), 10)])];
        jobs.try_send(worker::Job { write, items }).unwrap();
    }
    let (reports, reported) = std::sync::mpsc::channel();
    let thread = worker::spawn(store, queue, move |report| reports.send(report).unwrap()).unwrap();
    drop(jobs);
    let reports: Vec<worker::Report> = reported.iter().collect();
    drop(thread.join().unwrap());
    assert!(reports.iter().all(|report| report.result.is_ok()));
    assert!(reports.len() < 10, "{} transactions", reports.len());
    let writes: Vec<u64> = reports.into_iter().flat_map(|report| report.writes).collect();
    assert_eq!(writes, (0..count).collect::<Vec<_>>());
    assert_eq!(reopen(dir.path()).restored.records.len(), 600);
}

/// How long a promise takes: run by hand, with `--run-ignored only --no-capture`, on the disk that `TMPDIR` names.
#[test]
#[ignore = "it measures, and claims nothing"]
fn how_long_a_write_takes() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = Store::open(dir.path()).unwrap();
    let mut took: Vec<Duration> = (0..200_u64)
        .map(|n| {
            let state = Bytes::copy_from_slice(&n.to_le_bytes());
            let begun = Instant::now();
            store.write(&[Write::Election { group: "redis.default".parse().unwrap(), state }]).unwrap();
            begun.elapsed()
        })
        .collect();
    took.sort();
    println!("median {:?}, 95 % {:?}, worst {:?}", took[100], took[190], took[199]);
    let size = fs::metadata(dir.path().join(STATE)).unwrap().len();
    println!("the state has {} KiB", size / 1024);
}
