//! Commands against a fake supervisor: what is printed, how it ends, and that help stays as it is.

mod lost;

use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::args::Cli;
use super::out::{Colour, Out};
use super::{Failure, dispatch};
use crate::api::fake::{ASKED, Served, invalid_config, redis, rolling};
use crate::api::server::Limits;
use crate::api::shape::{MemberServiceState, MemberState, RolloutReport};
use crate::api::{Problem, ProblemKind};
use crate::census::ElectionState;
use crate::records::value::{Health, RolloutStatus, Strategy, Topology, TurnPhase};
use crate::supervisor::Key;

/// How a command ended, and what it printed.
struct Ended {
    code: u8,
    out: String,
    err: String,
}

/// Runs a command line as `main` does, on a thread of its own since it blocks.
async fn sup(served: &Served, args: &[&str]) -> Ended {
    let mut line = vec!["sup".to_owned(), "--socket".to_owned(), served.socket.display().to_string()];
    line.extend(args.iter().map(|&arg| arg.to_owned()));
    let run = move || {
        let (mut result, mut notice) = (Vec::new(), Vec::new());
        let code = match Cli::try_parse_from(line) {
            Err(error) => {
                notice.extend_from_slice(error.to_string().as_bytes());
                2
            }
            Ok(cli) => {
                let json = cli.globals.json;
                let mut out = Out::new(Box::new(&mut result), Box::new(&mut notice), json, Colour::Off);
                let status = dispatch(cli, &mut out).unwrap_or_else(|failure: Failure| failure.tell(&mut out));
                status.code()
            }
        };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code, out: text(result), err: text(notice) }
    };
    tokio::time::timeout(Duration::from_secs(20), tokio::task::spawn_blocking(run)).await.expect("it hangs").unwrap()
}

fn served() -> Served {
    Served::new(Limits::default())
}

#[tokio::test]
async fn members_are_a_table_that_marks_this_node() {
    let ended = sup(&served(), &["members"]).await;
    let expected = "\
NODE      ADDRESS         STATE    HOST  VERSION
00000002  127.0.0.2:9638  alive    box   0.1.0    this node
00000003  127.0.0.3:9638  alive    box   0.1.0
00000004  127.0.0.4:9638  suspect  box   0.1.0
2 of 3 alive; the ring talks in clear text
";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, expected, ""));
}

#[tokio::test]
async fn groups_show_who_serves_and_who_leads() {
    let served = served();
    let ended = sup(&served, &["groups"]).await;
    let expected = "\
GROUP          TOPOLOGY  SERVING  LEADER          TERM  RELEASE  CONFIG      ROLLOUT
redis.default  leader    3/3      127.0.0.3:9638  7     -        2-1a2b3c4d
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected));
}

#[tokio::test]
async fn a_group_is_shown_with_its_leader_and_members() {
    let served = served();
    let ended = sup(&served, &["group", "show", "redis.default"]).await;
    let expected = "\
group     redis.default
topology  leader, updates none
desired   up
release   the plan that each member was started with
config    2-1a2b3c4d
leader    127.0.0.3:9638 (term 7)
council   127.0.0.2:9638, 127.0.0.3:9638, 127.0.0.4:9638 (version 1.1)

MEMBER          STATE  HEALTH  ROLE      RELEASE       CONFIG  PID   RESTARTS  WHY
127.0.0.2:9638  up     ok      follower  redis/7.0.15  -       1002  0
127.0.0.3:9638  up     ok      leader    redis/7.0.15  -       1003  0
127.0.0.4:9638  up     ok      follower  redis/7.0.15  -       1004  0
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected));

    served.fake.change(|state| {
        state.group.election = ElectionState::NoQuorum;
        state.group.election_why = "2 of 3 voters are missing".into();
        state.group.members.as_mut().unwrap()[2].node_state = MemberState::Down;
    });
    served.fake.change(|state| {
        state.group.desired.release = Some("redis/7.2/cdcdcdcdcdcd".into());
        state.group.rollout = rolling::halted(true).rollout;
    });
    let ended = sup(&served, &["group", "show", "redis.default"]).await;
    let lines =
        "release   redis/7.2/cdcdcdcdcdcd\nconfig    2-1a2b3c4d\nrollout   7 halted: 1 done, 1 waiting, 1 failed\n";
    assert!(ended.out.contains(lines), "{}", ended.out);
    let ended = sup(&served, &["groups"]).await;
    let line = "redis/7.2/cdcdcdcdcdcd  2-1a2b3c4d  7 halted: 1 done, 1 waiting, 1 failed\n";
    assert!(ended.out.ends_with(line), "{}", ended.out);
    let ended = sup(&served, &["group", "show", "redis.default"]).await;
    let leader = "leader    no quorum: 2 of 3 voters are missing; last 127.0.0.3:9638 (term 7)";
    assert!(ended.out.contains(leader), "{}", ended.out);
    assert!(ended.out.contains("127.0.0.4:9638  node down"), "{}", ended.out);
}

