use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Command, CommandError, Done, FILES_PER_GROUP_MAX, Force, GroupRules, Input, Node, NodeConfig, NodeEvent, Output,
    Restored, TOKENS_MAX,
};
use crate::base::{FileName, GroupId, Hash, Mono, NodeId, Now, Role, TokenId, Wall};
use crate::census::{Liveness, Standing};
use crate::records::value::{
    Batch, DesiredState, FileContent, InlineBytes, MemberStatus, Rollout, RolloutOptions, RolloutStatus, ServiceState,
    Target, TokenRecord,
};
use crate::records::{Key, Write};
use crate::ring::{Identity, Profile};

fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000), wall: Wall(1_790_000_000_000 + seconds * 1000) }
}

fn node_with(has_peers: bool) -> Node {
    let address = SocketAddr::from(([127, 0, 0, 2], 9638));
    let config = NodeConfig {
        me: Identity { id: NodeId::from_u128(7), address, generation: 1 },
        profile: Profile::Local,
        has_peers,
        join_timeout: Duration::from_secs(10),
        max_clock_skew: Duration::from_secs(300),
        seed: 1,
    };
    Node::new(config, Restored::default(), at(0))
}

fn group() -> GroupId {
    "redis.default".parse().unwrap()
}

fn ready(outputs: &[Output]) -> Option<bool> {
    outputs.iter().find_map(|output| match output {
        Output::Event(NodeEvent::Ready { alone }) => Some(*alone),
        _ => None,
    })
}

fn apply(node: &mut Node, seconds: u64, toml: &str, expect: Option<&str>) -> Result<String, CommandError> {
    let expect = expect.map(str::to_owned);
    let (result, _) = node.execute(at(seconds), Command::ApplyConfig { group: group(), toml: toml.to_owned(), expect });
    result.map(|done| done.revision.unwrap())
}

fn in_force(node: &Node) -> String {
    node.census().group(&group()).config.as_ref().map(|config| config.toml.to_string()).unwrap_or_default()
}

#[test]
fn a_node_without_peers_is_ready_at_once_and_one_with_peers_waits_for_them_and_no_longer_than_its_timeout() {
    assert_eq!(ready(&node_with(false).handle(at(0), Input::Timer)), Some(true));
    let mut node = node_with(true);
    assert_eq!(ready(&node.handle(at(9), Input::Timer)), None);
    assert_eq!(ready(&node.handle(at(10), Input::Timer)), Some(true));
    assert!(node.is_ready());
}

#[test]
fn messages_of_kinds_that_only_newer_nodes_know_are_counted_and_nothing_else() {
    let mut node = node_with(false);
    let _first = node.handle(at(1), Input::Timer);
    let from = SocketAddr::from(([127, 0, 0, 3], 9638));
    let bytes = Bytes::from_static(&[99, 1, 2, 3]);
    assert_eq!(node.handle(at(1), Input::Datagram { from, bytes: bytes.clone() }), []);
    assert_eq!(node.handle(at(1), Input::StreamRequest { conn: 1, from, bytes }), []);
    assert_eq!(node.unread(), 2);
}

#[test]
fn a_node_sees_itself_alive() {
    let node = node_with(false);
    assert_eq!(node.census().node(NodeId::from_u128(7)).map(|me| me.liveness), Some(Liveness::Alive));
}

#[test]
fn an_applied_config_is_in_force_at_once_and_its_write_is_asked_for() {
    let mut node = node_with(false);
    let command = Command::ApplyConfig { group: group(), toml: "a = 1\n".to_owned(), expect: None };
    let (done, outputs) = node.execute(at(1), command);
    let write = done.unwrap().write;
    let persisted = outputs.iter().any(|output| match output {
        Output::Persist { write: number, items } => {
            Some(*number) == write && items.iter().any(|item| matches!(item, Write::Records(_)))
        }
        _ => false,
    });
    assert!(persisted, "{outputs:?}");
    assert_eq!(in_force(&node), "a = 1\n");
}

#[test]
fn the_same_config_again_is_no_new_revision() {
    let mut node = node_with(false);
    let first = apply(&mut node, 1, "a = 1", None).unwrap();
    assert_eq!(apply(&mut node, 2, "a = 1", None).unwrap(), first);
    assert_eq!(node.census().config_history(&group()).len(), 1);
}

