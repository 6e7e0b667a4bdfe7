//! The whole context, name by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::uses::Uses;
use super::{Bind, Inputs, PkgContext, Role, SysContext, context, context_hash, sample};
use crate::base::{NodeId, Term};
use crate::census::{ElectionState, GroupView, Liveness, MemberView, NodeView, SeatView};
use crate::plan::{BindSpec, Plan};
use crate::records::value::{Health, MemberStatus, NodeFacts, ServiceState, Topology};

fn member(id: u128, liveness: Liveness) -> MemberView {
    let last = u8::try_from(id).unwrap() + 1;
    let facts = NodeFacts {
        hostname: format!("host{last}"),
        version: "1".to_owned(),
        ip: format!("127.0.0.{last}"),
        gossip_port: 9638,
        http_ip: format!("127.0.0.{last}"),
        http_port: 9631,
        left: false,
    };
    let status = MemberStatus {
        topology: Topology::Leader,
        state: ServiceState::Up,
        health: Health::Ok,
        ident: "core/redis/7.0".to_owned(),
        release: "0123456789ab".to_owned(),
        exports: BTreeMap::from([("port".to_owned(), json!(6379)), ("group".to_owned(), json!("hidden"))]),
        paths: BTreeMap::from([("svc_path".to_owned(), "/d/svc/redis".to_owned())]),
        ..MemberStatus::default()
    };
    MemberView {
        node: NodeView {
            id: NodeId::from_u128(id),
            address: format!("127.0.0.{last}:9638").parse().unwrap(),
            liveness,
            facts: Arc::new(facts),
        },
        status: Arc::new(status),
        leader: false,
        updater: false,
    }
}

/// Members 1 to 4: alive and leading, suspect, down, left.
fn group() -> GroupView {
    let mut view = GroupView::empty("redis.default".parse().unwrap());
    for (id, liveness) in [(1, Liveness::Alive), (2, Liveness::Suspect), (3, Liveness::Down), (4, Liveness::Left)] {
        let member = MemberView { leader: id == 1, ..member(id, liveness) };
        view.members.insert(member.node.id, member);
    }
    view.topology = Topology::Leader;
    view.election = ElectionState::Finished;
    view.leader = Some(SeatView { node: NodeId::from_u128(1), term: Term(7) });
    view
}

fn sys() -> SysContext {
    SysContext { ip: "127.0.0.9".to_owned(), hostname: "me".to_owned(), gossip_port: 9638, ..SysContext::default() }
}

fn make(svc: &GroupView, me: u128, binds: &[(&str, &GroupView, &BindSpec)]) -> Value {
    let cfg = toml::from_str("port = 1\n[a]\nb = [1.5]\n").unwrap();
    let binds = binds.iter().map(|(name, group, spec)| (name.parse().unwrap(), Bind { group, spec })).collect();
    let pkg = PkgContext { name: "redis".to_owned(), ..PkgContext::default() };
    context(&Inputs {
        sys: &sys(),
        pkg: &pkg,
        cfg: &cfg,
        me: NodeId::from_u128(me),
        svc,
        binds: &binds,
        uses: &Uses::everything(),
    })
}

#[test]
fn a_member_has_all_of_its_names() {
    let all = make(&group(), 2, &[]);
    let leader = json!({
        "member_id": "00000000000000000000000000000001",
        "pkg": {
            "origin": "core", "name": "redis", "version": "7.0", "release": "0123456789ab",
            "ident": "core/redis/7.0/0123456789ab", "svc_path": "/d/svc/redis",
        },
        "package": "core/redis/7.0/0123456789ab",
        "service": "redis", "group": "default", "org": null,
        "leader": true, "follower": false, "update_leader": false, "update_follower": false,
        "alive": true, "suspect": false, "confirmed": false, "departed": false, "persistent": false,
        "sys": {
            "ip": "127.0.0.2", "hostname": "host2", "gossip_ip": "127.0.0.2", "gossip_port": 9638,
            "http_gateway_ip": "127.0.0.2", "http_gateway_port": 9631,
            "ctl_gateway_ip": "127.0.0.2", "ctl_gateway_port": 9631,
        },
        "cfg": {"port": 6379, "group": "hidden"},
        "health": "ok", "state": "up", "term": 7, "release": "0123456789ab",
        "election_is_running": false, "election_is_no_quorum": false, "election_is_finished": true,
        "update_election_is_running": false, "update_election_is_no_quorum": false,
        "update_election_is_finished": false,
        "ip": "127.0.0.2", "port": 6379,
    });
    assert_eq!(all["svc"]["leader"], leader);
    assert_eq!(all["svc"]["first"], leader);
    let me = &all["svc"]["me"];
    assert_eq!((&me["leader"], &me["follower"], &me["term"]), (&json!(false), &json!(true), &Value::Null));
    assert_eq!((&me["alive"], &me["suspect"]), (&json!(false), &json!(true)));
}

