use std::net::SocketAddr;

use super::{Census, ElectionState, GroupView, Liveness, Standing};
use crate::base::{BlobRef, GroupId, Hash, NodeId, ReleaseRef, Seat, Term, Wall};
use crate::records::value::{
    AskedParts, ConfigRevision, Desired, DesiredRelease, DesiredState, Health, MemberStatus, NodeFacts, Rollout,
    RolloutStatus, SeatHolder, ServiceState, Target, Topology, encode,
};
use crate::records::{Key, Record, Stamp};

const ME: NodeId = NodeId::from_u128(1);
const OTHER: NodeId = NodeId::from_u128(2);

fn group() -> GroupId {
    "web.default".parse().unwrap()
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 9638))
}

fn record<T: serde::Serialize>(key: Key, time: u64, value: &T) -> Record {
    Record { key, stamp: Stamp { term: 0, time, node: OTHER }, value: Some(encode(value).unwrap()) }
}

fn up() -> MemberStatus {
    MemberStatus {
        topology: Topology::Leader,
        state: ServiceState::Up,
        health: Health::Ok,
        eligible: true,
        ..MemberStatus::default()
    }
}

/// Two members of one watched group, both up.
fn two_members() -> Census {
    let mut census = Census::new(ME);
    census.watch(&group());
    for (id, last) in [(ME, 1), (OTHER, 2)] {
        census.set_node(id, address(last), Liveness::Alive);
        assert_eq!(census.apply(&record(Key::service(&group(), id), 1, &up())), Ok(None));
    }
    assert_eq!(changed(&mut census), [group()]);
    census
}

/// The groups that are reported.
fn changed(census: &mut Census) -> Vec<GroupId> {
    census.refresh().groups.into_keys().collect()
}

fn serving(view: &GroupView) -> Vec<NodeId> {
    view.serving().map(|member| member.node.id).collect()
}

fn seat(census: &mut Census, node: Option<NodeId>, term: u64) {
    let holder = SeatHolder { node, term: Term(term) };
    assert_eq!(census.apply(&record(Key::seat(&group(), &Seat::Leader), term, &holder)), Ok(None));
}

#[test]
fn a_change_of_a_group_that_nobody_watches_is_not_reported_and_is_there_when_asked_for() {
    let mut census = Census::new(ME);
    census.set_node(OTHER, address(2), Liveness::Alive);
    assert_eq!(census.apply(&record(Key::service(&group(), OTHER), 1, &up())), Ok(None));
    assert!(census.refresh().groups.is_empty());
    assert_eq!(serving(&census.group(&group())), [OTHER]);
}

#[test]
fn what_changes_nothing_that_can_be_seen_is_not_reported() {
    let mut census = two_members();
    assert_eq!(census.apply(&record(Key::service(&group(), OTHER), 2, &up())), Ok(None));
    census.set_node(OTHER, address(2), Liveness::Alive);
    let changes = census.refresh();
    assert!(changes.groups.is_empty() && !changes.nodes);
}

#[test]
fn nobody_is_sent_to_a_member_whose_node_is_down_or_whose_service_is_critical() {
    let mut census = two_members();
    census.set_node(OTHER, address(2), Liveness::Suspect);
    assert_eq!(serving(&census.group(&group())), [ME, OTHER]);
    census.set_node(OTHER, address(2), Liveness::Down);
    assert_eq!(serving(&census.group(&group())), [ME]);
    let critical = MemberStatus { health: Health::Critical, ..up() };
    assert_eq!(census.apply(&record(Key::service(&group(), ME), 2, &critical)), Ok(None));
    assert!(serving(&census.group(&group())).is_empty());
}

#[test]
fn a_node_that_said_goodbye_has_left_however_the_ring_came_to_know_of_its_silence() {
    let mut census = two_members();
    let facts = NodeFacts { left: true, ..NodeFacts::default() };
    assert_eq!(census.apply(&record(Key::node(OTHER), 1, &facts)), Ok(None));
    census.set_node(OTHER, address(2), Liveness::Down);
    assert_eq!(census.node(OTHER).unwrap().liveness, Liveness::Left);
}

#[test]
fn the_last_leader_is_shown_until_the_next_one_is_known() {
    let mut census = two_members();
    seat(&mut census, Some(OTHER), 1);
    seat(&mut census, None, 1);
    census.set_election(&group(), &Seat::Leader, ElectionState::Running, "");
    let view = census.group(&group());
    assert_eq!(view.leader.map(|leader| leader.node), Some(OTHER));
    assert_eq!(view.election, ElectionState::Running);
}