#[test]
fn a_config_that_was_rolled_back_can_be_applied_again() {
    let mut node = node_with(false);
    let first = apply(&mut node, 1, "a = 1", None).unwrap();
    let second = apply(&mut node, 2, "a = 2", None).unwrap();
    let config = |revision: &str| Target { config: Some(revision.to_owned()), ..Target::default() };
    let rollout = Rollout {
        id: 1,
        step: 1,
        asked_parts: node.census().group(&group()).asked_parts,
        from: config(&first),
        to: config(&second),
        status: RolloutStatus::RolledBack,
        ..Rollout::default()
    };
    node.try_put_value(at(3), Key::rollout(&group()), &rollout, 0).unwrap();
    node.settle(at(3));
    assert_eq!(in_force(&node), "a = 1");
    // What was seen in force is what is expected, and what was undone is asked for anew.
    let third = apply(&mut node, 4, "a = 2", Some(&first)).unwrap();
    assert_ne!(third, second);
    assert_eq!(in_force(&node), "a = 2");
}

#[test]
fn what_is_expected_holds_for_a_rollback_and_an_unset_too() {
    let mut node = node_with(false);
    let first = apply(&mut node, 1, "a = 1", Some("none")).unwrap();
    let second = apply(&mut node, 2, "a = 2", Some(&first)).unwrap();
    let error =
        CommandError::Expectation { group: group(), file: None, expected: first.clone(), found: second.clone() };
    let expect = Some(first);
    let rollback = Command::RollbackConfig { group: group(), revision: None, expect: expect.clone() };
    assert_eq!(node.execute(at(3), rollback).0, Err(error.clone()));
    assert_eq!(node.execute(at(3), Command::UnsetConfig { group: group(), expect }).0, Err(error));
    let unset = Command::UnsetConfig { group: group(), expect: Some(second) };
    assert!(node.execute(at(4), unset).0.unwrap().changed);
}

#[test]
fn to_say_how_something_is_done_asks_for_nothing_new() {
    let mut node = node_with(false);
    let options = |batch| RolloutOptions { batch: Batch::Members(batch), ..RolloutOptions::default() };
    let set = |batch| Command::SetOptions { group: group(), options: options(batch) };
    node.execute(at(1), set(2)).0.unwrap();
    assert_eq!(node.census().group(&group()).asked, 0);
    node.execute(at(2), Command::SetDesired { group: group(), state: DesiredState::Down }).0.unwrap();
    let asked = node.census().group(&group()).asked;
    assert!(asked > 0);
    assert!(node.execute(at(3), set(3)).0.unwrap().changed);
    let view = node.census().group(&group());
    assert_eq!((view.asked, view.options), (asked, Some(options(3))));
    assert_eq!(view.target.state, DesiredState::Down);
    node.execute(at(4), Command::SetDesired { group: group(), state: DesiredState::Up }).0.unwrap();
    assert!(node.census().group(&group()).asked > asked);
}

#[test]
fn a_config_is_refused_when_another_than_the_expected_revision_is_in_force() {
    let mut node = node_with(false);
    let first = apply(&mut node, 1, "a = 1", Some("none")).unwrap();
    let second = apply(&mut node, 2, "a = 2", Some(&first)).unwrap();
    let error = apply(&mut node, 3, "a = 3", Some(&first)).unwrap_err();
    assert_eq!(error, CommandError::Expectation { group: group(), file: None, expected: first, found: second });
    assert_eq!(in_force(&node), "a = 2");
}

#[test]
fn a_rollback_without_a_revision_goes_back_one_and_with_one_goes_there() {
    let mut node = node_with(false);
    let first = apply(&mut node, 1, "a = 1", None).unwrap();
    apply(&mut node, 2, "a = 2", None).unwrap();
    apply(&mut node, 3, "a = 3", None).unwrap();
    let (back, _) = node.execute(at(4), Command::RollbackConfig { group: group(), revision: None, expect: None });
    assert!(back.unwrap().changed);
    assert_eq!(in_force(&node), "a = 2");
    let (there, _) =
        node.execute(at(5), Command::RollbackConfig { group: group(), revision: Some(first), expect: None });
    assert!(there.unwrap().changed);
    assert_eq!(in_force(&node), "a = 1");
    let standings: Vec<_> = node.census().config_history(&group()).iter().map(|entry| entry.standing).collect();
    assert_eq!(standings[0], Standing::Current);
    assert!(standings[1..].iter().all(|standing| *standing == Standing::Replaced));
}

#[test]
fn a_rollback_of_the_first_revision_goes_back_to_the_defaults() {
    let mut node = node_with(false);
    apply(&mut node, 1, "a = 1", None).unwrap();
    let (back, _) = node.execute(at(2), Command::RollbackConfig { group: group(), revision: None, expect: None });
    assert!(back.unwrap().changed);
    assert_eq!(in_force(&node), "");
    let (none, _) = node.execute(
        at(2),
        Command::RollbackConfig { group: "web.default".parse().unwrap(), revision: None, expect: None },
    );
    assert!(matches!(none, Err(CommandError::NoRevision { .. })));
}

