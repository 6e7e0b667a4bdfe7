//! It matters neither in what order records come, nor how often.

use std::time::Duration;

use proptest::prelude::*;

use super::{START, at_start, key, node, records};
use crate::base::Wall;
use crate::records::{Record, Records, RecordsDatagram, RecordsRequest, RecordsResponse, Stamp, stamp};

/// Records that collide in keys, stamps and contents as often as they can.
fn any_record() -> impl Strategy<Value = Record> {
    let owner = node(1);
    let keys = ["shared/a".to_owned(), "fenced/b".to_owned(), format!("owned/{owner}/c")];
    (0..3_usize, 0..3_u64, 0..4_u64, 1..4_u128, proptest::option::of(0..3_u8)).prop_map(
        move |(kind, term, time, writer, value)| {
            let (term, writer) = match kind {
                0 => (0, writer),
                1 => (term, writer),
                _ => (0, 1),
            };
            let time = stamp::from_wall(START) + time;
            let stamp = Stamp { term, time, node: node(writer) };
            Record { key: key(&keys[kind]), stamp, value: value.map(|v| vec![v; usize::from(v)].into()) }
        },
    )
}

fn told(records: impl IntoIterator<Item = Record>) -> Records {
    let mut node = super::records(9);
    for record in records {
        node.handle_datagram(at_start(), super::node(2), RecordsDatagram::New(vec![record]));
    }
    node
}

fn contents(node: &Records) -> Vec<Record> {
    node.iter().cloned().collect()
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_end_in_the_same(
        (records, shuffled) in proptest::collection::vec(any_record(), 1..12)
            .prop_flat_map(|records| {
                let twice: Vec<Record> = records.iter().chain(&records).cloned().collect();
                (Just(records), Just(twice).prop_shuffle())
            }),
    ) {
        let (one, other) = (told(records), told(shuffled));
        prop_assert_eq!(contents(&one), contents(&other));
        prop_assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn merging_two_nodes_gives_the_same_whoever_merges(
        left in proptest::collection::vec(any_record(), 0..8),
        right in proptest::collection::vec(any_record(), 0..8),
    ) {
        let (left, right) = (told(left), told(right));
        let one = told(contents(&left).into_iter().chain(contents(&right)));
        let other = told(contents(&right).into_iter().chain(contents(&left)));
        prop_assert_eq!(contents(&one), contents(&other));
    }

    #[test]
    fn of_two_different_versions_exactly_one_beats_the_other(one in any_record(), other in any_record()) {
        if one.key == other.key && one != other {
            prop_assert!(one.beats(&other) != other.beats(&one));
        } else {
            prop_assert!(!one.beats(&one));
        }
    }

    #[test]
    fn the_hash_is_kept_right_through_any_history(history in proptest::collection::vec(any_record(), 0..30)) {
        let lived = told(history);
        let mut fresh = records(9);
        for record in contents(&lived) {
            fresh.handle_datagram(at_start(), node(2), RecordsDatagram::New(vec![record]));
        }
        prop_assert_eq!(lived.digest(), fresh.digest());
    }

    #[test]
    fn no_garbage_makes_a_node_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut node = records(9);
        if let Ok(msg) = postcard::from_bytes::<RecordsDatagram>(&bytes) {
            node.handle_datagram(at_start(), super::node(2), msg);
        }
        if let Ok(msg) = postcard::from_bytes::<RecordsRequest>(&bytes) {
            drop(node.handle_request(at_start(), super::node(2), msg));
        }
        if let Ok(response) = postcard::from_bytes::<RecordsResponse>(&bytes) {
            node.sync_with(at_start(), super::node(2));
            node.handle_response::<()>(at_start(), 0, Ok(response));
        }
        prop_assert!(node.len() < 300);
    }

    #[test]
    fn an_own_write_wins_whatever_was_seen_and_wherever_the_clock_went(
        seen in any_record(), back in 0..1_000_000_u64,
    ) {
        let mut writer = told([seen.clone()]);
        let mut now = super::now(Duration::ZERO);
        now.wall = Wall(START.0 - back);
        prop_assume!(!matches!(seen.key.class(), crate::records::Class::Owned(_)));
        writer.put(now, seen.key.clone(), "mine".into(), seen.stamp.term).unwrap();
        let mine = writer.get(&seen.key).cloned().unwrap();
        prop_assert!(mine.beats(&seen));
    }
}
