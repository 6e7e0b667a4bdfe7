//! `sup update`, `sup rollout`, and config that rolls.

use super::{served, sup};
use crate::api::fake::{ASKED, Served, invalid_config, rolling};
use crate::api::shape::RolloutReport;
use crate::api::{Problem, ProblemKind};
use crate::records::value::{RolloutStatus, Strategy, TurnPhase};

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
async fn an_update_of_what_is_not_there_or_cannot_be_says_what_was_meant() {
    let served = served();
    let ended = sup(&served, &["update", "redi.default", "."]).await;
    assert_eq!(ended.err, "error: no group redi.default\nnext: did you mean redis.default?\n");
    let (_dir, file) = archive(10);
    let ended = sup(&served, &["update", "redis.default", &file, "--sign", "ci.key"]).await;
    assert_eq!(ended.code, 2, "{}", ended.err);
    assert!(ended.err.contains("is packed already") && ended.err.contains("sup plan pack DIR --sign"), "{}", ended.err);
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