#[test]
fn a_file_has_a_history_of_its_own_and_goes_back_in_it() {
    let mut node = node_with(false);
    let name: FileName = "users.acl".parse().unwrap();
    let content =
        |text: &'static str| FileContent::Inline(InlineBytes::new(Bytes::from_static(text.as_bytes())).unwrap());
    let put = |node: &mut Node, second, text| {
        let (group, name, content) = (group(), name.clone(), content(text));
        node.execute(at(second), Command::PutFile { group, name, content, expect: None }).0.unwrap()
    };
    let first = put(&mut node, 1, "one");
    assert_eq!(put(&mut node, 2, "one"), Done { write: None, changed: false, ..first.clone() });
    put(&mut node, 3, "two");
    let in_force = |node: &Node| node.census().group(&group()).files.get(&name).map(|file| file.value.content.clone());
    assert_eq!(in_force(&node), Some(content("two")));
    let back = |revision| Command::RollbackFile { group: group(), name: name.clone(), revision, expect: None };
    assert!(node.execute(at(4), back(None)).0.unwrap().changed);
    assert_eq!(in_force(&node), Some(content("one")));
    assert!(
        node.execute(at(5), Command::RemoveFile { group: group(), name: name.clone(), expect: None })
            .0
            .unwrap()
            .changed
    );
    assert_eq!(in_force(&node), None);
    assert!(node.execute(at(6), back(first.revision)).0.unwrap().changed);
    assert_eq!(in_force(&node), Some(content("one")));
    let history = node.census().file_history(&group(), &name);
    let actions: Vec<&str> = history.iter().map(|entry| entry.value.action.as_str()).collect();
    assert_eq!(actions.len(), 5);
    assert!(actions[1] == "remove" && actions[4] == "upload", "{actions:?}");
    let error = node.execute(at(7), back(Some("9-x".to_owned()))).0.unwrap_err();
    assert!(error.to_string().starts_with("file users.acl of"), "{error}");
}

#[test]
fn a_group_has_its_number_of_files_and_not_one_more() {
    let mut node = node_with(false);
    let mut put = |number: usize| {
        let content = FileContent::Inline(InlineBytes::new(Bytes::from_static(b"x")).unwrap());
        let name = format!("file-{number}").parse().unwrap();
        let second = number as u64 + 1;
        node.execute(at(second), Command::PutFile { group: group(), name, content, expect: None }).0
    };
    for number in 0..FILES_PER_GROUP_MAX {
        assert!(put(number).is_ok());
    }
    assert!(matches!(put(FILES_PER_GROUP_MAX), Err(CommandError::TooManyFiles { .. })));
    assert!(put(0).is_ok());
}

#[test]
fn a_rollback_to_what_never_was_says_what_there_is() {
    let mut node = node_with(false);
    let first = apply(&mut node, 1, "a = 1", None).unwrap();
    let revision = Some("9-deadbeef".to_owned());
    let (result, _) = node.execute(at(2), Command::RollbackConfig { group: group(), revision, expect: None });
    let text = result.unwrap_err().to_string();
    assert!(text.contains("9-deadbeef") && text.contains(&first), "{text}");
}

#[test]
fn an_unset_config_leaves_the_defaults_in_force_and_its_history_in_place() {
    let mut node = node_with(false);
    apply(&mut node, 1, "a = 1", None).unwrap();
    let (done, _) = node.execute(at(2), Command::UnsetConfig { group: group(), expect: None });
    assert!(done.unwrap().changed);
    assert_eq!(in_force(&node), "");
    assert_eq!(node.census().config_history(&group()).len(), 2);
}

#[test]
fn twenty_revisions_are_kept_and_the_oldest_goes_first() {
    let mut node = node_with(false);
    let first = apply(&mut node, 1, "a = 1", None).unwrap();
    for number in 2..=super::REVISIONS_KEPT as u64 {
        apply(&mut node, number, &format!("a = {number}"), None).unwrap();
    }
    let kept = |node: &Node| node.census().config_history(&group());
    assert!(kept(&node).iter().any(|entry| entry.revision == first));
    apply(&mut node, 21, "a = 21", None).unwrap();
    assert_eq!(kept(&node).len(), super::REVISIONS_KEPT);
    assert!(!kept(&node).iter().any(|entry| entry.revision == first));
}

#[test]
fn a_published_member_is_in_its_groups_view_and_a_withdrawn_one_is_not() {
    let mut node = node_with(false);
    let status = Box::new(MemberStatus { state: ServiceState::Up, eligible: true, ..MemberStatus::default() });
    let rules = GroupRules { min_members: 1, council_size: 5, replace_voter_after: Duration::from_secs(60) };
    let (done, outputs) = node.execute(at(1), Command::Publish { group: group(), status, rules });
    assert!(done.unwrap().changed);
    assert!(outputs.contains(&Output::Event(NodeEvent::Group(group()))));
    assert_eq!(node.census().group(&group()).members.len(), 1);
    let (done, _) = node.execute(at(2), Command::Withdraw { group: group() });
    assert!(done.unwrap().changed);
    assert!(node.census().group(&group()).members.is_empty());
}

