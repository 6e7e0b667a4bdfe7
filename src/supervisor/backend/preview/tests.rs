use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::{Ground, OwnLayers, bound};
use crate::api::shape::{ConfigEffect, ConfigPreview};
use crate::base::NodeId;
use crate::census::{ConfigView, GroupView, Liveness, MemberView, NodeView};
use crate::plan::{Plan, ServicePaths};
use crate::records::value::{MemberStatus, NodeFacts};
use crate::service::ServiceSpec;
use crate::template::Templates;

const ME: NodeId = NodeId::from_u128(1 << 100);
const OTHER: NodeId = NodeId::from_u128(2 << 100);
const AWAY: NodeId = NodeId::from_u128(3 << 100);

fn member(id: NodeId, last: u8, liveness: Liveness) -> MemberView {
    let facts = NodeFacts { ip: format!("127.0.0.{last}"), ..NodeFacts::default() };
    let exports = BTreeMap::from([("port".to_owned(), 1.into())]);
    MemberView {
        node: NodeView { id, address: ([127, 0, 0, last], 9638).into(), liveness, facts: Arc::new(facts) },
        status: Arc::new(MemberStatus { exports, pid: Some(1), ..MemberStatus::default() }),
        leader: false,
        updater: false,
    }
}

/// A plan of one template, on a node with two others, of which one is away. Keeps the plan's directory.
fn ground(template: &str, user: &str) -> (tempfile::TempDir, Ground) {
    ground_with(template, user, &[])
}

/// The same, with these hooks.
fn ground_with(template: &str, user: &str, hooks: &[(&str, &str)]) -> (tempfile::TempDir, Ground) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("hooks")).unwrap();
    for (name, text) in hooks {
        fs::write(dir.path().join("hooks").join(name), text).unwrap();
    }
    fs::create_dir(dir.path().join("config")).unwrap();
    let manifest =
        "name = \"web\"\nversion = \"1\"\nstrict-templates = true\nservice.run = \"x\"\n[exports]\nport = \"port\"\n";
    fs::write(dir.path().join("plan.toml"), manifest).unwrap();
    fs::write(dir.path().join("default.toml"), "port = 1\nhost = 'a'\n").unwrap();
    fs::write(dir.path().join("config/web.conf"), template).unwrap();
    let plan = Plan::load(dir.path()).unwrap();
    let paths = ServicePaths::new(dir.path(), &"web".parse().unwrap());
    fs::create_dir_all(paths.user_toml.parent().unwrap()).unwrap();
    fs::write(&paths.user_toml, user).unwrap();
    let spec = ServiceSpec::new("web".parse().unwrap(), dir.path().to_owned());
    let view = GroupView {
        config: Some(ConfigView { revision: "1-aa".to_owned(), toml: "port = 1\n".into() }),
        members: [
            (ME, member(ME, 2, Liveness::Alive)),
            (OTHER, member(OTHER, 3, Liveness::Alive)),
            (AWAY, member(AWAY, 4, Liveness::Down)),
        ]
        .into(),
        ..GroupView::empty("web.default".parse().unwrap())
    };
    let ground = Ground {
        templates: Templates::compile(&plan).unwrap(),
        own: Some(OwnLayers::read(&spec, &plan, &paths)),
        plan,
        paths,
        me: ME,
        view: Arc::new(view),
        binds: BTreeMap::new(),
    };
    assert!(bound(&spec).is_empty());
    (dir, ground)
}

fn addresses(preview: &ConfigPreview) -> Vec<Vec<&str>> {
    let named = |members: &'_ [super::MemberName]| -> usize { members.len() };
    assert!(preview.changes.iter().all(|change| named(&change.members) > 0));
    preview.changes.iter().map(|change| change.members.iter().map(|member| member.address.as_str()).collect()).collect()
}