#[tokio::test]
async fn json_is_the_shape_and_nothing_else() {
    let ended = sup(&served(), &["group", "show", "redis.default", "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(value["leader"]["term"], 7);
    let ended = sup(&served(), &["config", "rollback", "redis.default", "--no-wait", "--json"]).await;
    let value: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(value["revision"], "3-5e6f7a8b");
}

#[tokio::test]
async fn a_wrong_name_is_answered_with_the_nearest_and_exit_code_1() {
    let ended = sup(&served(), &["group", "show", "redi.default"]).await;
    let expected = "error: no group redi.default\nnext: did you mean redis.default?\n";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (1, "", expected));
    let ended = sup(&served(), &["logs", "reddis"]).await;
    assert_eq!(ended.code, 0, "the fake knows all logs");
    let ended = sup(&served(), &["status", "reddis", "--json"]).await;
    let problem: Problem = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((problem.kind, problem.next.as_deref()), (ProblemKind::UnknownService, Some("did you mean redis?")));
}

#[tokio::test]
async fn without_a_supervisor_the_error_says_how_to_start_one() {
    let served = served();
    served.stop.cancel();
    while tokio::net::UnixStream::connect(&served.socket).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let ended = sup(&served, &["status"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("no supervisor answers at") && ended.err.contains("sup run"), "{}", ended.err);
}

#[tokio::test]
async fn status_lists_services_and_details_one() {
    let served = served();
    served.fake.change(|state| {
        state.service.member.state = MemberServiceState::Backoff;
        state.service.member.why = "exited with 1, again in 2s".into();
        state.service.problems = vec!["user.toml:3:1: unknown key".into()];
    });
    let ended = sup(&served, &["status"]).await;
    assert!(ended.out.starts_with("SERVICE        STATE    HEALTH  ROLE      PID   SINCE"), "{}", ended.out);
    assert!(ended.out.contains("redis.default  backoff  ok      follower  1002"), "{}", ended.out);
    let ended = sup(&served, &["status", "redis"]).await;
    assert!(ended.out.contains("state     backoff for "), "{}", ended.out);
    assert!(ended.out.contains("problem   user.toml:3:1: unknown key"), "{}", ended.out);
}

#[tokio::test]
async fn stop_waits_until_it_is_down_and_says_what_to_type_next() {
    let served = served();
    served.fake.change(|state| state.becomes = MemberServiceState::Down);
    let ended = sup(&served, &["stop", "redis"]).await;
    let expected = "redis.default is down here\nnext: sup start redis, or sup unload redis\n";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected));
    assert!(served.fake.asked().contains(&"stop redis Here".to_owned()));
}

#[tokio::test]
async fn a_stop_that_takes_too_long_is_exit_code_3_and_says_what_is_missing() {
    let served = served();
    served.fake.change(|state| state.becomes = MemberServiceState::Stopping);
    let ended = sup(&served, &["stop", "redis", "--timeout", "50ms"]).await;
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("not done within 50ms: it is stopping"), "{}", ended.err);
    assert!(ended.err.contains("next: sup explain redis.default"), "{}", ended.err);
}

#[tokio::test]
async fn stop_everywhere_waits_for_all_members_that_answer() {
    let served = served();
    let task = {
        let fake = served.fake.clone();
        tokio::spawn(async move {
            // Once it is watched and asked, the members go down one after the other; the last one's node is dead.
            while !fake.asked().contains(&"stop redis.default Everywhere".to_owned()) {
                tokio::task::yield_now().await;
            }
            for at in 0..2 {
                fake.change(|state| state.group.members.as_mut().unwrap()[at].state = MemberServiceState::Down);
            }
            fake.change(|state| state.group.members.as_mut().unwrap()[2].node_state = MemberState::Down);
        })
    };
    let ended = sup(&served, &["stop", "redis.default", "--everywhere"]).await;
    assert_eq!((ended.code, ended.out.lines().next()), (0, Some("redis.default is down everywhere")), "{}", ended.err);
    task.await.unwrap();
}

#[tokio::test]
async fn restart_is_done_when_there_is_another_process() {
    let served = served();
    let ended = sup(&served, &["restart", "redis"]).await;
    assert_eq!((ended.code, ended.out.lines().next()), (0, Some("redis.default is up again (pid 1003)")));
}