#[test]
fn a_failed_write_is_reported_once_until_writes_succeed_again() {
    let mut node = node_with(false);
    let mut notes = |ok| {
        let outputs = node.handle(at(1), Input::Persisted { write: 99, ok });
        outputs.iter().filter(|output| matches!(output, Output::Event(NodeEvent::Note(_)))).count()
    };
    assert_eq!([notes(true), notes(false), notes(false), notes(true), notes(true)], [0, 1, 0, 1, 0]);
}

#[test]
fn a_node_departs_those_that_are_silent_and_neither_itself_nor_who_answers() {
    let mut node = node_with(false);
    let other = NodeId::from_u128(9);
    let depart = |node: &mut Node, who, force| node.execute(at(1), Command::Depart { node: who, force }).0;
    assert_eq!(depart(&mut node, NodeId::from_u128(7), Force::Yes), Err(CommandError::DepartsItself));
    assert_eq!(depart(&mut node, other, Force::Yes), Err(CommandError::UnknownMember { node: other }));
    let address = SocketAddr::from(([127, 0, 0, 3], 9638));
    node.census.set_node(other, address, Liveness::Suspect);
    assert_eq!(depart(&mut node, other, Force::No), Err(CommandError::StillThere { node: other, address }));
    node.census.set_node(other, address, Liveness::Down);
    assert!(depart(&mut node, other, Force::No).unwrap().changed);
    assert_eq!(node.census().node(other).map(|node| node.liveness), Some(Liveness::Departed));
    assert!(!depart(&mut node, other, Force::No).unwrap().changed, "it has departed already");
    node.census.set_node(other, address, Liveness::Alive);
    assert_eq!(node.census().node(other).map(|node| node.liveness), Some(Liveness::Departed), "whatever the ring says");
    let undepart = |node: &mut Node| node.execute(at(2), Command::Undepart { node: other }).0;
    assert!(undepart(&mut node).unwrap().changed);
    assert_eq!(node.census().departure(other), None);
}

#[test]
fn a_council_is_given_up_by_a_node_that_has_a_part_in_it_only() {
    let mut node = node_with(false);
    let error = node.execute(at(1), Command::Recover { group: group() }).0.unwrap_err();
    assert_eq!(error, CommandError::Recover { group: group(), why: crate::election::RecoverError::NoPart });
}

#[test]
fn a_ring_has_so_many_tokens_and_those_that_have_expired_make_room() {
    let mut node = node_with(false);
    let id = |n: usize| {
        let [.., high, low] = n.to_be_bytes();
        TokenId::from_bytes([0, 0, 0, 0, high, low])
    };
    let token = |expires| TokenRecord {
        hash: Hash::of(b"secret"),
        role: Role::Read,
        name: "ci".to_owned(),
        created: at(1).wall,
        expires,
        by: NodeId::from_u128(7),
    };
    let mut add = |seconds, n, expires: Option<Wall>| {
        node.execute(at(seconds), Command::NewToken { id: id(n), token: token(expires) }).0
    };
    add(1, 0, Some(at(5).wall)).unwrap();
    for n in 1..TOKENS_MAX {
        add(1, n, None).unwrap();
    }
    assert_eq!(add(4, TOKENS_MAX, None), Err(CommandError::TooManyTokens { limit: TOKENS_MAX }));
    add(5, TOKENS_MAX, None).expect("one has expired");
    assert_eq!(add(6, TOKENS_MAX + 1, None), Err(CommandError::TooManyTokens { limit: TOKENS_MAX }));
    assert_eq!((node.token(id(0)), node.token(id(1))), (None, Some(token(None))));
    assert_eq!(node.tokens().count(), TOKENS_MAX);
}

#[test]
fn a_token_that_is_revoked_is_gone_and_cannot_be_revoked_again() {
    let mut node = node_with(false);
    let id = TokenId::from_bytes([1; 6]);
    let token = TokenRecord {
        hash: Hash::of(b"secret"),
        role: Role::Admin,
        name: String::new(),
        created: at(1).wall,
        expires: None,
        by: NodeId::from_u128(7),
    };
    let mut execute = |command| node.execute(at(1), command).0;
    assert_eq!(execute(Command::RevokeToken { id }), Err(CommandError::UnknownToken { id }));
    assert!(execute(Command::NewToken { id, token }).unwrap().changed);
    assert!(execute(Command::RevokeToken { id }).unwrap().changed);
    assert_eq!(execute(Command::RevokeToken { id }), Err(CommandError::UnknownToken { id }));
    assert_eq!((node.token(id), node.tokens().count()), (None, 0));
}
