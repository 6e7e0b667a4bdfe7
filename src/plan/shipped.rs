//! The plans that ship: each is checked and rendered for every role.

use std::path::{Path, PathBuf};

use crate::plan::check::check;
use crate::plan::config::{Unknown, validate};
use crate::plan::{Plan, builtin};
use crate::template::{Role, Templates, sample, sample_as_seen};

const SHIPPED: [&str; 4] = ["demo", "redis", "nginx", "haproxy"];

fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name)
}

fn load(name: &str) -> Plan {
    Plan::load(&dir(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// The text of a rendered file.
fn rendered(plan: &Plan, config: &str, role: Role, file: &str) -> String {
    let mut cfg = plan.defaults.clone();
    crate::plan::config::merge(&mut cfg, &toml::from_str(config).unwrap());
    let files = Templates::compile(plan).unwrap().render_all(&sample(plan, &cfg, role)).unwrap();
    let found = files.into_iter().find(|rendered| rendered.path == Path::new(file)).unwrap();
    String::from_utf8(found.bytes).unwrap()
}

#[test]
fn every_shipped_plan_passes_its_check() {
    for name in SHIPPED {
        let plan = load(name);
        assert_eq!(plan.manifest.name.as_str(), name);
        check(&plan).unwrap_or_else(|complaints| panic!("{name}:\n{complaints}"));
        validate("default.toml", &plan.defaults_text, &plan, Unknown::Refused).unwrap();
    }
}

#[test]
fn what_no_template_of_a_plan_can_see_changes_nothing_of_what_it_renders() {
    for name in SHIPPED {
        let plan = load(name);
        let templates = Templates::compile(&plan).unwrap();
        for role in Role::ALL {
            let whole = templates.render_all(&sample(&plan, &plan.defaults, role)).unwrap();
            let seen = sample_as_seen(&plan, &plan.defaults, role, templates.uses());
            assert_eq!(templates.render_all(&seen).unwrap(), whole, "{name}");
        }
    }
    let demo = Templates::compile(&load("demo")).unwrap();
    assert!(demo.uses().svc("leader") && !demo.uses().svc("members"), "a demo node looks at every member");
}

#[test]
fn every_directory_of_plans_is_a_shipped_plan() {
    let mut found: Vec<_> =
        std::fs::read_dir(dir("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let mut shipped = SHIPPED.map(str::to_owned).to_vec();
    shipped.sort();
    assert_eq!(found, shipped);
}

#[test]
fn the_built_in_plan_is_the_shipped_one() {
    let root = tempfile::tempdir().unwrap();
    let materialised = builtin::materialise(root.path()).unwrap();
    assert_eq!(Plan::load(&materialised).unwrap().release, load("demo").release);
    assert_eq!(builtin::materialise(root.path()).unwrap(), materialised);
}

#[test]
fn the_demos_config_file_is_what_the_demo_reads() {
    let plan = load("demo");
    for (role, name, term) in
        [(Role::Single, "standalone", 0), (Role::Leader, "leader", 3), (Role::Follower, "follower", 3)]
    {
        let text = rendered(&plan, "message = 'say \"hi\"\\n'", role, "config/demo.toml");
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!((table["role"].as_str(), table["term"].as_integer()), (Some(name), Some(term)));
        assert_eq!(table["message"].as_str(), Some("say \"hi\"\\n"));
        assert_eq!(table["fail_health"].as_bool(), Some(false));
    }
}

#[test]
fn a_redis_follows_the_leader_unless_it_leads() {
    let plan = load("redis");
    let follows = |role| {
        let conf = rendered(&plan, "", role, "config/replication.conf");
        conf.lines().filter(|line| !line.starts_with('#')).collect::<String>()
    };
    assert_eq!(follows(Role::Single), "");
    assert_eq!(follows(Role::Leader), "");
    assert_eq!(follows(Role::Follower), "replicaof 127.0.0.3 6379");
    let hook = |role| rendered(&plan, "", role, "hooks/reconfigure");
    assert!(hook(Role::Leader).contains("echo REPLICAOF NO ONE\n"));
    assert!(hook(Role::Follower).contains("echo REPLICAOF 127.0.0.3 6379\n"));
    assert!(!hook(Role::Single).contains("\n    echo REPLICAOF") && !hook(Role::Single).contains("\n    step_down"));
}

#[test]
fn a_redis_that_does_not_know_its_leader_is_no_master() {
    let plan = load("redis");
    let mut context = sample(&plan, &plan.defaults, Role::Follower);
    context["svc"]["leader"] = serde_json::Value::Null;
    for state in ["running", "no_quorum"] {
        context["svc"]["election_is_finished"] = false.into();
        for each in ["running", "no_quorum"] {
            context["svc"][format!("election_is_{each}")] = (each == state).into();
        }
        let files = Templates::compile(&plan).unwrap().render_all(&context).unwrap();
        let text = |path: &str| {
            let file = files.iter().find(|file| file.path == Path::new(path)).unwrap();
            String::from_utf8(file.bytes.clone()).unwrap()
        };
        assert!(text("config/replication.conf").contains("\nreplicaof 127.0.0.2 1\n"), "{state}");
        let hook = text("hooks/reconfigure");
        assert!(hook.contains("commands=$(\n    step_down\n"), "{state}: one that led takes writes no more");
        assert!(!hook.contains("    echo REPLICAOF"), "{state}: one that followed stays with its old leader");
    }
}

#[test]
fn redis_refuses_a_config_that_redis_would() {
    let plan = load("redis");
    for (text, expected) in [
        ("maxmemory-policy = 'lru'", "c:1:20: `maxmemory-policy` is one of"),
        ("port = 0", "c:1:8: `port` is at least 1"),
        ("maxmemry = '1mb'", "c:1:1: unknown key `maxmemry`; did you mean `maxmemory`?"),
        ("appendonly = 'yes'", "c:1:14: `appendonly` is a boolean in the plan's default.toml, not a string"),
    ] {
        let complaints = validate("c", text, &plan, Unknown::Refused).unwrap_err().to_string();
        assert!(complaints.starts_with(expected), "{complaints}");
    }
    assert!(validate("c", "maxmemory = 0", &plan, Unknown::Refused).is_ok());
}

#[test]
fn haproxy_has_a_server_for_each_member_of_its_backend() {
    let plan = load("haproxy");
    let conf = rendered(&plan, "", Role::Single, "config/haproxy.cfg");
    let servers: Vec<_> = conf.lines().filter(|line| line.trim_start().starts_with("server ")).collect();
    assert_eq!(
        servers,
        [
            "    server 0000000000000000000000000000000a 127.0.0.11:8080",
            "    server 0000000000000000000000000000000b 127.0.0.12:8080",
        ]
    );
}

#[test]
fn nginx_is_told_to_fail_its_health_check() {
    let plan = load("nginx");
    let conf = |config| rendered(&plan, config, Role::Single, "config/nginx.conf");
    assert!(conf("").contains("return 200 \"ok\\n\";"));
    assert!(!conf("healthy = false").contains("\"ok"));
    assert!(conf("message = 'a$b\"c'").contains("\\nab\\\"c\\n\";"), "{}", conf("message = 'a$b\"c'"));
    assert!(conf("root = '/srv'").contains("root /srv;"));
}