#[test]
fn without_a_quorum_no_leader_is_shown() {
    let mut census = two_members();
    seat(&mut census, Some(OTHER), 1);
    census.set_election(&group(), &Seat::Leader, ElectionState::NoQuorum, "voters do not answer");
    let view = census.group(&group());
    assert_eq!(view.leader, None);
    assert!(!view.members[&OTHER].leader);
}

#[test]
fn of_itself_a_node_believes_its_lease_and_not_what_is_said() {
    let mut census = two_members();
    seat(&mut census, Some(ME), 3);
    assert!(!census.group(&group()).members[&ME].leader);
    census.set_held(&group(), &Seat::Leader, Some(Term(3)));
    assert!(census.group(&group()).members[&ME].leader);
}

#[test]
fn who_leads_is_known_before_any_member_is() {
    let mut census = Census::new(ME);
    census.watch(&group());
    seat(&mut census, Some(OTHER), 4);
    drop(census.refresh());
    assert_eq!(census.group_ids().count(), 0);
    census.set_node(OTHER, address(2), Liveness::Alive);
    assert_eq!(census.apply(&record(Key::service(&group(), OTHER), 1, &up())), Ok(None));
    assert_eq!(changed(&mut census), [group()]);
    assert!(census.group(&group()).members[&OTHER].leader);
}

fn revision(sequence: u64, parent: Option<&str>, toml: &str) -> ConfigRevision {
    ConfigRevision { sequence, parent: parent.map(str::to_owned), toml: toml.to_owned(), ..ConfigRevision::default() }
}

#[test]
fn of_two_configs_that_were_applied_at_once_the_newer_is_in_force_and_the_other_is_reported() {
    let mut census = two_members();
    let first = record(Key::config(&group(), "1-a"), 10, &revision(1, None, "a = 1"));
    let left = record(Key::config(&group(), "2-l"), 20, &revision(2, Some("1-a"), "a = 2"));
    let right = record(Key::config(&group(), "2-r"), 21, &revision(2, Some("1-a"), "a = 3"));
    for order in [[&first, &left, &right], [&right, &left, &first]] {
        let mut census = census.clone();
        let lost: Vec<_> = order.iter().filter_map(|record| census.apply(record).unwrap()).collect();
        assert_eq!(lost.len(), 1);
        assert_eq!((lost[0].revision.as_str(), lost[0].by.as_str()), ("2-l", "2-r"));
        let history = census.config_history(&group());
        let standings: Vec<_> = history.iter().map(|entry| (entry.revision.as_str(), entry.standing)).collect();
        let expected = [("2-r", Standing::Current), ("2-l", Standing::Superseded), ("1-a", Standing::Replaced)];
        assert_eq!(standings, expected);
        assert_eq!(&*census.group(&group()).config.as_ref().unwrap().toml, "a = 3");
    }
    assert!(census.refresh().groups.is_empty());
}

#[test]
fn a_record_that_cannot_be_read_changes_nothing_and_is_named() {
    let mut census = two_members();
    let mut garbage = record(Key::service(&group(), OTHER), 2, &up());
    garbage.value = Some("{".into());
    let error = census.apply(&garbage).unwrap_err();
    assert!(error.to_string().contains("service/web.default"), "{error}");
    assert!(census.refresh().groups.is_empty());
    assert_eq!(serving(&census.group(&group())), [ME, OTHER]);
}

#[test]
fn a_withdrawn_member_is_gone_and_an_empty_group_is_forgotten() {
    let mut census = two_members();
    for id in [ME, OTHER] {
        let tombstone = Record { value: None, ..record(Key::service(&group(), id), 2, &up()) };
        assert_eq!(census.apply(&tombstone), Ok(None));
    }
    assert_eq!(changed(&mut census), [group()]);
    assert!(census.group(&group()).members.is_empty());
    assert_eq!(census.group_ids().count(), 0);
}

#[test]
fn the_rules_of_a_group_are_those_of_its_lowest_live_member() {
    let mut census = two_members();
    let other = MemberStatus { topology: Topology::Standalone, ..up() };
    assert_eq!(census.apply(&record(Key::service(&group(), OTHER), 2, &other)), Ok(None));
    assert_eq!(census.group(&group()).topology, Topology::Leader);
    census.set_node(ME, address(1), Liveness::Down);
    assert_eq!(census.group(&group()).topology, Topology::Standalone);
}