#[test]
fn members_with_the_same_change_are_told_of_together() {
    let (_dir, ground) = ground("port {{cfg.port}}\nhost {{cfg.host}}\n", "");
    let preview = ground.preview("port = 2\n");
    assert_eq!(addresses(&preview), [["127.0.0.2:9638", "127.0.0.3:9638"]]);
    let expected = "--- config/web.conf\n+++ config/web.conf\n@@ -1,2 +1,2 @@\n-port 1\n+port 2\n host a\n";
    assert_eq!(preview.changes[0].files[0].diff, expected);
    assert_eq!((preview.revision.as_deref(), preview.plan.as_str()), (Some("1-aa"), "local/web/1"));
    assert_eq!(preview.away[0].address, "127.0.0.4:9638");
    assert_eq!(preview.layers_known_of.as_ref().unwrap().node_id, ME);
}

#[test]
fn what_becomes_of_a_members_process_is_what_its_service_would_do() {
    let effect = |hooks: &[(&str, &str)], config: &str| {
        let (_dir, mut ground) = ground_with("port {{cfg.port}}\n", "", hooks);
        let other = Arc::make_mut(&mut ground.view).members.get_mut(&OTHER).unwrap();
        Arc::make_mut(&mut other.status).pid = None;
        let changes = ground.preview(config).changes;
        changes.iter().map(|change| (change.members.len(), change.effect)).collect::<Vec<_>>()
    };
    let idle = (1, ConfigEffect::NextStart);
    assert_eq!(effect(&[], "port = 2\n"), [(1, ConfigEffect::Restart), idle]);
    let told = ("reconfigure", "exec true\n");
    assert_eq!(effect(&[told], "port = 2\n"), [(1, ConfigEffect::Reconfigure), idle]);
    let init = ("init", "echo {{cfg.host}}\n");
    assert_eq!(effect(&[told, init], "host = 'b'\nport = 1\n"), [(1, ConfigEffect::Restart), idle]);
    let check = ("health-check", "echo {{cfg.host}}\n");
    assert_eq!(effect(&[told, check], "host = 'b'\nport = 1\n"), [(1, ConfigEffect::Nothing), idle]);
    assert_eq!(effect(&[told], "host = 'b'\nport = 1\n"), []);
}

#[test]
fn each_member_is_shown_with_its_own_address() {
    let (_dir, ground) = ground("{{sys.ip}}:{{cfg.port}}\n", "");
    let preview = ground.preview("port = 2\n");
    let last = |at: usize| preview.changes[at].files[0].diff.lines().last().unwrap().to_owned();
    assert_eq!((last(0), last(1)), ("+127.0.0.2:2".to_owned(), "+127.0.0.3:2".to_owned()));
}

#[test]
fn what_other_members_export_changes_with_the_config() {
    let (_dir, ground) = ground("{{#each svc.members}}{{cfg.port}} {{/each}}\n", "");
    let diff = &ground.preview("port = 2\n").changes[0].files[0].diff;
    assert!(diff.contains("-1 1 \n+2 2 \n"), "{diff}");
}

#[test]
fn a_layer_of_this_nodes_own_member_is_taken_into_account() {
    let (_dir, ground) = ground("host {{cfg.host}}\nport {{cfg.port}}\n", "host = 'mine'\n");
    let preview = ground.preview("port = 2\n");
    assert_eq!(preview.changes.len(), 2);
    assert!(preview.changes[0].files[0].diff.contains(" host mine\n"), "{preview:?}");
    assert!(preview.changes[1].files[0].diff.contains(" host a\n"), "{preview:?}");
}

#[test]
fn a_config_that_changes_no_file_says_of_whom() {
    let (_dir, ground) = ground("host {{cfg.host}}\n", "");
    let preview = ground.preview("port = 2\n");
    assert_eq!((preview.changes.len(), preview.unchanged.len()), (0, 2));
}

#[test]
fn a_config_that_does_not_render_is_refused_with_the_place() {
    let (_dir, ground) = ground("first\n{{cfg.more}}\n", "");
    assert!(ground.check("more = 'x'\n").is_ok());
    let why = ground.check("port = 2\n").unwrap_err();
    assert!(why.contains("web.conf:2:"), "{why}");
    let preview = ground.preview("port = 2\n");
    assert!(preview.changes[0].error.as_ref().unwrap().contains("web.conf:2:"), "{preview:?}");
    let new = &ground.preview("more = 'x'\n").changes[0].files[0].diff;
    assert!(new.contains("+x\n"), "{new}");
}