#[tokio::test]
async fn what_is_refused_is_exit_code_4() {
    let served = served();
    served.fake.change(|state| {
        state.refusal = Some(Problem::new(ProblemKind::Conflict, "2-1a2b3c4d is in force, not 1-00000000"));
    });
    let ended = sup(&served, &["config", "unset", "redis.default", "--expect", "1-00000000"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (4, "error: 2-1a2b3c4d is in force, not 1-00000000\n"));
}

#[tokio::test]
async fn start_of_a_loaded_service_sends_its_name_and_waits_until_it_is_up() {
    let served = served();
    served.fake.change(|state| state.service.member.state = MemberServiceState::Down);
    let ended = sup(&served, &["start", "redis", "--peer", "10.0.0.1", "--log-level", "debug"]).await;
    assert_eq!((ended.code, ended.out.lines().next()), (0, Some("redis.default is up (pid 1002)")), "{}", ended.err);
    assert_eq!(ended.err, "note: a supervisor runs here already: --log-level is not used\n");
    let asked = served.fake.asked().into_iter().find(|asked| asked.starts_with("start ")).unwrap();
    assert!(asked.contains(r#""plan":"redis""#) && asked.contains(r#""peers":["10.0.0.1:9638"]"#), "{asked}");
}

#[tokio::test]
async fn start_of_a_plan_sends_where_it_is_and_all_that_was_typed() {
    let served = served();
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().canonicalize().unwrap().join("web");
    std::fs::create_dir(&plan).unwrap();
    std::fs::write(plan.join("plan.toml"), "").unwrap();
    let shown = plan.display().to_string();
    let options = ["--group", "blue", "--topology", "leader", "--strategy", "at-once", "--binding-mode", "relaxed"];
    let args = [&["start", shown.as_str()], &options[..], &["--bind", "db:redis.default", "--no-wait"]].concat();
    let ended = sup(&served, &args).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    let asked = served.fake.asked().pop().unwrap();
    let request: serde_json::Value = serde_json::from_str(asked.strip_prefix("start ").unwrap()).unwrap();
    let expected = serde_json::json!({
        "plan": shown, "group": "blue", "topology": "leader", "strategy": "at-once", "binds": ["db:redis.default"],
        "binding_mode": "relaxed", "config_from": null, "peers": [],
    });
    assert_eq!(request, expected);
}

#[tokio::test]
async fn a_start_that_cannot_run_fails_with_the_reason() {
    let served = served();
    served.fake.change(|state| {
        state.becomes = MemberServiceState::Failed;
        state.service.member.why = "redis-server is not installed: apt-get install redis-server".into();
    });
    let ended = sup(&served, &["start", "redis"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("redis.default cannot run: redis-server is not installed"), "{}", ended.err);
    let ended = sup(&served, &["start", "no-such-plan"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("there is no plan \"no-such-plan\": looked for"), "{}", ended.err);
}

#[tokio::test]
async fn apply_waits_until_all_members_have_rendered_it() {
    let served = served();
    served.fake.change(|state| state.rollout.strategy = Strategy::None);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.toml");
    std::fs::write(&file, "port = 6380\n").unwrap();
    let task = {
        let fake = served.fake.clone();
        tokio::spawn(async move {
            while !fake.asked().iter().any(|asked| asked.starts_with("apply ")) {
                tokio::task::yield_now().await;
            }
            for at in 0..3 {
                fake.change(|state| {
                    state.group.desired.config_revision = Some("3-5e6f7a8b".into());
                    state.group.members.as_mut().unwrap()[at].config_revision = Some("3-5e6f7a8b".into());
                });
            }
        })
    };
    let ended = sup(&served, &["config", "apply", "redis.default", file.to_str().unwrap()]).await;
    let expected = "\
redis.default has config 3-5e6f7a8b, in force on 3 members
next: sup config history redis.default; to undo it: sup config rollback redis.default
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    task.await.unwrap();
}

#[tokio::test]
async fn a_wrong_config_is_shown_with_the_line_and_a_mark() {
    let served = served();
    served.fake.change(|state| state.refusal = Some(invalid_config()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.toml");
    std::fs::write(&file, "# ports\nport = \"x\"\n").unwrap();
    let ended = sup(&served, &["config", "apply", "redis.default", file.to_str().unwrap()]).await;
    let expected = format!(
        "\
error: the config is not valid, nothing was changed
  --> {}:2:8
    |
  2 | port = \"x\"
    |        ^ expected an integer, found a string
    = help: such as 6379
",
        file.display()
    );
    assert_eq!((ended.code, ended.err), (4, expected));
}

#[tokio::test]
async fn a_file_is_uploaded_listed_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users.acl");
    std::fs::write(&file, "user default").unwrap();
    let served = served();
    let ended = sup(&served, &["file", "upload", "redis.default", file.to_str().unwrap(), "--expect", "none"]).await;
    let expected = "\
redis.default has users.acl 2-5e6f7a8b, in place on 3 members
next: sup file history redis.default users.acl; to undo it: sup file rollback redis.default users.acl
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    assert!(served.fake.asked().contains(&"put redis.default users.acl Some(\"none\") of 12 bytes".to_owned()));
    let ended = sup(&served, &["file", "list", "redis.default"]).await;
    assert!(ended.out.contains("ca.pem     2048   1-1a2b3c4d"), "{}", ended.out);
    let ended = sup(&served, &["file", "history", "redis.default", "users.acl"]).await;
    assert!(ended.out.contains("2-1a2b3c4d  in force  12"), "{}", ended.out);
    sup(&served, &["file", "rollback", "redis.default", "users.acl", "1-00000000"]).await;
    sup(&served, &["file", "remove", "redis.default", "users.acl"]).await;
    let asked = served.fake.asked();
    assert!(asked.iter().any(|asked| asked.starts_with("rollback redis.default users.acl")), "{asked:?}");
    assert!(asked.contains(&"remove redis.default users.acl None".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn config_show_prints_what_can_be_applied_again() {
    let ended = sup(&served(), &["config", "show", "redis.default"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "port = 6379\n"));
    let ended = sup(&served(), &["config", "history", "redis.default"]).await;
    let expected = "\
REVISION    STATUS    APPLIED                   ON        WHAT
2-1a2b3c4d  in force  2026-05-01T12:00:00.000Z  00000002  apply
1-00000000  replaced  2026-05-01T12:00:00.000Z  00000002  apply
next: sup config show redis.default REV, sup config rollback redis.default REV
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected));
}

#[tokio::test]
async fn wait_returns_when_the_condition_comes_to_hold() {
    let served = served();
    served.fake.change(|state| state.group.members.as_mut().unwrap()[0].health = Health::Critical);
    let task = {
        let fake = served.fake.clone();
        tokio::spawn(async move {
            while !fake.asked().contains(&"group redis.default".to_owned()) {
                tokio::task::yield_now().await;
            }
            fake.change(|state| state.group.members.as_mut().unwrap()[0].health = Health::Ok);
        })
    };
    let ended = sup(&served, &["wait", "redis.default", "--for", "healthy"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "redis.default has healthy members only\n"), "{}", ended.err);
    task.await.unwrap();
}

#[tokio::test]
async fn wait_tells_what_was_missing_when_time_ran_out() {
    let served = served();
    for (condition, missing) in [
        ("members=4", "3 of 4 members serve"),
        ("leader", "redis.default has no leader: waiting for 1 more member"),
        ("healthy", "127.0.0.3:9638 is waiting: for the ring"),
    ] {
        served.fake.change(|state| {
            state.group.election = ElectionState::Running;
            state.group.election_why = "waiting for 1 more member".into();
            let member = &mut state.group.members.as_mut().unwrap()[1];
            if condition == "healthy" {
                member.state = MemberServiceState::Waiting;
                member.why = "for the ring".into();
            }
        });
        let ended = sup(&served, &["wait", "redis.default", "--for", condition, "--timeout", "20ms"]).await;
        assert_eq!(ended.code, 3, "{}", ended.err);
        assert!(ended.err.contains(missing), "{condition}: {}", ended.err);
    }
    let ended = sup(&served, &["wait", "web.default", "--for", "members=1", "--timeout", "20ms"]).await;
    assert_eq!(ended.code, 3, "a group that is not there yet may come: {}", ended.err);
    served.fake.change(|state| state.group.topology = Topology::Standalone);
    assert_eq!(served.fake.state().group.group, redis());
}

#[tokio::test]
async fn logs_are_printed_as_they_were_written() {
    let served = served();
    let ended = sup(&served, &["logs", "redis", "-n", "5", "--since", "5m"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "Ready to accept connections\n"));
    let asked = served.fake.asked().pop().unwrap();
    assert_eq!(asked, "logs redis LogsRequest { lines: Some(5), since_ms: Some(300000), follow: false }");
    served.fake.change(|state| state.lines[0].source = "init".into());
    let ended = sup(&served, &["logs", "redis", "-t"]).await;
    assert_eq!(ended.out, "2026-05-01T12:00:00.000Z [init] Ready to accept connections\n");
}

#[tokio::test]
async fn explain_says_sentences_and_the_next_command() {
    let ended = sup(&served(), &["explain", "redis"]).await;
    let expected = "redis.default is led by 127.0.0.3:9638 (term 7).\nnext: sup group show redis.default\n";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected));
}

#[tokio::test]
async fn shutdown_asks_and_does_not_wait_if_told_so() {
    let served = served();
    let ended = sup(&served, &["shutdown", "--no-wait"]).await;
    assert_eq!((ended.code, ended.out.lines().next()), (0, Some("the supervisor at 127.0.0.2:9638 ends")));
    assert_eq!(served.fake.asked().last().map(String::as_str), Some("shutdown"));
}

#[test]
fn the_commands_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_setting_has_its_flag() {
    let mut cli = Cli::command();
    cli.build();
    for command in ["run", "start"] {
        let command = cli.find_subcommand(command).unwrap();
        for key in Key::ALL {
            assert!(
                command.get_arguments().any(|arg| arg.get_long() == Some(key.name())),
                "sup {} has no --{key}",
                command.get_name()
            );
        }
    }
}

#[test]
fn wrong_usage_names_the_flag_and_the_fix() {
    for (args, expected) in [
        (&["sup", "membrs"][..], "a similar subcommand exists: 'members'"),
        (&["sup", "stop", "redis", "--evrywhere"], "a similar argument exists: '--everywhere'"),
        (&["sup", "group", "show", "redis"], "a service group is SERVICE.GROUP, such as redis.default, not \"redis\""),
        (
            &["sup", "wait", "redis.default", "--for", "x"],
            "a condition is leader, healthy, members=N, release=NAME/VERSION/HASH or rollout=done",
        ),
        (&["sup", "start", "web", "--bind", "db"], "a bind is NAME:SERVICE.GROUP"),
        (&["sup", "start", "web", "--topology", "leder"], "a similar value exists: 'leader'"),
        (&["sup", "stop", "redis", "--timeout", "5"], "a duration is a whole number and one of ms, s, m, h"),
        (&["sup", "dev", "--nodes", "21"], "21 is not in 1..=20"),
        (&["sup", "update", "a.b", "x", "--batch", "0"], "a batch is a number of members, such as 2, or a part"),
        (&["sup", "update", "a.b", "x", "--on-failure", "stop"], "[possible values: halt, rollback, continue]"),
        (&["sup", "rollout", "retr", "a.b"], "a similar subcommand exists: 'retry'"),
    ] {
        let error = Cli::try_parse_from(args).unwrap_err();
        assert!(error.to_string().contains(expected), "{args:?}: {error}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[tokio::test]
async fn a_key_is_made_for_its_owner_only_and_installed_from_its_file_or_standard_input() {
    use std::os::unix::fs::MetadataExt as _;
    let served = served();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key").display().to_string();
    let made = sup(&served, &["ring", "key", "new", &file]).await;
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let again = sup(&served, &["ring", "key", "new", &file]).await;
    assert_eq!(again.code, 1, "a file that is there is not overwritten");
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = text.lines().last().unwrap().strip_prefix("sup-ring:").unwrap();
    let installed = sup(&served, &["ring", "key", "install", &file]).await;
    assert_eq!(installed.code, 0, "{}", installed.err);
    assert!(installed.out.contains("installed on 3 of 3 nodes\nnext: sup ring key use "), "{}", installed.out);
    for shown in [&made.out, &installed.out, &served.fake.asked().join("\n")] {
        assert!(!shown.contains(secret), "{shown}");
    }
    std::fs::write(&file, "sup-ring:12\n").unwrap();
    assert_eq!(sup(&served, &["ring", "key", "install", &file]).await.code, 2);
}

#[tokio::test]
async fn a_change_of_keys_that_is_not_made_everywhere_has_failed_and_says_where() {
    let served = served();
    served.fake.change(|state| state.changes = false);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key").display().to_string();
    assert_eq!(sup(&served, &["ring", "key", "new", &file]).await.code, 0);
    let ended = sup(&served, &["ring", "key", "install", &file]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("127.0.0.4:9638  alive") && ended.out.contains("it does not answer"), "{}", ended.out);
    assert!(ended.out.contains("installed on 2 of 3 nodes"), "{}", ended.out);
}

#[tokio::test]
async fn a_key_is_used_and_removed_by_its_id_and_shown_when_asked_for() {
    let served = served();
    let old = crate::api::fake::ring_key(1);
    let used = sup(&served, &["ring", "key", "use", "0badcafe", "--here", "--force"]).await;
    assert_eq!(used.code, 0, "{}", used.err);
    assert_eq!(served.fake.asked(), ["use KeyOrder { key: 0badcafe, scope: Here, force: true }"]);
    assert_eq!(sup(&served, &["ring", "key", "remove", "0badcafe"]).await.code, 0);
    assert_eq!(sup(&served, &["ring", "key", "use", "no-id"]).await.code, 2);
    let listed = sup(&served, &["ring", "key", "list"]).await;
    assert!(listed.out.contains(&old.id().to_string()) && !listed.out.contains("sup-ring:"), "{}", listed.out);
    let shown = sup(&served, &["ring", "key", "show"]).await;
    assert_eq!(shown.out.trim(), old.text().as_str());
}

/// The short help of a command, as 100 columns show it.
fn help(path: &[&str]) -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let command = path.iter().fold(&mut cli, |command, name| command.find_subcommand_mut(name).unwrap());
    command.render_help().to_string()
}

#[test]
fn the_help_is_what_it_was() {
    let expected = "\
Keeps services running on a ring of machines without a master

Usage: sup [OPTIONS] <COMMAND>

Commands:
  start     Start a service: in the supervisor that runs here, or else in one that this becomes
  run       Run a supervisor without a service yet
  stop      Stop a service, and keep it stopped
  restart   Stop a service and start it again
  unload    Stop a service and forget it
  status    Show the services of this node
  members   Show the nodes of the ring
  groups    Show all service groups of the ring
  group     Look at one service group
  logs      Show what a service and its hooks write
  config    Change and show a group's config
  file      Give files to the members of a group
  update    Bring a new release to a group
  rollout   See how a change goes, and say how it is to go on
  wait      Wait for a group to reach a condition
  explain   Say why a service is not up, who leads a group and why, why a rollout stands still
  shutdown  Stop the services of this node, leave the ring and end the supervisor
  depart    Say that a node is gone for good: it counts for nothing any more, and is not let in
  undepart  Let a node back in that was said to be gone for good
  dev       Run a whole ring on this machine, to try a plan
  plan      Write plans
  release   Look after the releases of this node
  ring      Encrypt the ring's traffic
  token     Let programs and people in by HTTP

Options:
      --json            Print JSON
      --data-dir <DIR>  The supervisor's data directory (SUP_DATA_DIR) [default: /var/lib/sup for
                        root]
  -h, --help            Print help (see more with '--help')
  -V, --version         Print version

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out, 4 refused.
";
    assert_eq!(help(&[]), expected);
}

#[test]
fn the_usage_of_each_command_is_what_it_was() {
    for (path, usage) in [
        (&["start"][..], "sup start [OPTIONS] <SVC>"),
        (&["run"], "sup run [OPTIONS]"),
        (&["stop"], "sup stop [OPTIONS] <SVC>"),
        (&["restart"], "sup restart [OPTIONS] <SVC>"),
        (&["unload"], "sup unload [OPTIONS] <SVC>"),
        (&["status"], "sup status [OPTIONS] [SVC]"),
        (&["members"], "sup members [OPTIONS]"),
        (&["groups"], "sup groups [OPTIONS]"),
        (&["group", "show"], "sup group show [OPTIONS] <GROUP>"),
        (&["logs"], "sup logs [OPTIONS] <SVC>"),
        (&["config", "apply"], "sup config apply [OPTIONS] <GROUP> [FILE]"),
        (&["config", "show"], "sup config show [OPTIONS] <GROUP> [REV]"),
        (&["config", "diff"], "sup config diff [OPTIONS] <GROUP> [FROM] [TO]"),
        (&["config", "history"], "sup config history [OPTIONS] <GROUP>"),
        (&["config", "rollback"], "sup config rollback [OPTIONS] <GROUP> [REV]"),
        (&["config", "unset"], "sup config unset [OPTIONS] <GROUP>"),
        (&["file", "upload"], "sup file upload [OPTIONS] <GROUP> <FILE>"),
        (&["file", "list"], "sup file list [OPTIONS] <GROUP>"),
        (&["file", "history"], "sup file history [OPTIONS] <GROUP> <NAME>"),
        (&["file", "rollback"], "sup file rollback [OPTIONS] <GROUP> <NAME> [REV]"),
        (&["file", "remove"], "sup file remove [OPTIONS] <GROUP> <NAME>"),
        (&["update"], "sup update [OPTIONS] <GROUP> <DIR|FILE.sup>"),
        (&["rollout", "status"], "sup rollout status [OPTIONS] <GROUP>"),
        (&["rollout", "pause"], "sup rollout pause [OPTIONS] <GROUP>"),
        (&["rollout", "resume"], "sup rollout resume [OPTIONS] <GROUP>"),
        (&["rollout", "retry"], "sup rollout retry [OPTIONS] <GROUP>"),
        (&["rollout", "rollback"], "sup rollout rollback [OPTIONS] <GROUP>"),
        (&["rollout", "abort"], "sup rollout abort [OPTIONS] <GROUP>"),
        (&["ring", "key", "new"], "sup ring key new [OPTIONS] <FILE>"),
        (&["ring", "key", "show"], "sup ring key show [OPTIONS] [ID]"),
        (&["ring", "key", "install"], "sup ring key install [OPTIONS] [FILE]"),
        (&["ring", "key", "use"], "sup ring key use [OPTIONS] <ID>"),
        (&["ring", "key", "remove"], "sup ring key remove [OPTIONS] <ID>"),
        (&["ring", "key", "list"], "sup ring key list [OPTIONS]"),
        (&["token", "new"], "sup token new [OPTIONS] --role <ROLE>"),
        (&["token", "list"], "sup token list [OPTIONS]"),
        (&["token", "revoke"], "sup token revoke [OPTIONS] <ID>"),
        (&["wait"], "sup wait [OPTIONS] --for <CONDITION> <GROUP>"),
        (&["explain"], "sup explain [OPTIONS] <SVC|GROUP>"),
        (&["shutdown"], "sup shutdown [OPTIONS]"),
        (&["group", "recover"], "sup group recover [OPTIONS] <GROUP>"),
        (&["depart"], "sup depart [OPTIONS] <NODE>"),
        (&["undepart"], "sup undepart [OPTIONS] <NODE>"),
        (&["dev"], "sup dev [OPTIONS] [DIR]"),
        (&["plan", "check"], "sup plan check [OPTIONS] [DIR]"),
        (&["plan", "render"], "sup plan render [OPTIONS] [DIR]"),
    ] {
        let help = help(path);
        let shown = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        assert_eq!(shown, usage);
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
}

/// A plan's directory and the archive of a release, for what only looks at their outside.
fn archive(bytes: usize) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.sup");
    std::fs::write(&file, vec![7; bytes]).unwrap();
    let shown = file.display().to_string();
    (dir, shown)
}

/// Once the group is told something, its rollout goes through these.
fn roll(served: &Served, told: &'static str, reports: Vec<RolloutReport>) -> tokio::task::JoinHandle<()> {
    let fake = served.fake.clone();
    tokio::spawn(async move {
        while !fake.asked().iter().any(|asked| asked.starts_with(told)) {
            tokio::task::yield_now().await;
        }
        fake.roll(reports).await;
    })
}

#[tokio::test]
async fn an_update_shows_each_step_and_ends_when_all_have_it() {
    let served = served();
    let (_dir, file) = archive(300_000);
    let task = roll(
        &served,
        "desired ",
        vec![
            rolling::running(0, Some((0, TurnPhase::Fetching))),
            rolling::running(1, Some((1, TurnPhase::Applying))),
            rolling::running(2, None),
            rolling::done(),
        ],
    );
    let ended = sup(&served, &["update", "redis.default", &file, "--batch", "50%", "--min-healthy", "1s"]).await;
    let expected = "\
redis.default runs redis/7.2/cdcdcdcdcdcd on all 3 members
next: sup rollout status redis.default; to undo it: sup rollout rollback redis.default
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    let expected = "\
changes of redis.default from now on: batch 50%, min-healthy 1s, deadline 5m, on-failure halt
rollout 7: redis/7.0/abababababab -> redis/7.2/cdcdcdcdcdcd
127.0.0.2:9638 fetches the release
127.0.0.2:9638 is done (1 of 3)
127.0.0.3:9638 changes over
127.0.0.3:9638 is done (2 of 3)
127.0.0.4:9638 is done (3 of 3)
";
    // On a slow machine it says in between what it waits for.
    let steps = ended.err.lines().filter(|line| *line != "its updater has yet to take it up");
    assert_eq!(steps.map(|line| format!("{line}\n")).collect::<String>(), expected);
    let asked = served.fake.asked();
    assert!(asked.contains(&"release of 300000 bytes".to_owned()), "{asked:?}");
    let hash = "cd".repeat(32);
    let desired =
        format!(r#"desired redis.default {{"release":"{hash}","options":{{"batch":"50%","min_healthy_ms":1000}}}}"#);
    assert!(asked.contains(&desired), "{asked:?}");
    task.await.unwrap();
}

#[tokio::test]
async fn an_update_that_halts_is_exit_code_1_and_tells_the_member_its_check_and_what_to_type() {
    let served = served();
    let (_dir, file) = archive(10);
    let task = roll(&served, "desired ", vec![rolling::halted(true)]);
    let ended = sup(&served, &["update", "redis.default", &file, "--wait"]).await;
    let expected = "\
rollout 7: redis/7.0/abababababab -> redis/7.2/cdcdcdcdcdcd
127.0.0.3:9638 is back on what it was
the rollout is halted
error: rollout 7 of redis.default is halted: 127.0.0.3:9638 failed: the health check says critical after it was ok (it is back on what it was)
    connection refused
next: sup rollout retry redis.default, or sup rollout rollback redis.default; more: sup rollout status redis.default
";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (1, "", expected));
    task.await.unwrap();
    let ended = sup(&served, &["update", "redis.default", &file, "--json"]).await;
    assert_eq!(ended.code, 1);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["rollout"]["failed"][0]["address"], "127.0.0.3:9638");
    let problem: Problem = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(problem.kind, ProblemKind::RolloutFailed);
}

#[tokio::test]
async fn an_update_that_takes_too_long_is_exit_code_3_and_goes_on() {
    let served = served();
    let (_dir, file) = archive(10);
    served.fake.change(|state| state.rollout = rolling::running(1, Some((1, TurnPhase::Verifying))));
    let ended = sup(&served, &["update", "redis.default", &file, "--timeout", "50ms"]).await;
    assert_eq!(ended.code, 3);
    let expected = "error: not done within 50ms: 127.0.0.3:9638 is verifying; it goes on without this command\nnext: sup rollout \
         status redis.default, sup explain redis.default\n";
    assert!(ended.err.ends_with(expected), "{}", ended.err);
}

#[tokio::test]
async fn an_update_without_waiting_says_where_to_look() {
    let served = served();
    let (_dir, file) = archive(10);
    let ended = sup(&served, &["update", "redis.default", &file, "--no-wait"]).await;
    let expected = "redis.default is to run redis/7.2/cdcdcdcdcdcd\nnext: sup rollout status redis.default\n";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    let ended = sup(&served, &["update", "redis.default", &file, "--no-wait", "--json"]).await;
    let acted: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&acted["group"], &acted["asked"]), (&"redis.default".into(), &1000.into()));
}

#[tokio::test]
async fn under_strategy_none_an_update_waits_for_each_members_next_start() {
    let served = served();
    let (_dir, file) = archive(10);
    served.fake.change(|state| state.rollout.strategy = Strategy::None);
    let ended = sup(&served, &["update", "redis.default", &file]).await;
    let expected = "\
redis.default is to run redis/7.2/cdcdcdcdcdcd: its members take it at their next start (strategy none)
next: sup restart redis, on each node
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
}

#[tokio::test]
async fn an_update_of_what_is_not_there_says_what_was_meant() {
    let served = served();
    let ended = sup(&served, &["update", "redi.default", "."]).await;
    assert_eq!(ended.err, "error: no group redi.default\nnext: did you mean redis.default?\n");
    let ended = sup(&served, &["update", "redis.default", "/nowhere.sup"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("cannot read /nowhere.sup") && ended.err.contains("sup plan pack"), "{}", ended.err);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.toml"), "name = \"web\"\nversion = \"1\"\nservice.run = \"x\"\n").unwrap();
    let ended = sup(&served, &["update", "redis.default", dir.path().to_str().unwrap()]).await;
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("is of web, and redis.default runs redis"), "{}", ended.err);
    assert!(!served.fake.asked().iter().any(|asked| asked.starts_with("desired")));
}

#[tokio::test]
async fn a_rollout_is_shown_with_who_has_it_and_what_to_type() {
    let served = served();
    served.fake.change(|state| state.rollout = rolling::halted(true));
    let ended = sup(&served, &["rollout", "status", "redis.default"]).await;
    let age = ended.out.lines().find_map(|line| line.strip_prefix("started   2026-05-01T12:00:00.000Z, ")).unwrap();
    let expected = format!(
        "\
rollout   7 of redis.default: halted: 127.0.0.3:9638 failed
from      redis/7.0/abababababab, config 2-1a2b3c4d
to        redis/7.2/cdcdcdcdcdcd, config 2-1a2b3c4d
options   batch 1, min-healthy 5s, deadline 5m, on-failure halt
updater   127.0.0.2:9638 (term 5)
started   2026-05-01T12:00:00.000Z, {age}
members   1 done, 1 waiting, 1 failed of 3

MEMBER          CHANGE   STATE  RELEASE                 CONFIG      WHY
127.0.0.2:9638  done     up     redis/7.2/cdcdcdcdcdcd  2-1a2b3c4d
127.0.0.3:9638  failed   up     redis/7.0/abababababab  2-1a2b3c4d  the health check says critical after it was ok; it is back on what it was
127.0.0.4:9638  waiting  up     redis/7.0/abababababab  2-1a2b3c4d

127.0.0.3:9638 wrote:
  connection refused

A person has to say how to go on.
next: sup rollout retry redis.default
"
    );
    assert_eq!((ended.code, ended.out), (0, expected));
    let ended = sup(&served, &["rollout", "status", "redis.default", "--json"]).await;
    let report: RolloutReport = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report, rolling::halted(true));
}

#[tokio::test]
async fn a_group_that_never_had_a_rollout_says_so() {
    let ended = sup(&served(), &["rollout", "status", "redis.default"]).await;
    let expected = "\
group     redis.default, which never had a rollout
strategy  rolling
options   batch 1, min-healthy 5s, deadline 5m, on-failure halt

MEMBER          CHANGE   STATE  RELEASE                 CONFIG      WHY
127.0.0.2:9638  waiting  up     redis/7.0/abababababab  2-1a2b3c4d
127.0.0.3:9638  waiting  up     redis/7.0/abababababab  2-1a2b3c4d
127.0.0.4:9638  waiting  up     redis/7.0/abababababab  2-1a2b3c4d
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected));
}

