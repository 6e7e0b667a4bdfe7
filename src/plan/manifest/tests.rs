//! `plan.toml`: what is read, and where mistakes are.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::plan::complaint::Source;
use crate::plan::manifest::{HealthCheck, Manifest, Missing, Resource, parse};
use crate::plan::{HookName, StopSignal};

const WHOLE: &str = r#"
name = "redis"
version = "7.0.15"
origin = "core"
description = "In-memory data store"
strict-templates = true
[service]
run = "redis-server {{pkg.svc_config_path}}/redis.conf"
user = "redis"
group = "redis"
shutdown-signal = "QUIT"
shutdown-timeout = "9s"
[service.env]
LANG = "C.UTF-8"
[service.rlimits]
nofile = 65_536
[exports]
port = "server.port"
exposes = ["port"]
[binds]
backend = ["port"]
[binds-optional]
cache = ["port", "host"]
[health]
tcp = "{{sys.ip}}:{{cfg.port}}"
interval = "4s"
timeout = "2s"
failures = 2
[restart]
min-backoff = "50ms"
max-backoff = "20s"
cooldown = "1m"
give-up-after = 7
[requires]
commands = { redis-server = "apt-get install redis-server" }
[hooks.init]
timeout = "5m"
[election]
resign-after-critical = "5s"
min-members = 3
council-size = 5
replace-voter-after = "2m"
"#;

fn read(text: &str, hooks: &[HookName]) -> Result<Manifest, String> {
    let hooks: BTreeSet<_> = hooks.iter().copied().collect();
    parse(&Source::new("plan.toml", text), &hooks)
        .map_err(|complaints| complaints.0.iter().map(|c| c.headline() + "\n").collect())
}

/// A plan of three lines, and `more` from the fourth.
fn with(more: &str) -> Result<Manifest, String> {
    read(&format!("name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n{more}"), &[])
}

#[test]
fn every_key_is_read() {
    let plan = read(WHOLE, &[HookName::Init]).unwrap();
    assert_eq!(plan.ident(), "core/redis/7.0.15");
    assert_eq!((plan.description.as_str(), plan.missing), ("In-memory data store", Missing::Error));
    assert_eq!(plan.service.run.as_deref(), Some("redis-server {{pkg.svc_config_path}}/redis.conf"));
    assert_eq!((plan.service.user.as_deref(), plan.service.group.as_deref()), (Some("redis"), Some("redis")));
    assert_eq!(plan.service.shutdown_signal, StopSignal(Signal::SIGQUIT));
    assert_eq!(plan.service.shutdown_timeout, Duration::from_secs(9));
    assert_eq!(plan.service.env["LANG"], "C.UTF-8");
    assert_eq!(plan.service.rlimits[&Resource::Nofile], 65_536);
    assert_eq!((plan.exports.keys["port"].as_str(), plan.exports.exposes.len()), ("server.port", 1));
    assert_eq!(plan.binds[&"backend".parse().unwrap()].exports, ["port"]);
    assert_eq!(plan.binds_optional[&"cache".parse().unwrap()].exports, ["port", "host"]);
    assert_eq!(plan.health.check, HealthCheck::Tcp("{{sys.ip}}:{{cfg.port}}".to_owned()));
    assert_eq!((plan.health.interval, plan.health.timeout), (Duration::from_secs(4), Duration::from_secs(2)));
    assert_eq!((plan.health.failures, plan.restart.give_up_after), (2, 7));
    assert_eq!(plan.restart.min_backoff, Duration::from_millis(50));
    assert_eq!((plan.restart.max_backoff, plan.restart.cooldown), (Duration::from_secs(20), Duration::from_secs(60)));
    assert_eq!(plan.requires.commands["redis-server"], "apt-get install redis-server");
    assert_eq!(plan.hook_timeout(HookName::Init), Some(Duration::from_secs(300)));
    assert_eq!(plan.hook_timeout(HookName::PostStop), Some(Duration::from_secs(60)));
    assert_eq!(plan.hook_timeout(HookName::PreStop), Some(Duration::from_secs(10)));
    assert_eq!(plan.hook_timeout(HookName::Run), None);
    assert_eq!(plan.election.resign_after_critical, Some(Duration::from_secs(5)));
    assert_eq!((plan.election.min_members, plan.election.council_size), (Some(3), Some(5)));
    assert_eq!(plan.election.replace_voter_after, Some(Duration::from_secs(120)));
}