#[test]
fn the_context_has_all_of_its_names() {
    let all = make(&group(), 1, &[]);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&all), ["sys", "pkg", "cfg", "svc", "bind"]);
    assert_eq!(
        names(&all["sys"]),
        [
            "version",
            "member_id",
            "ip",
            "hostname",
            "gossip_ip",
            "gossip_port",
            "http_gateway_ip",
            "http_gateway_port",
            "ctl_gateway_ip",
            "ctl_gateway_port",
            "permanent"
        ]
    );
    let mut svc = names(&all["svc"]);
    svc.sort();
    assert_eq!(
        svc,
        [
            "election_is_finished",
            "election_is_no_quorum",
            "election_is_running",
            "first",
            "group",
            "leader",
            "me",
            "members",
            "org",
            "service",
            "update_election_is_finished",
            "update_election_is_no_quorum",
            "update_election_is_running",
            "update_leader"
        ]
    );
    assert_eq!(all["cfg"], json!({"port": 1, "a": {"b": [1.5]}}));
}

#[test]
fn a_package_has_all_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.toml"), "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n").unwrap();
    let plan = Plan::load(dir.path()).unwrap();
    let all = sample(&plan, &plan.defaults, Role::Single);
    let mut names: Vec<_> = all["pkg"].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "deps",
            "env",
            "exports",
            "exposes",
            "ident",
            "name",
            "origin",
            "path",
            "release",
            "svc_config_install_path",
            "svc_config_path",
            "svc_data_path",
            "svc_files_path",
            "svc_group",
            "svc_path",
            "svc_pid_file",
            "svc_run",
            "svc_static_path",
            "svc_user",
            "svc_var_path",
            "version"
        ]
    );
    assert_eq!(all["pkg"]["ident"], json!(format!("local/x/1/{}", plan.release)));
}

#[test]
fn members_of_the_own_group_are_those_that_answer() {
    let all = make(&group(), 1, &[]);
    let ids: Vec<_> = all["svc"]["members"].as_array().unwrap().iter().map(|member| &member["ip"]).collect();
    assert_eq!(ids, ["127.0.0.2", "127.0.0.3"]);
}

#[test]
fn a_leader_is_there_only_when_one_is_known() {
    let mut view = group();
    view.members.values_mut().for_each(|member| member.leader = false);
    let all = make(&view, 1, &[]);
    assert!(all["svc"]["leader"].is_null());
    assert_eq!(all["svc"]["me"]["follower"], json!(false));
    assert_eq!(all["svc"]["first"]["ip"], json!("127.0.0.2"));
}

#[test]
fn a_bind_is_there_only_while_it_is_satisfied() {
    let spec = BindSpec { exports: vec!["port".to_owned()] };
    let other = BindSpec { exports: vec!["admin".to_owned()] };
    let view = group();
    let all = make(&view, 1, &[("db", &view, &spec), ("other", &view, &other)]);
    assert_eq!(all["bind"].as_object().unwrap().keys().collect::<Vec<_>>(), ["db"]);
    assert_eq!(all["bind"]["db"]["members"].as_array().unwrap().len(), 2);
    assert_eq!(all["bind"]["db"]["leader"]["term"], json!(7));

    let mut sick = view;
    for member in sick.members.values_mut() {
        let id = member.node.id;
        let status = Arc::make_mut(&mut member.status);
        status.health = if id == NodeId::from_u128(1) { Health::Critical } else { Health::Warning };
    }
    let all = make(&group(), 1, &[("db", &sick, &spec)]);
    assert_eq!(all["bind"]["db"]["members"].as_array().unwrap().len(), 1);
    assert!(all["bind"]["db"]["leader"].is_null(), "a leader that is critical is not shown");
    assert_eq!(all["bind"]["db"]["first"]["ip"], json!("127.0.0.3"));

    sick.members.values_mut().for_each(|member| Arc::make_mut(&mut member.status).state = ServiceState::Down);
    assert_eq!(make(&group(), 1, &[("db", &sick, &spec)])["bind"], json!({}));
}

#[test]
fn a_node_that_nobody_has_heard_of_sees_itself() {
    let all = make(&group(), 99, &[]);
    assert_eq!(all["svc"]["me"]["sys"]["ip"], json!("127.0.0.9"));
    assert_eq!(all["svc"]["me"]["member_id"], json!(NodeId::from_u128(99)));
}

#[test]
fn the_hash_changes_with_what_a_template_can_see() {
    let base = make(&group(), 1, &[]);
    assert_eq!(context_hash(&base), context_hash(&make(&group(), 1, &[])));
    let mut view = group();
    view.leader = Some(SeatView { node: NodeId::from_u128(1), term: Term(8) });
    assert_ne!(context_hash(&base), context_hash(&make(&view, 1, &[])));
}