/// The second look shows the rollout so.
fn obeyed(mut report: RolloutReport, status: RolloutStatus) -> RolloutReport {
    let rollout = report.rollout.as_mut().unwrap();
    rollout.obeyed = ASKED;
    rollout.status = status;
    report
}

#[tokio::test]
async fn a_pause_says_who_is_still_under_way() {
    let served = served();
    let report = rolling::running(1, Some((1, TurnPhase::Verifying)));
    served.fake.change(|state| state.rollout = obeyed(report, RolloutStatus::Paused));
    let ended = sup(&served, &["rollout", "pause", "redis.default"]).await;
    let expected = "\
rollout 7 of redis.default is paused; still under way: 127.0.0.3:9638 is verifying
next: sup rollout resume redis.default, or sup rollout rollback redis.default
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    assert!(served.fake.asked().contains(&"pause redis.default".to_owned()));
}

#[tokio::test]
async fn a_rollback_waits_until_all_are_back() {
    let served = served();
    let back = obeyed(rolling::running(0, None), RolloutStatus::RolledBack);
    let going = obeyed(rolling::running(2, None), RolloutStatus::RollingBack);
    let task = roll(&served, "rollback ", vec![going, back]);
    let ended = sup(&served, &["rollout", "rollback", "redis.default"]).await;
    let expected = "\
redis.default is back on redis/7.0/abababababab, config 2-1a2b3c4d
next: sup rollout status redis.default
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    task.await.unwrap();
    let ended = sup(&served, &["rollout", "rollback", "redis.default", "--json"]).await;
    assert_eq!(serde_json::from_str::<RolloutReport>(&ended.out).unwrap().rollout.unwrap().id, 7);
}

