use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::Term;
use crate::election::council::{FIRST, GenesisId};
use crate::election::view::Candidacy;

const CALM: Duration = Duration::from_secs(2);
const REPLACE: Duration = Duration::from_secs(60);

const fn node(bits: u128) -> NodeId {
    NodeId::from_u128(bits)
}

const fn seconds(number: u64) -> Mono {
    Mono(number * 1_000_000)
}

/// A group of which everything is known since 100 s, and it is 200 s.
struct Group {
    voters: Vec<NodeId>,
    view: View,
    attendance: Attendance,
    size: usize,
}

impl Group {
    fn new(members: u128, voters: &[u128]) -> Self {
        let member = |bits| (node(bits), Candidacy { alive: true, present: true, eligible: true, suitability: None });
        let view = View { members: (1..=members).map(member).collect(), ..View::default() };
        let voters: Vec<NodeId> = voters.iter().copied().map(node).collect();
        let mut group = Self { voters, view, attendance: Attendance::default(), size: 5 };
        group.see(100);
        group
    }

    fn see(&mut self, at: u64) {
        self.attendance.see(seconds(at), node(0), &self.view, &self.voters);
    }

    fn silent(mut self, bits: u128, since: u64) -> Self {
        self.view.members.entry(node(bits)).and_modify(|member| member.alive = false);
        self.see(since);
        self
    }

    fn departed(mut self, bits: u128, since: u64) -> Self {
        self.view.members.remove(&node(bits));
        self.view.departed.insert(node(bits));
        self.see(since);
        self
    }

    fn wanting(self, size: usize) -> Self {
        Self { size, ..self }
    }

    fn wish_at(&self, at: u64) -> Wish {
        let voters = self.voters.clone();
        let council = Council { genesis: GenesisId(1), version: FIRST, voters, superseded: Vec::new(), floor: Term(0) };
        let rules = GroupRules { min_members: 1, council_size: self.size, replace_voter_after: REPLACE };
        let (council, attendance, view) = (&council, &self.attendance, &self.view);
        Situation { now: seconds(at), council, attendance, view, rules, calm: CALM }.wish()
    }

    fn wish(&self) -> Wish {
        self.wish_at(200)
    }
}

fn add(bits: u128) -> Wish {
    Wish::Now(Step::Add(node(bits)))
}

fn remove(bits: u128) -> Wish {
    Wish::Now(Step::Remove(node(bits)))
}

#[test]
fn a_council_grows_two_by_two_to_the_largest_odd_number_of_members() {
    for (members, voters, wish) in [
        (1, &[1][..], Wish::Nothing),
        (2, &[1], Wish::Nothing),
        (2, &[1, 2], remove(2)),
        (3, &[2], add(1)),
        (3, &[1, 2], add(3)),
        (4, &[1, 2, 3], Wish::Nothing),
        (4, &[1, 2, 3, 4], remove(4)),
        (9, &[1, 2, 3], add(4)),
        (9, &[1, 2, 3, 4], add(5)),
        (9, &[1, 2, 3, 4, 9], Wish::Nothing),
        (9, &[1, 2, 3, 4, 5, 6], remove(6)),
    ] {
        assert_eq!(Group::new(members, voters).wish(), wish, "{members} members, voters {voters:?}");
    }
}

#[test]
fn the_wanted_size_is_kept_within_the_limit_and_odd() {
    assert_eq!(Group::new(9, &[1, 2, 3]).wanting(4).wish(), Wish::Nothing);
    assert_eq!(Group::new(9, &[1, 2, 3]).wanting(0).wish(), remove(3));
    assert_eq!(Group::new(9, &[1, 2, 3, 4, 5, 6, 7]).wanting(99).wish(), Wish::Nothing);
}

#[test]
fn the_eligible_come_first_and_who_is_there_only_just_does_not_count_yet() {
    let mut group = Group::new(5, &[1, 2, 3]);
    group.view.members.entry(node(4)).and_modify(|member| member.eligible = false);
    assert_eq!(group.wish(), add(5));
    assert_eq!(group.wish_at(101), Wish::Later(seconds(102)));
    assert_eq!(group.wish_at(102), add(5));
    group.view.members.entry(node(4)).and_modify(|member| member.present = false);
    assert_eq!(group.wish(), Wish::Nothing, "one of the two is about to leave");
}

