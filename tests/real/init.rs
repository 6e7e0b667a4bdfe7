//! Being process 1, as a container's entrypoint is: in a pid namespace of the test's own.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Ring, SUP, run, wait_for, wait_until, write_plan};

/// What the orphans of the plan below are known by.
const ORPHAN: &str = "sleep 86321";
const ORPHANS: usize = 5;

const PLAN: &[(&str, &str)] = &[
    ("plan.toml", "name = \"parent\"\nversion = \"1\"\n[service]\nrun = \"exec sleep 1000\"\n"),
    ("hooks/init", "#!/bin/sh\nfor i in 1 2 3 4 5; do setsid sleep 86321 </dev/null >/dev/null 2>&1 & done\n"),
    ("hooks/pre-stop", "#!/bin/sh\nkill -0 $SUP_PID && echo pre-stop >>{{pkg.svc_var_path}}/trace\n"),
    ("hooks/post-stop", "#!/bin/sh\necho post-stop >>{{pkg.svc_var_path}}/trace\n"),
];

/// A command whose arguments are run as process 1; none, with a line that says so, where that is not permitted.
fn process_1() -> Option<Command> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command
    };
    let tried = unshare().arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a pid namespace cannot be made here (unshare --pid --mount-proc)");
        return None;
    }
    Some(unshare())
}

/// Process id, state and command line of each child.
fn children(parent: Pid) -> Vec<(Pid, char, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next().and_then(|state| state.chars().next());
        if let (Some(state), Some(Ok(ppid))) = (state, fields.next().map(str::parse::<i32>))
            && ppid == parent.as_raw()
        {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, state, String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned()));
        }
    }
    found
}

#[test]
fn process_1_reaps_orphans_and_ends_cleanly_on_sigterm_with_its_services_stopped() {
    let Some(mut unshare) = process_1() else { return };
    let mut ring = Ring::new(1);
    let plan = write_plan(&ring.dir().join("parent"), PLAN);
    let node = &mut ring.nodes[0];
    node.spawn_by(unshare.arg(SUP), &["start", &plan, "--profile", "local"]);
    node.wait_healthy("parent.default");
    let launcher = node.pid();
    let init = wait_for("process 1 is there", || children(launcher).first().map(|(pid, _, _)| *pid));
    let orphans = wait_for("the hook's orphans are process 1's", || {
        let mut orphans = children(init);
        orphans.retain(|(_, _, command)| command == ORPHAN);
        (orphans.len() == ORPHANS).then_some(orphans)
    });
    for (orphan, _, _) in &orphans {
        kill(*orphan, Signal::SIGKILL).expect("an orphan is killed");
    }
    wait_until("every orphan is reaped", || {
        let left = children(init);
        left.iter().all(|(pid, state, _)| *state != 'Z' && orphans.iter().all(|(orphan, _, _)| orphan != pid))
    });

    kill(init, Signal::SIGTERM).expect("process 1 can be signalled");
    assert_eq!(node.wait_exit(), Some(0), "{}", node.log());
    // That the process is gone would prove nothing: all are, when process 1 ends. That it was stopped in order does.
    let trace = std::fs::read_to_string(node.data.join("svc/parent/var/trace")).unwrap_or_default();
    assert_eq!(trace, "pre-stop\npost-stop\n", "{}", node.log());
}

#[test]
fn a_command_that_is_process_1_says_and_returns_what_it_always_does() {
    if process_1().is_none() {
        return;
    }
    let nobody = tempfile::tempdir().expect("a temporary directory");
    let dir = nobody.path().to_str().expect("a plain name");
    // One is answered by nobody, the other is misspelt: its usage shows the program's name.
    for args in [["members", "--data-dir", dir], ["members", "--dato-dir", dir]] {
        let usual = run(Command::new(SUP).args(args), "");
        let as_process_1 = run(process_1().expect("as above").arg(SUP).args(args), "");
        assert_ne!(usual.code, 0, "{usual:?}");
        assert_eq!((usual.code, usual.stderr), (as_process_1.code, as_process_1.stderr));
    }
}