#[tokio::test]
async fn an_order_that_is_refused_is_exit_code_4() {
    let served = served();
    served.fake.change(|state| {
        let detail = "rollout 7 of redis.default is done: there is nothing to pause";
        state.refusal = Some(Problem::new(ProblemKind::Conflict, detail));
    });
    for order in ["pause", "resume", "retry", "rollback", "abort"] {
        let ended = sup(&served, &["rollout", order, "redis.default", "--no-wait"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (4, ""), "{order}");
    }
}

#[tokio::test]
async fn a_config_of_a_rolling_group_is_followed_through_its_rollout() {
    let served = served();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.toml");
    std::fs::write(&file, "port = 6380\n").unwrap();
    let with_config = |mut report: RolloutReport| {
        report.rollout.as_mut().unwrap().to.config_revision = Some("3-5e6f7a8b".into());
        report.rollout.as_mut().unwrap().from.release = Some("redis/7.2/cdcdcdcdcdcd".into());
        report
    };
    let reports = [rolling::running(1, Some((1, TurnPhase::Applying))), rolling::done()].map(with_config);
    let task = {
        let fake = served.fake.clone();
        tokio::spawn(async move {
            while !fake.asked().iter().any(|asked| asked.starts_with("apply ")) {
                tokio::task::yield_now().await;
            }
            fake.roll(reports).await;
        })
    };
    let ended = sup(&served, &["config", "apply", "redis.default", file.to_str().unwrap()]).await;
    let expected = "\
redis.default has config 3-5e6f7a8b, in force on all 3 members
next: sup config history redis.default; to undo it: sup config rollback redis.default
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    assert!(ended.err.starts_with("rollout 7: config 2-1a2b3c4d -> 3-5e6f7a8b\n"), "{}", ended.err);
    task.await.unwrap();
    served.fake.change(|state| state.rollout = with_config(rolling::halted(true)));
    let ended = sup(&served, &["config", "apply", "redis.default", file.to_str().unwrap()]).await;
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(ended.err.contains("rollout 7 of redis.default is halted: 127.0.0.3:9638 failed"), "{}", ended.err);
}

#[tokio::test]
async fn a_dry_run_shows_each_file_and_changes_nothing() {
    let served = served();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.toml");
    std::fs::write(&file, "port = 1\n").unwrap();
    let args = ["config", "apply", "redis.default", file.to_str().unwrap(), "--dry-run"];
    let ended = sup(&served, &args).await;
    let expected = "\
127.0.0.2:9638, 127.0.0.3:9638 are reconfigured, and run on
--- config/redis.conf
+++ config/redis.conf
@@ -1 +1 @@
-port 6379
+port 1

127.0.0.4:9638
  does not render: redis.conf:1: no

rendered with core/redis/7.0.15, against 2-1a2b3c4d; nothing was changed
note: user.toml and environment were read on 127.0.0.2:9638 only; what those of other nodes set stays set there
";
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, expected, ""));
    assert!(!served.fake.asked().iter().any(|asked| asked.starts_with("apply")));
    let ended = sup(&served, &[&args[..], &["--json"]].concat()).await;
    let preview: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(preview["changes"][0]["files"][0]["path"], "config/redis.conf");
}