/// A rollout of release 2 in the place of release 1, in this state, of what was asked for at 5.
fn rollout(status: RolloutStatus) -> Record {
    let to = |byte| Target { release: Some(Hash::from_bytes([byte; 32])), ..Target::default() };
    let asked_parts = AskedParts { release: 5, ..AskedParts::default() };
    let rollout =
        Rollout { id: 1, step: 1, asked: 5, asked_parts, from: to(1), to: to(2), status, ..Rollout::default() };
    Record { stamp: Stamp { term: 1, time: 9, node: OTHER }, ..record(Key::rollout(&group()), 9, &rollout) }
}

fn release(byte: u8, time: u64) -> Record {
    let hash = Hash::from_bytes([byte; 32]);
    let release = ReleaseRef {
        origin: None,
        name: "web".parse().unwrap(),
        version: "1".parse().unwrap(),
        manifest: hash,
        blob: BlobRef { id: hash, bytes: 1 },
    };
    record(Key::release(&group()), time, &DesiredRelease { release, earlier: Vec::new(), at: Wall(0), by: None })
}

#[test]
fn a_release_that_was_rolled_back_does_not_come_back_with_the_next_config() {
    for (status, expected) in [
        (RolloutStatus::Done, 2),
        (RolloutStatus::Halted, 2),
        (RolloutStatus::RollingBack, 1),
        (RolloutStatus::RolledBack, 1),
    ] {
        let mut census = two_members();
        census.apply(&release(2, 5)).unwrap();
        census.apply(&rollout(status)).unwrap();
        let config = ConfigRevision { toml: "a = 1".to_owned(), ..ConfigRevision::default() };
        census.apply(&record(Key::config(&group(), "1-a"), 7, &config)).unwrap();
        let view = census.group(&group());
        assert_eq!(view.target.release, Some(Hash::from_bytes([expected; 32])), "{status:?}");
        assert_eq!((view.target.config.as_deref(), view.asked), (Some("1-a"), 7));
        // The same release, asked for once more.
        census.apply(&release(2, 8)).unwrap();
        assert_eq!(census.group(&group()).target.release, Some(Hash::from_bytes([2; 32])));
    }
}

#[test]
fn a_config_that_was_rolled_back_is_not_in_force_and_says_so() {
    let config = |name: Option<&str>| Target { config: name.map(str::to_owned), ..Target::default() };
    for (status, from, expected) in [
        (RolloutStatus::Running, Some("1-a"), [Standing::Current, Standing::Replaced]),
        (RolloutStatus::RolledBack, Some("1-a"), [Standing::RolledBack, Standing::Current]),
        (RolloutStatus::RolledBack, None, [Standing::RolledBack, Standing::Replaced]),
        // Which it went back to is not known here: yet, or any more.
        (RolloutStatus::RolledBack, Some("0-x"), [Standing::Current, Standing::Replaced]),
    ] {
        let mut census = two_members();
        census.apply(&record(Key::config(&group(), "1-a"), 3, &revision(1, None, "a = 1"))).unwrap();
        census.apply(&record(Key::config(&group(), "2-b"), 5, &revision(2, Some("1-a"), "a = 2"))).unwrap();
        let asked_parts = AskedParts { config: 5, ..AskedParts::default() };
        let (from, to) = (config(from), config(Some("2-b")));
        let rollout = Rollout { id: 1, step: 1, asked: 5, asked_parts, from, to, status, ..Rollout::default() };
        census.apply(&record(Key::rollout(&group()), 9, &rollout)).unwrap();
        let standings: Vec<_> = census.config_history(&group()).iter().map(|entry| entry.standing).collect();
        assert_eq!(standings, expected, "{rollout:?}");
        let shown = census.group(&group()).config.as_ref().map(|config| config.revision.clone());
        let current = census.config_history(&group()).into_iter().find(|entry| entry.standing == Standing::Current);
        assert_eq!(shown, current.map(|entry| entry.revision), "{rollout:?}");
    }
}

#[test]
fn a_part_of_what_is_wanted_that_comes_late_is_not_taken_for_one_that_was_taken_up() {
    let mut census = two_members();
    census.apply(&rollout(RolloutStatus::Done)).unwrap();
    assert_eq!(census.group(&group()).target.release, Some(Hash::from_bytes([2; 32])), "the record knows of it");
    // Asked for before the rollout was, elsewhere.
    let down = Desired { state: DesiredState::Down, ..Desired::default() };
    census.apply(&record(Key::desired(&group()), 4, &down)).unwrap();
    assert_eq!(census.group(&group()).target.state, DesiredState::Down);
}
