//! What is left of a state when the power goes, a sync fails, or the disk is full: at every single operation of a life
//! that has everything in it that a store is told.

mod disk;

use std::fs;

use bytes::Bytes;
use redb::StorageBackend;
use tempfile::TempDir;

use self::disk::{Fault, FaultyDisk, Op, apply, survivors};
use super::content::Stored;
use super::file::Store;
use super::state::{Medium, State};
use super::{Loaded, StoreError};
use crate::base::{NodeId, Wall};
use crate::records::{Record, Remembered, Stamp, Write};

/// In how many ways the power is cut at each operation.
const CUTS: u64 = 4;

/// Databases on this disk, whatever their path. The files are there, and empty, so that they can be renamed.
fn medium(disk: &FaultyDisk) -> Medium {
    let disk = disk.clone();
    Medium::new(move |path| {
        fs::File::options().create(true).append(true).open(path)?;
        Ok(disk.clone())
    })
}

fn record(name: usize, time: u64, bytes: usize) -> Record {
    let stamp = Stamp { term: 0, time, node: NodeId::from_u128(1) };
    let value = vec![u8::try_from(time % 251).unwrap(); bytes];
    Record { key: format!("shared/r{name}").parse().unwrap(), stamp, value: Some(value.into()) }
}

/// What a node stores in its life, in small: promises that rise, records that come, grow, and go, members, and the time.
fn life() -> Vec<Vec<Write>> {
    let mut batches = Vec::new();
    for step in 0..24_u64 {
        let number = usize::try_from(step).unwrap();
        let group = if step % 3 == 0 { "redis.default" } else { "web.default" };
        let promise = Bytes::from(step.to_be_bytes().repeat(12));
        let mut batch = vec![Write::Election { group: group.parse().unwrap(), state: promise }];
        if step % 2 == 0 {
            let bytes = if step % 8 == 0 { 20_000 } else { 300 };
            batch.push(Write::Records(vec![record(number % 7, step, bytes), record(100 + number, step, 40)]));
        }
        if step % 5 == 4 {
            batch.push(Write::DropRecords(vec![record(100 + number - 4, 0, 0).key, record(number % 7, 0, 0).key]));
        }
        if step % 6 == 5 {
            let member = Remembered { id: NodeId::from_u128(step.into()), address: ([127, 0, 0, 2], 9638).into() };
            batch.push(Write::Remembered(vec![member; number]));
            batch.push(Write::LastSeen(Wall(step)));
        }
        batches.push(batch);
    }
    batches
}

/// What is stored after a batch.
fn model(stored: &mut Stored, batch: &[Write]) {
    for write in batch {
        match write.clone() {
            Write::Generation(generation) => stored.generation = generation,
            Write::LastSeen(wall) => stored.last_seen = Some(wall),
            Write::Remembered(remembered) => stored.remembered = remembered,
            Write::Records(records) => {
                for record in records {
                    stored.records.retain(|other| other.key != record.key);
                    stored.records.push(record);
                }
            }
            Write::DropRecords(keys) => stored.records.retain(|record| !keys.contains(&record.key)),
            Write::Election { group, state } => {
                stored.elections.insert(group, state);
            }
        }
    }
    stored.records.sort_by(|a, b| a.key.as_str().cmp(b.key.as_str()));
}

fn stored(loaded: Loaded) -> Stored {
    assert_eq!(loaded.lost, None);
    let restored = loaded.restored;
    Stored {
        node_id: Some(restored.node_id),
        generation: restored.generation,
        last_seen: restored.last_seen,
        remembered: restored.remembered,
        records: restored.records,
        elections: restored.elections,
    }
}

fn open(dir: &TempDir, disk: &FaultyDisk) -> (Store, Stored) {
    let (store, loaded) = Store::open_on(dir.path(), medium(disk)).unwrap();
    (store, stored(loaded))
}