#[tokio::test]
async fn options_of_a_config_that_is_refused_are_not_stored() {
    let served = served();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.toml");
    std::fs::write(&file, "port = 1\n").unwrap();
    served.fake.change(|state| state.refusal = Some(invalid_config()));
    let ended = sup(&served, &["config", "apply", "redis.default", file.to_str().unwrap(), "--batch", "2"]).await;
    assert_eq!(ended.code, 4, "{}", ended.err);
    assert!(!served.fake.asked().iter().any(|asked| asked.starts_with("desired")), "{:?}", served.fake.asked());
}

#[tokio::test]
async fn two_revisions_are_compared() {
    let ended = sup(&served(), &["config", "diff", "redis.default"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, "1-00000000 and 2-1a2b3c4d say the same\n"), "{}", ended.err);
    let ended = sup(&served(), &["config", "diff", "redis.default", "--json"]).await;
    let diff: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&diff["from"], &diff["diff"]), (&"1-00000000".into(), &"".into()));
    let served = served();
    served.fake.change(|state| state.old_toml = "port = 1\n".into());
    let ended = sup(&served, &["config", "diff", "redis.default", "1-00000000"]).await;
    let expected = "--- 1-00000000\n+++ 2-1a2b3c4d\n@@ -1 +1 @@\n-port = 1\n+port = 6379\n";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
}
