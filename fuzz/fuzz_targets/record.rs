//! Records: their keys, their values, and that all nodes agree about them in whatever order they come.
//!
//! The first byte says what the rest is: the value of a record of some kind, or records as they travel.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sup::base::limits::RECORD_KEY_BYTES;
use sup::base::{NodeId, Now};
use sup::records::value::{
    self, ConfigRevision, CouncilFacts, Departure, Desired, DesiredOptions, DesiredRelease, FileRevision, MemberStatus,
    NodeFacts, Order, Rollout, SeatHolder, TokenRecord,
};
use sup::records::{Class, Key, Kind, Record, Records, RecordsConfig, RecordsDatagram, Stamp};
use sup_fuzz::ring;

/// Most records that are merged.
const RECORDS_MAX: usize = 8;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind % 16 {
        0 => read::<NodeFacts>(rest),
        1 => read::<MemberStatus>(rest),
        2 => read::<ConfigRevision>(rest),
        3 => read::<FileRevision>(rest),
        4 => read::<Desired>(rest),
        5 => read::<DesiredOptions>(rest),
        6 => read::<DesiredRelease>(rest),
        7 => read::<Order>(rest),
        8 => read::<Departure>(rest),
        9 => read::<Rollout>(rest),
        10 => read::<SeatHolder>(rest),
        11 => read::<CouncilFacts>(rest),
        12 => key(rest),
        14 => read::<TokenRecord>(rest),
        _ => merge(rest),
    }
});

/// A value is read, and what is read of what is written of it is the same.
fn read<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let record = |value: Vec<u8>| Record {
        key: "shared/x".parse().expect("a key"),
        stamp: Stamp { term: 0, time: 1, node: NodeId::from_u128(1) },
        value: Some(value.into()),
    };
    if let Ok(Some(read)) = value::decode::<T>(&record(bytes.to_vec())) {
        let written = value::encode(&read).expect("what was read can be written");
        let again = value::decode::<T>(&record(written.into())).expect("what was written can be read");
        assert_eq!(again, Some(read));
    }
}

/// A key says what it is about, and nothing else says the same.
fn key(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(key) = text.parse::<Key>() else { return };
    assert!(key.as_str() == text && text.len() <= RECORD_KEY_BYTES);
    check(&key);
}

fn check(key: &Key) {
    let same = match key.kind() {
        Kind::Node(node) => Key::node(node),
        Kind::Service(group, node) => Key::service(&group, node),
        Kind::File(group, name, revision) => {
            sup_fuzz::stays_inside(name.as_str());
            sup_fuzz::stays_inside(group.service.as_str());
            // Of revisions, some characters cannot be typed; they are only compared.
            return assert!(!revision.contains('/'));
        }
        Kind::Config(_, revision) => return assert!(!revision.contains('/')),
        Kind::Desired(group) => Key::desired(&group),
        Kind::Options(group) => Key::options(&group),
        Kind::Release(group) => Key::release(&group),
        Kind::Order(group) => Key::order(&group),
        Kind::Departed(node) => Key::departed(node),
        Kind::Rollout(group) => Key::rollout(&group),
        Kind::Seat(group, seat) => Key::seat(&group, &seat),
        Kind::Council(group) => Key::council(&group),
        Kind::Token(id) => Key::token(id),
        Kind::Unknown => return,
    };
    assert_eq!(*key, same, "two keys for one thing");
}

/// Two nodes that hear the same records, in two orders, know the same; as long as no deletion is forgotten: one that is
/// older than what is remembered of deletions deletes what is there, and does not stay to delete what comes after it.
fn merge(bytes: &[u8]) {
    let mut records: Vec<Record> = Vec::new();
    let mut rest = bytes;
    while let Ok((record, after)) = postcard::take_from_bytes::<Record>(rest) {
        let written = postcard::to_stdvec(&record).expect("what was read can be written");
        assert_eq!(postcard::from_bytes::<Record>(&written).as_ref(), Ok(&record));
        check(&record.key);
        records.push(record);
        rest = after;
        if records.len() == RECORDS_MAX {
            break;
        }
    }
    let me = ring::id(0);
    // What a node says of itself it knows better.
    records.retain(|record| record.key.class() != Class::Owned(me));
    let now = ring::at(Duration::ZERO);
    let forwards = knows(now, me, records.iter());
    let backwards = knows(now, me, records.iter().rev());
    assert_eq!(forwards.digest(), backwards.digest(), "{records:?}");
    assert!(forwards.len() <= records.len());
    // Told twice is told once.
    let twice = knows(now, me, records.iter().chain(&records));
    assert_eq!(forwards.digest(), twice.digest());
}

fn knows<'a>(now: Now, me: NodeId, told: impl Iterator<Item = &'a Record>) -> Records {
    let config = RecordsConfig { tombstone_ttl: Duration::MAX, ..RecordsConfig::default() };
    let mut records = Records::new(me, config, 7);
    records.restore(now, Vec::new(), Duration::ZERO);
    for record in told {
        records.handle_datagram(now, ring::id(1), RecordsDatagram::New(vec![record.clone()]));
    }
    records
}
