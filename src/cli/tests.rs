//! Commands against a fake supervisor: what is printed, how it ends, and that help stays as it is.

mod help;
mod lost;
mod ring_key;
mod rollout;

use std::time::Duration;

use clap::Parser;

use super::args::Cli;
use super::out::{Colour, Out};
use super::{Failure, dispatch};
use crate::api::fake::{Served, invalid_config, redis, rolling};
use crate::api::server::Limits;
use crate::api::shape::{MemberServiceState, MemberState};
use crate::api::{Problem, ProblemKind};
use crate::census::ElectionState;
use crate::records::value::{Health, Strategy, Topology};

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