/// What is loaded from a disk with these bytes; and it can be written.
fn load(dir: &TempDir, bytes: Vec<u8>) -> Stored {
    let disk = FaultyDisk::with(bytes);
    let path = dir.path().join("cut");
    let (mut state, stored) = State::load(&path, medium(&disk)).unwrap();
    state.transact(|_| Ok(())).unwrap();
    stored.unwrap()
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut_at_every_operation_and_nothing_is_half_there() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::default());
    // What was stored, and after how many operations that was acknowledged.
    let mut told = Vec::new();
    for _life in 0..2 {
        let (mut store, mut stored) = open(&dir, &disk);
        told.push((disk.operations(), stored.clone()));
        for batch in life() {
            store.write(&batch).unwrap();
            model(&mut stored, &batch);
            told.push((disk.operations(), stored.clone()));
        }
        drop(store);
    }
    let (mut kept, mut dirty, mut next) = (Vec::new(), Vec::new(), 0);
    let mut cuts = 0;
    for (number, op) in disk.log().into_iter().enumerate() {
        while told.get(next).is_some_and(|(operations, _)| *operations <= number) {
            next += 1;
        }
        if let Some(last) = next.checked_sub(1) {
            for seed in 0..CUTS {
                let found = load(&dir, survivors(&kept, &dirty, seed + CUTS * number as u64));
                let is = |at: usize| told.get(at).is_some_and(|(_, stored)| *stored == found);
                assert!(is(last) || is(last + 1), "cut at {number}, seed {seed}: {found:?}");
                cuts += 1;
            }
        }
        match op {
            Op::Sync => std::mem::take(&mut dirty).iter().for_each(|op| apply(&mut kept, op)),
            op => dirty.push(op),
        }
    }
    println!("{cuts} power cuts at {} operations", disk.operations());
    assert!(cuts > 1000, "{cuts}");
}

/// Lives with a fault. A batch that fails is tried again, as an election does it. Returns how many batches failed.
fn live_with(fault: Fault, batches: usize) -> usize {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::default());
    let (mut store, mut stored) = open(&dir, &disk);
    disk.plan(fault);
    let mut failed = 0;
    for batch in life().into_iter().take(batches) {
        let mut tries = 0;
        while let Err(error) = store.write(&batch) {
            assert!(matches!(error, StoreError::State { .. }), "{fault:?}: {error}");
            tries += 1;
            assert!(tries < 100, "{fault:?}: it does not recover");
            // The power may go before it is tried again: what was acknowledged is there; what failed may be, as a whole.
            let mut with = stored.clone();
            model(&mut with, &batch);
            let found = load(&dir, disk.cut(tries));
            assert!(found == stored || found == with, "{fault:?}: {found:?}");
        }
        failed += usize::from(tries > 0);
        model(&mut stored, &batch);
        if tries > 0 {
            // It was acknowledged now: it has to be on the disk, and not only in the kernel's memory.
            assert_eq!(load(&dir, disk.cut(0)), stored, "{fault:?}");
        }
    }
    assert_eq!(load(&dir, disk.cut(1)), stored, "{fault:?}");
    assert_eq!(failed > 0, disk.faults_met() > 0, "{fault:?}: a failure was not told");
    failed
}

#[test]
fn a_write_whose_sync_failed_is_not_acknowledged_before_all_of_it_was_written_once_more() {
    for at in 1.. {
        let kept = live_with(Fault::SyncKeepsPages(at), 12);
        let dropped = live_with(Fault::SyncDropsPages(at), 12);
        assert_eq!(kept, dropped);
        if kept == 0 {
            assert!(at > 12, "there was no sync but {at}");
            return;
        }
    }
}

#[test]
fn a_full_disk_at_any_write_is_an_error_and_the_store_goes_on_once_there_is_room() {
    for (writes, step) in [(1, 1), (9, 4), (60, 15)] {
        for from in (1..).step_by(step) {
            if live_with(Fault::Full { from, writes }, 8) == 0 {
                assert!(from > 8, "there was no write but {from}");
                break;
            }
        }
    }
}

#[test]
fn a_start_on_what_a_failed_sync_left_in_memory_brings_it_to_the_disk_first() {
    let (dir, disk) = (TempDir::new().unwrap(), FaultyDisk::default());
    let (mut store, _) = open(&dir, &disk);
    disk.plan(Fault::SyncKeepsPages(1));
    let batch = [Write::Election { group: "redis.default".parse().unwrap(), state: Bytes::from_static(b"promise") }];
    assert!(store.write(&batch).is_err());
    // The process is killed: it does not close its state.
    std::mem::forget(store);
    let again = disk.clone();
    let (_state, found) = State::load(&dir.path().join("again"), medium(&again)).unwrap();
    let found = found.unwrap();
    for seed in 0..20 {
        assert_eq!(load(&dir, disk.cut(seed)).elections, found.elections);
    }
    assert!(disk.len().unwrap() > 0);
}
