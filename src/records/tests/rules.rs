//! What one node takes, refuses and keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{START, at_start, bytes, key, node, now, record, records};
use crate::base::limits::RECORD_VALUE_BYTES;
use crate::base::{GroupId, NodeId, Now, Seat, Wall};
use crate::records::{
    Key, PutError, Record, Records, RecordsAction, RecordsConfig, RecordsDatagram, RecordsRequest, RefusedWhy, Stamp,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn tell(node: &mut Records, at: Now, record: Record) {
    let from = super::node(2);
    node.handle_datagram(at, from, RecordsDatagram::New(vec![record]));
}

fn refusals(node: &mut Records) -> Vec<RefusedWhy> {
    let refusal = |action| match action {
        RecordsAction::Refused { why, .. } => Some(why),
        _ => None,
    };
    node.drain().into_iter().filter_map(refusal).collect()
}

/// Lets the node's housekeeping run.
fn tick(node: &mut Records, at: Duration) {
    node.tick(now(at));
    node.tick(now(at + Duration::from_secs(10)));
}

#[test]
fn nobody_but_the_owner_writes_an_owned_key() {
    let mut node = records(1);
    let theirs = Key::node(super::node(2));
    assert_eq!(node.put(at_start(), theirs.clone(), bytes("x"), 0), Err(PutError::NotOwner(theirs.clone())));
    assert_eq!(node.delete(at_start(), &theirs), Err(PutError::NotOwner(theirs.clone())));
    tell(&mut node, at_start(), record(theirs.as_str(), 3, START, Some("forged")));
    assert_eq!(refusals(&mut node), [RefusedWhy::NotOwner]);
    tell(&mut node, at_start(), record(theirs.as_str(), 2, START, Some("own")));
    assert_eq!(node.value(&theirs), Some(&bytes("own")));
}

#[test]
fn a_higher_term_wins_whatever_the_clocks_say() {
    let mut node = records(1);
    let seat = Key::seat(&"redis.default".parse::<GroupId>().unwrap(), &Seat::Leader);
    node.put(at_start(), seat.clone(), bytes("term 5"), 5).unwrap();
    let stamp = |term, time| Stamp { term, time, node: super::node(2) };
    let later = super::super::stamp::from_wall(START + MINUTE);
    tell(&mut node, at_start(), Record { key: seat.clone(), stamp: stamp(4, later), value: Some(bytes("term 4")) });
    assert_eq!(node.value(&seat), Some(&bytes("term 5")));
    tell(&mut node, at_start(), Record { key: seat.clone(), stamp: stamp(6, 1), value: Some(bytes("term 6")) });
    assert_eq!(node.value(&seat), Some(&bytes("term 6")));
    let late = node.put(at_start(), seat.clone(), bytes("term 5 again"), 5);
    assert_eq!(late, Err(PutError::Fenced { key: seat.clone(), newest: 6 }));
    node.delete(at_start(), &seat).unwrap();
    assert_eq!(node.get(&seat).map(|record| (record.stamp.term, record.is_tombstone())), Some((6, true)));
}

#[test]
fn only_fenced_keys_have_terms() {
    let mut node = records(1);
    let put = node.put(at_start(), key("shared/x"), bytes("x"), 1);
    assert_eq!(put, Err(PutError::TermOnUnfenced(key("shared/x"))));
    let mut forged = record("shared/x", 2, START, Some("x"));
    forged.stamp.term = u64::MAX;
    tell(&mut node, at_start(), forged);
    assert_eq!(refusals(&mut node), [RefusedWhy::TermOnUnfenced]);
    assert!(node.is_empty());
}

#[test]
fn a_stamp_is_taken_at_the_tolerated_skew_and_refused_beyond() {
    let mut node = records(1);
    let skew = RecordsConfig::default().max_clock_skew;
    tell(&mut node, at_start(), record("shared/at", 2, START + skew, Some("x")));
    assert_eq!(refusals(&mut node), []);
    tell(&mut node, at_start(), record("shared/beyond", 2, START + skew + Duration::from_millis(2), Some("x")));
    assert!(matches!(refusals(&mut node)[..], [RefusedWhy::AheadOfClock(_)]));
    assert!(node.get(&key("shared/at")).is_some() && node.get(&key("shared/beyond")).is_none());
}

#[test]
fn a_refusal_is_reported_once_a_minute_for_one_writer_and_reason() {
    let mut node = records(1);
    let from_future = |writer, at| record("shared/x", writer, START + at + 10 * MINUTE, Some("x"));
    let reports = |node: &mut Records, writer, at| {
        tell(node, now(at), from_future(writer, at));
        refusals(node).len()
    };
    assert_eq!(reports(&mut node, 2, Duration::ZERO), 1);
    assert_eq!(reports(&mut node, 2, MINUTE - Duration::from_secs(1)), 0);
    assert_eq!(reports(&mut node, 3, MINUTE - Duration::from_secs(1)), 1);
    assert_eq!(reports(&mut node, 2, MINUTE), 1);
}

#[test]
fn a_value_is_taken_at_the_limit_and_refused_one_beyond() {
    let mut node = records(1);
    let value = |len: usize| Bytes::from(vec![b'x'; len]);
    node.put(at_start(), key("shared/at"), value(RECORD_VALUE_BYTES), 0).unwrap();
    let len = RECORD_VALUE_BYTES + 1;
    let put = node.put(at_start(), key("shared/beyond"), value(len), 0);
    assert_eq!(put, Err(PutError::ValueTooLarge { key: key("shared/beyond"), len }));
    let mut told = record("shared/told", 2, START, None);
    told.value = Some(value(RECORD_VALUE_BYTES));
    tell(&mut node, at_start(), told.clone());
    assert!(node.get(&told.key).is_some());
    told.value = Some(value(len));
    told.stamp.time += 1;
    tell(&mut node, at_start(), told);
    assert_eq!(refusals(&mut node), [RefusedWhy::ValueTooLarge(len)]);
}

#[test]
fn a_node_owns_as_many_records_as_it_may_and_not_one_more() {
    let config = RecordsConfig { owner_records: 3, ..RecordsConfig::default() };
    let mut node = Records::new(super::node(1), config, 1);
    let own = |n: u32| key(&format!("{}{n}", Key::owned_prefix(super::node(1))));
    for n in 0..3 {
        node.put(at_start(), own(n), bytes("x"), 0).unwrap();
    }
    assert_eq!(node.put(at_start(), own(3), bytes("x"), 0), Err(PutError::Full { key: own(3), limit: 3 }));
    node.put(at_start(), own(2), bytes("y"), 0).unwrap();
    let theirs = Key::owned_prefix(super::node(2));
    for n in 0..4 {
        tell(&mut node, at_start(), record(&format!("{theirs}{n}"), 2, START, Some("x")));
    }
    assert_eq!(refusals(&mut node), [RefusedWhy::OwnerFull]);
    assert_eq!(node.with_prefix(&theirs).count(), 3);
}

#[test]
fn a_ring_has_as_many_records_as_it_may_and_not_one_more() {
    let config = RecordsConfig { ring_records: 2, ..RecordsConfig::default() };
    let mut node = Records::new(super::node(1), config, 1);
    node.put(at_start(), key("shared/1"), bytes("x"), 0).unwrap();
    tell(&mut node, at_start(), record("shared/2", 2, START, Some("x")));
    let put = node.put(at_start(), key("shared/3"), bytes("x"), 0);
    assert_eq!(put, Err(PutError::Full { key: key("shared/3"), limit: 2 }));
    tell(&mut node, at_start(), record("shared/3", 2, START, Some("x")));
    assert_eq!(refusals(&mut node), [RefusedWhy::RingFull]);
    tell(&mut node, at_start(), record("shared/2", 2, START + MINUTE, Some("y")));
    assert_eq!(node.value(&key("shared/2")), Some(&bytes("y")));
}

#[test]
fn an_unchanged_value_and_a_repeated_record_cost_nothing() {
    let mut node = records(1);
    node.set_peers(at_start(), &[super::node(2), super::node(3)]);
    node.put(at_start(), key("shared/x"), bytes("x"), 0).unwrap();
    assert!(!node.drain().is_empty());
    node.put(now(MINUTE), key("shared/x"), bytes("x"), 0).unwrap();
    let known = node.get(&key("shared/x")).cloned().unwrap();
    tell(&mut node, now(MINUTE), known);
    tell(&mut node, now(MINUTE), record("shared/x", 2, Wall(START.0 - 1000), Some("older")));
    assert_eq!(node.drain(), []);
}

#[test]
fn only_shared_and_fenced_records_are_stored_and_what_changed_is_said_once() {
    let mut node = records(1);
    let own = Key::node(super::node(1));
    node.put(at_start(), own.clone(), bytes("x"), 0).unwrap();
    node.put(at_start(), key("shared/x"), bytes("1"), 0).unwrap();
    node.put(at_start(), key("shared/x"), bytes("2"), 0).unwrap();
    let stored = node.get(&key("shared/x")).cloned().unwrap();
    let changed = RecordsAction::Changed(vec![own, key("shared/x")]);
    assert_eq!(node.drain(), [RecordsAction::Persist(vec![stored]), changed]);
}

#[test]
fn a_new_stamp_on_the_same_value_is_stored_and_is_no_change() {
    let mut node = records(1);
    tell(&mut node, at_start(), record("shared/x", 2, START, Some("x")));
    drop(node.drain());
    let again = record("shared/x", 2, START + MINUTE, Some("x"));
    tell(&mut node, now(MINUTE), again.clone());
    assert_eq!(node.drain(), [RecordsAction::Persist(vec![again])]);
}

#[test]
fn a_deletion_is_forgotten_after_a_day_and_not_taken_again() {
    let mut node = records(1);
    tell(&mut node, at_start(), record("shared/x", 2, START, None));
    tick(&mut node, DAY - MINUTE);
    assert!(node.get(&key("shared/x")).is_some());
    drop(node.drain());
    tick(&mut node, DAY + MINUTE);
    assert!(node.is_empty());
    assert!(node.drain().contains(&RecordsAction::Unpersist(vec![key("shared/x")])));
    tell(&mut node, now(DAY + 2 * MINUTE), record("shared/x", 2, START, None));
    assert!(node.is_empty());
}

#[test]
fn an_old_deletion_still_deletes_what_is_there() {
    let mut node = records(1);
    tell(&mut node, at_start(), record("shared/x", 2, START, Some("x")));
    tick(&mut node, 2 * DAY);
    tell(&mut node, now(2 * DAY), record("shared/x", 2, START + MINUTE, None));
    assert_eq!(node.value(&key("shared/x")), None);
    tick(&mut node, 2 * DAY + MINUTE);
    assert!(node.is_empty());
}

#[test]
fn what_a_previous_run_wrote_is_unclaimed_until_this_one_writes_it_again() {
    let mut node = records(1);
    let own = |name: &str| key(&format!("{}{name}", Key::owned_prefix(super::node(1))));
    for name in ["kept", "gone", "same"] {
        tell(&mut node, at_start(), record(own(name).as_str(), 1, START, Some("old")));
    }
    assert_eq!(node.unclaimed(), [own("gone"), own("kept"), own("same")]);
    node.put(at_start(), own("kept"), bytes("new"), 0).unwrap();
    node.put(at_start(), own("same"), bytes("old"), 0).unwrap();
    assert_eq!(node.unclaimed(), [own("gone")]);
    node.delete(at_start(), &own("gone")).unwrap();
    assert_eq!(node.unclaimed(), []);
}

#[test]
fn what_a_previous_run_wrote_never_replaces_what_this_one_says() {
    let mut node = records(1);
    node.set_peers(at_start(), &[super::node(2)]);
    let own = Key::node(super::node(1));
    node.put(at_start(), own.clone(), bytes("new"), 0).unwrap();
    // The clock was far ahead when the previous run wrote.
    let old = record(own.as_str(), 1, START + DAY, Some("old"));
    drop(node.drain());
    tell(&mut node, at_start(), old.clone());
    assert_eq!(node.value(&own), Some(&bytes("new")));
    let overruling = node.get(&own).cloned().unwrap();
    assert!(overruling.beats(&old));
    let sent = RecordsDatagram::New(vec![overruling.clone()]);
    assert!(node.drain().contains(&RecordsAction::Send { to: super::node(2), msg: sent }));
    // Not even the clock of the other keys is led astray.
    node.put(at_start(), key("shared/x"), bytes("x"), 0).unwrap();
    let stamp = node.get(&key("shared/x")).map(|record| record.stamp).unwrap();
    assert!(stamp.ahead_of(START) < MINUTE);
}

#[test]
fn two_processes_of_one_id_overrule_each_other_once_a_second_at_most() {
    let mut node = records(1);
    let own = Key::node(super::node(1));
    node.put(at_start(), own.clone(), bytes("new"), 0).unwrap();
    let twin = |ms| record(own.as_str(), 1, START + Duration::from_millis(ms), Some("twin"));
    tell(&mut node, at_start(), twin(100));
    let first = node.get(&own).cloned().unwrap();
    assert!(first.beats(&twin(100)));
    tell(&mut node, now(Duration::from_millis(10)), twin(200));
    assert_eq!(node.get(&own), Some(&first));
    let due = node.deadline().unwrap();
    assert!(due <= now(Duration::from_secs(1)).mono);
    node.tick(now(Duration::from_secs(1)));
    assert!(node.get(&own).is_some_and(|record| record.beats(&twin(200))));
}

#[test]
fn what_a_forgotten_node_owned_does_not_come_back_by_hearsay() {
    let mut node = records(1);
    let theirs = Key::node(super::node(2));
    let old = record(theirs.as_str(), 2, START, Some("old"));
    tell(&mut node, at_start(), old.clone());
    node.forget_node(now(MINUTE), super::node(2));
    assert!(node.is_empty());
    assert!(node.drain().contains(&RecordsAction::Changed(vec![theirs.clone()])));
    tell(&mut node, now(MINUTE), old);
    assert!(node.is_empty());
    tell(&mut node, now(2 * MINUTE), record(theirs.as_str(), 2, START + 2 * MINUTE, Some("back")));
    assert_eq!(node.value(&theirs), Some(&bytes("back")));
}

#[test]
fn state_does_not_grow_under_churn() {
    let mut node = records(1);
    for n in 0..10_000_u128 {
        let passer_by = NodeId::from_u128(n + 100);
        let at = Duration::from_secs(u64::try_from(n).unwrap());
        let mut facts = record(Key::node(passer_by).as_str(), n + 100, START + at, Some("here"));
        facts.stamp.node = passer_by;
        tell(&mut node, now(at), facts);
        node.forget_node(now(at), passer_by);
        drop(node.drain());
    }
    assert!(node.is_empty());
    assert_eq!(node.digest(), 0);
    assert!(node.forgotten.len() <= 4096);
}

#[test]
fn an_unanswered_sync_fails_in_the_end_and_says_so() {
    let mut node = records(1);
    node.sync_with(at_start(), super::node(2));
    drop(node.drain());
    tick(&mut node, MINUTE);
    assert!(node.drain().contains(&RecordsAction::SyncFailed(super::node(2))));
}

#[test]
fn a_sync_that_is_refused_fails_at_once() {
    let mut node = records(1);
    node.sync_with(at_start(), super::node(2));
    let asked = node.drain();
    let [RecordsAction::Request { request, msg: RecordsRequest::Branches { .. }, .. }] = asked[..] else {
        panic!("{asked:?}");
    };
    node.handle_response(at_start(), request, Err("refused"));
    assert_eq!(node.drain(), [RecordsAction::SyncFailed(super::node(2))]);
}

#[test]
fn what_was_stored_is_known_after_a_restart_and_later_writes_are_later() {
    let mut before = records(1);
    before.put(now(MINUTE), key("shared/x"), bytes("x"), 0).unwrap();
    let stored: Vec<Record> = before.iter().cloned().collect();
    let mut after = records(1);
    // The clock was set back meanwhile.
    after.restore(at_start(), stored.clone(), Duration::ZERO);
    assert_eq!(after.digest(), before.digest());
    after.put(at_start(), key("shared/y"), bytes("y"), 0).unwrap();
    assert!(after.get(&key("shared/y")).is_some_and(|y| y.stamp > stored[0].stamp));
    assert!(!after.drain().contains(&RecordsAction::Persist(stored)));
}

#[test]
fn news_goes_to_all_of_a_small_ring_and_to_a_few_of_a_large_one() {
    let told = |peers: u128| {
        let mut node = records(1);
        let peers: Vec<NodeId> = (1..=peers + 1).map(super::node).collect();
        node.set_peers(at_start(), &peers);
        node.put(at_start(), key("shared/x"), bytes("x"), 0).unwrap();
        let to = |action| match action {
            RecordsAction::Send { to, .. } => Some(to),
            _ => None,
        };
        node.drain().into_iter().filter_map(to).collect::<BTreeSet<_>>()
    };
    assert_eq!((told(2).len(), told(10).len(), told(11).len(), told(1000).len()), (2, 10, 3, 6));
    assert!(!told(10).contains(&node(1)));
}

#[test]
fn nothing_that_a_departed_node_owns_is_taken_until_it_is_taken_back() {
    let mut node = records(1);
    let theirs = Key::node(super::node(2));
    tell(&mut node, at_start(), record(theirs.as_str(), 2, START, Some("before")));
    node.depart(at_start(), super::node(2));
    assert_eq!(node.get(&theirs), None);
    tell(&mut node, at_start(), record(theirs.as_str(), 2, START + MINUTE, Some("meanwhile")));
    assert_eq!(node.get(&theirs), None, "a member that has not heard of it yet tells what it knows");
    node.undepart(super::node(2));
    tell(&mut node, at_start(), record(theirs.as_str(), 2, START, Some("before")));
    assert_eq!(node.value(&theirs), Some(&bytes("before")), "it ran on, and had nothing new to say");
}