#[test]
fn a_plan_needs_a_name_a_version_and_a_way_to_run() {
    let error = read("description = \"x\"", &[]).unwrap_err();
    assert!(error.contains("plan.toml:1:1: the plan has no `name`"), "{error}");
    assert!(error.contains("plan.toml:1:1: the plan has no `version`"), "{error}");
    assert!(
        error.contains("nothing says how the service is run; add `run` to [service], or write hooks/run"),
        "{error}"
    );
    assert!(read("name = \"x\"\nversion = \"1\"", &[HookName::Run]).is_ok());
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_nearest_known() {
    let error = with("[service.env]\nA = \"b\"\n[helth]\ntcp = \"x\"\n[restart]\nmin_backoff = \"1s\"\n").unwrap_err();
    assert!(error.contains("plan.toml:6:2: unknown key `helth`; did you mean `health`?"), "{error}");
    assert!(
        error.contains("plan.toml:9:1: unknown key `min_backoff` in [restart]; did you mean `min-backoff`?"),
        "{error}"
    );
    let error = with("[health]\nzzzzzzzz = 1\n").unwrap_err();
    assert!(error.ends_with("known are http, tcp, exec, interval, timeout, failures\n"), "{error}");
}

#[test]
fn a_wrong_type_is_told_at_the_value() {
    for (more, expected) in [
        ("description = 5", "4:15: `description` is a string, not an integer"),
        ("strict-templates = 'yes'", "4:20: `strict-templates` is true or false, not a string"),
        ("binds = { a = 'port' }", "4:15: `binds.a` is an array of strings, not a string"),
        ("binds = { a = ['x', 1] }", "4:21: `binds.a` has strings only"),
        ("health = 'tcp'", "4:10: `health` is a table, not a string"),
        ("[health]\nfailures = '3'", "5:12: `health.failures` is a whole number, not a string"),
        ("[health]\nfailures = 0", "5:12: `health.failures` is between 1 and 1000"),
        ("[health]\ninterval = 5", "5:12: `health.interval` is a string, not an integer"),
        ("[health]\ninterval = '5'", "5:12: `health.interval`: a duration is a whole number and one of ms, s, m, h"),
        ("[health]\ninterval = '49ms'", "5:12: `health.interval` is at least 50ms"),
        ("[restart]\nmin-backoff = '2s'\nmax-backoff = '1s'", "6:15: `restart.max-backoff` is shorter than"),
        ("[election]\ncouncil-size = 4", "5:16: `election.council-size` is odd"),
        ("[election]\nreplace-voter-after = '999ms'", "5:23: `election.replace-voter-after` is at least 1s"),
        ("[election]\ncouncil-size = 9", "5:16: `election.council-size` is between 1 and 7"),
        ("[exports]\nport = 'a..b'", "5:1: `exports.port` is a dotted key of the config, not \"a..b\""),
        ("[exports]\nport = 'p'\nexposes = ['prt']", "6:12: `exposes` names \"prt\", which is not exported; did you"),
        ("[hooks.int]\ntimeout = '1s'", "4:8: there is no hook \"int\"; did you mean `init`?"),
        ("[hooks.init]\ntimeout = '1s'", "4:8: the plan has no hooks/init"),
        ("[hooks.run]\ntimeout = '1s'", "4:8: the `run` hook has no timeout"),
        ("[binds]\nA = []", "5:1: \"A\" is not a name"),
    ] {
        let error = with(more).unwrap_err();
        assert!(error.contains(&format!("plan.toml:{expected}")), "{more}\n{error}");
    }
}

#[test]
fn service_keys_are_checked() {
    let base = "name = \"x\"\nversion = \"1\"\n[service]\n";
    for (more, expected) in [
        ("run = ' '", "4:7: `service.run` is empty"),
        ("shutdown-signal = 'STOP'", "4:19: `service.shutdown-signal`: SIGSTOP suspends or resumes a process"),
        ("shutdown-signal = 'BYE'", "4:19: `service.shutdown-signal`: there is no signal \"BYE\""),
        ("env.'A B' = 'x'", "4:5: \"A B\" cannot be the name of an environment variable"),
        ("env.SUP_X = 'x'", "4:5: `SUP_X`: the names that start with SUP_"),
        ("rlimits.nofiles = 1", "4:9: unknown key `nofiles` in [service.rlimits]; did you mean `nofile`?"),
        ("rlimits.nofile = -1", "4:18: `service.rlimits.nofile` is between 0"),
    ] {
        let error = read(&format!("{base}{more}\n"), &[HookName::Run]).unwrap_err();
        assert!(error.contains(&format!("plan.toml:{expected}")), "{more}\n{error}");
    }
}

#[test]
fn a_service_has_one_health_check() {
    let error = with("[health]\ntcp = 'a'\nhttp = 'b'\n").unwrap_err();
    assert_eq!(error, "plan.toml:6:1: `health.http` and `health.tcp` exclude each other; keep one\n");
    let text = "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n[health]\nexec = 'a'\n";
    let error = read(text, &[HookName::HealthCheck]).unwrap_err();
    assert!(error.contains("plan.toml:5:1: `health.exec`: the plan has hooks/health-check, too"), "{error}");
    assert_eq!(with("").unwrap().health.check, HealthCheck::None);
}

#[test]
fn the_health_hook_has_the_checks_timeout_unless_it_has_its_own() {
    let base = "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n";
    let own = "[hooks.health_check]\ntimeout = '7s'\n";
    for (more, expected) in [
        (String::new(), 60),
        ("[health]\ntimeout = '4s'\n".to_owned(), 4),
        (format!("[health]\ntimeout = '4s'\n{own}"), 7),
    ] {
        let plan = read(&format!("{base}{more}"), &[HookName::HealthCheck]).unwrap();
        let timeout = Duration::from_secs(expected);
        assert_eq!((&plan.health.check, plan.health.timeout), (&HealthCheck::Hook, timeout));
        assert_eq!(plan.hook_timeout(HookName::HealthCheck), Some(timeout));
    }
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    let error = read("name = \"x\nversion = \"1\"", &[]).unwrap_err();
    assert!(error.starts_with("plan.toml:1:"), "{error}");
    let error = with("name = \"y\"").unwrap_err();
    assert!(error.starts_with("plan.toml:4:1: duplicate key"), "{error}");
}

#[test]
fn a_name_and_a_version_can_be_part_of_a_path() {
    for (text, place) in [
        ("name = \"../x\"\nversion = \"1\"", "plan.toml:1:8: `name`: "),
        ("name = \"x\"\nversion = \"1/2\"", "plan.toml:2:11: `version` is "),
        ("name = \"x\"\nversion = \"..\"", "plan.toml:2:11: `version` is "),
    ] {
        let error = read(text, &[HookName::Run]).unwrap_err();
        assert!(error.starts_with(place), "{error}");
    }
}