#[test]
fn a_council_of_two_waits_for_a_third_that_is_there_only_just() {
    let group = Group::new(3, &[1, 2]);
    assert_eq!(group.wish_at(101), Wish::Later(seconds(102)));
}

#[test]
fn a_silent_voter_is_replaced_when_its_time_is_up_and_somebody_can() {
    let group = Group::new(6, &[1, 2, 3, 4, 5]).silent(2, 190);
    assert_eq!(group.wish_at(249), Wish::Later(seconds(250)));
    assert_eq!(group.wish_at(250), remove(2));
    assert_eq!(Group::new(5, &[1, 2, 3, 4, 5]).silent(2, 110).wish_at(10_000), Wish::Nothing);
    assert_eq!(Group::new(6, &[1, 3, 4, 5]).silent(2, 110).wish(), add(6), "and then its successor comes");
}

#[test]
fn a_departed_voter_is_replaced_soon_or_struck_later() {
    let group = Group::new(6, &[1, 2, 3, 4, 5]).departed(2, 190);
    assert_eq!(group.wish_at(191), Wish::Later(seconds(192)));
    assert_eq!(group.wish_at(192), remove(2));
    let group = Group::new(3, &[1, 2, 3]).departed(1, 190);
    assert_eq!(group.wish_at(249), Wish::Later(seconds(250)));
    assert_eq!(group.wish_at(250), remove(1));
}

#[test]
fn of_too_many_voters_the_departed_go_first_and_then_the_silent() {
    let group = Group::new(5, &[1, 2, 3, 4, 5]).wanting(3).silent(2, 199);
    assert_eq!(group.wish(), remove(2));
    assert_eq!(group.departed(4, 199).wish(), remove(4));
}

#[test]
fn nothing_is_changed_without_a_majority_or_so_that_none_is_left() {
    let group = Group::new(6, &[1, 2, 3]).silent(1, 110).silent(2, 110);
    assert_eq!(group.wish(), Wish::Nothing, "one of three");
    assert_eq!(Group::new(3, &[1, 2]).silent(1, 110).wish(), Wish::Nothing, "one of two");
    assert_eq!(Group::new(1, &[]).wish(), Wish::Nothing);
}

proptest! {
    /// Steps taken one after the other come to an end, at an odd council with a majority that is there.
    #[test]
    fn every_council_comes_to_rest_at_an_odd_size(
        members in 1_u128..9,
        voters in proptest::collection::btree_set(1_u128..9, 1..=7),
        silent in proptest::collection::btree_set(1_u128..9, 0..4),
        departed in proptest::collection::btree_set(1_u128..9, 0..3),
        size in 1_usize..8,
    ) {
        let voters: Vec<u128> = voters.into_iter().filter(|voter| *voter <= members).collect();
        let mut group = Group::new(members, &voters).wanting(size);
        for bits in silent {
            group = group.silent(bits, 101);
        }
        for bits in departed {
            group = group.departed(bits, 102);
        }
        for _ in 0..20 {
            let Wish::Now(step) = group.wish() else { break };
            let after = step.applied(&group.voters);
            prop_assert_eq!(after.len().abs_diff(group.voters.len()), 1);
            let alive = after.iter().filter(|voter| group.attendance.is_alive(**voter)).count();
            prop_assert!(alive >= majority(after.len()));
            group.voters = after;
        }
        let wish = group.wish();
        prop_assert!(!matches!(wish, Wish::Now(_)), "it goes on for ever: {:?}, {:?}", group.voters, wish);
        let alive = group.voters.iter().filter(|voter| group.attendance.is_alive(**voter)).count();
        if !group.voters.is_empty() && alive >= majority(group.voters.len()) {
            prop_assert!(!group.voters.len().is_multiple_of(2), "{:?}", group.voters);
            prop_assert!(group.voters.len() <= size.max(1), "{:?} of {size}", group.voters);
        }
    }
}
