//! The releases of a node: what a service was started from, what it goes back to, what is let go of, and who gets to
//! read them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::{Node, Ring, is_alive, run, wait_for, wait_until, write_plan};

const GROUP: &str = "teller.default";
/// The user and group of `nobody`.
const NOBODY: u32 = 65534;

/// A service that says what it is by a program of its own, and how it was started last by a file.
fn teller(ring: &Ring, place: &str, version: &str, words: &str, user: &str) -> String {
    let plan = format!(
        "name = \"teller\"\nversion = \"{version}\"\n[service]\nrun = \"exec {{{{pkg.path}}}}/bin/tell\"\n{user}\
         shutdown-timeout = \"2s\"\n"
    );
    let program = format!("#!/bin/sh\necho {words} >>\"$TELL_TO\"\nexec sleep 1000\n");
    let plan = format!("{plan}[service.env]\nTELL_TO = \"{{{{pkg.svc_var_path}}}}/told\"\n");
    let dir = ring.dir().join(place);
    let written = write_plan(&dir, &[("plan.toml", &plan), ("bin/tell", &program)]);
    std::fs::set_permissions(dir.join("bin/tell"), Permissions::from_mode(0o755)).expect("its mode is set");
    written
}

/// What the service said at each start.
fn told(node: &Node) -> Vec<String> {
    let text = std::fs::read_to_string(node.data.join("svc/teller/var/told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_told(node: &Node, words: &[&str]) {
    wait_until(&format!("{words:?} was told"), || told(node) == words);
}

fn sup(node: &Node, args: &[&str]) -> String {
    let answer = node.sup(args);
    assert_eq!(answer.code, 0, "sup {args:?}: {answer:?}");
    format!("{}{}", answer.stdout, answer.stderr)
}

fn releases(node: &Node) -> Vec<serde_json::Value> {
    node.json(&["release", "list"])["releases"].as_array().expect("a list").clone()
}

#[test]
fn a_service_goes_back_to_its_directory_as_it_was_when_it_was_started() {
    let mut ring = Ring::new(1);
    let dir = teller(&ring, "plan", "1", "first", "");
    ring.spawn(0, &["start", &dir, "--strategy", "rolling"]);
    wait_told(&ring.nodes[0], &["first"]);
    teller(&ring, "plan", "1", "edited", "");
    let next = teller(&ring, "next", "2", "second", "");
    sup(&ring.nodes[0], &["update", GROUP, &next, "--min-healthy", "0s"]);
    sup(&ring.nodes[0], &["rollout", "rollback", GROUP]);
    wait_told(&ring.nodes[0], &["first", "second", "first"]);

    // Nor does a supervisor that is started again read it, be it there or not.
    let pid = ring.nodes[0].service_pid(GROUP).expect("it runs");
    ring.nodes[0].kill();
    std::fs::remove_dir_all(ring.dir().join("plan")).expect("the directory goes");
    ring.spawn(0, &["run"]);
    wait_until("it is adopted", || ring.nodes[0].service_pid(GROUP) == Some(pid));
    ring.nodes[0].crash();
    assert!(!is_alive(pid));
    ring.spawn(0, &["run"]);
    wait_told(&ring.nodes[0], &["first", "second", "first", "first"]);

    sup(&ring.nodes[0], &["restart", "teller"]);
    wait_told(&ring.nodes[0], &["first", "second", "first", "first", "first"]);
    sup(&ring.nodes[0], &["start", "teller"]);
}

#[test]
fn a_restart_takes_a_directory_that_was_changed_and_a_start_of_what_runs_says_so() {
    let mut ring = Ring::new(1);
    let dir = teller(&ring, "plan", "1", "first", "");
    ring.spawn(0, &["start", &dir]);
    let node = &ring.nodes[0];
    wait_told(node, &["first"]);
    assert!(!sup(node, &["start", &dir]).contains("sup restart"), "nothing has changed");
    teller(&ring, "plan", "1", "edited", "");
    let said = sup(node, &["start", &dir]);
    assert!(said.contains("its plan has changed since") && said.contains("sup restart teller"), "{said}");
    assert_eq!(told(node), ["first"]);
    sup(node, &["restart", "teller"]);
    wait_told(node, &["first", "edited"]);
    assert!(sup(node, &["status", "teller"]).contains(&dir), "the status says what it goes by");

    // What could not run is refused, and what runs goes on.
    let pid = node.service_pid(GROUP);
    std::fs::write(Path::new(&dir).join("plan.toml"), "nam = 1").expect("the plan is spoilt");
    let refused = node.sup(&["restart", "teller"]);
    assert!(refused.code != 0 && refused.stderr.contains("plan.toml:1:1"), "{refused:?}");
    assert_eq!(node.service_pid(GROUP), pid);
}

#[test]
fn a_full_disk_refuses_a_changed_directory_and_leaves_the_service_as_it_is() {
    let mut ring = Ring::new(1);
    let room = ring.nodes[0].data.clone();
    std::fs::create_dir(&room).expect("the data directory is made");
    let Some(_mount) = Mount::tmpfs(&room, "24m") else { return };
    let dir = teller(&ring, "plan", "1", "first", "");
    ring.spawn(0, &["start", &dir]);
    wait_told(&ring.nodes[0], &["first"]);
    let pid = ring.nodes[0].service_pid(GROUP);
    std::fs::write(Path::new(&dir).join("bin/data"), vec![1; 32 << 20]).expect("the plan grows");
    let refused = ring.nodes[0].sup(&["restart", "teller"]);
    assert!(refused.code != 0 && refused.stderr.contains("cannot copy the plan"), "{refused:?}");
    assert!(refused.stderr.contains("make room"), "{refused:?}");
    assert_eq!(ring.nodes[0].service_pid(GROUP), pid);
    std::fs::remove_file(Path::new(&dir).join("bin/data")).expect("the plan shrinks");
    sup(&ring.nodes[0], &["restart", "teller"]);
    wait_told(&ring.nodes[0], &["first", "first"]);
    ring.nodes[0].crash();
}

/// Something mounted for a test.
struct Mount(std::path::PathBuf);

impl Mount {
    /// None where that is not possible: it takes root.
    fn tmpfs(place: &Path, size: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"]).arg(place);
        let mounted = nix::unistd::geteuid().is_root() && run(&mut command, "").code == 0;
        mounted.then(|| Self(place.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = run(Command::new("umount").arg("-l").arg(&self.0), "");
        assert!(unmounted.code == 0 || std::thread::panicking(), "{unmounted:?}");
    }
}

#[test]
fn a_service_that_runs_as_nobody_reads_its_release_and_nothing_else_of_the_data_directory() {
    nobody_reads_releases_only("022");
}

/// As a hardened system starts it: what is made is the owner's alone unless it is opened on purpose.
#[test]
fn a_service_that_runs_as_nobody_reads_its_release_whatever_the_umask() {
    nobody_reads_releases_only("077");
}

fn nobody_reads_releases_only(umask: &str) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut ring = Ring::new(1);
    let user = "user = \"nobody\"\n";
    let first = teller(&ring, "plan", "1", "first", user);
    let node = &mut ring.nodes[0];
    crate::fleet::write_user_of(&node.data, "teller", "# a secret\n");
    std::fs::set_permissions(&node.data, Permissions::from_mode(0o700)).expect("its mode is set");
    let start = format!("umask {umask}; exec \"$0\" \"$@\"");
    let args = ["start", &first, "--strategy", "rolling", "--profile", "local"];
    node.spawn_by(Command::new("sh").args(["-c", &start, crate::harness::SUP]), &args);
    wait_told(&ring.nodes[0], &["first"]);
    let next = teller(&ring, "next", "2", "second", user);
    let node = &ring.nodes[0];
    sup(node, &["update", GROUP, &next, "--min-healthy", "0s"]);
    wait_told(node, &["first", "second"]);
    let answer = node.sup_with_input(&["config", "apply", GROUP, "-", "--allow-unknown"], "secret = \"x\"\n");
    assert_eq!(answer.code, 0, "{answer:?}");

    let nobody = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        run(command.args(args).current_dir("/").uid(NOBODY).gid(NOBODY), "")
    };
    let data = node.data.to_str().expect("a plain name");
    assert_ne!(nobody("ls", &[data]).code, 0, "the data directory can be listed");
    let mut pending = vec![node.data.clone()];
    let mut readable = Vec::new();
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).expect("root reads everything").flatten() {
            let path = entry.path();
            let name = path.to_str().expect("a plain name").to_owned();
            if entry.file_type().expect("it has a type").is_dir() {
                pending.push(path);
            } else if nobody("test", &["-r", &name]).code == 0 || nobody("test", &["-w", &name]).code == 0 {
                readable.push(name.strip_prefix(data).expect("it is below").to_owned());
            }
        }
    }
    let own = |path: &String| path.starts_with("/releases/") || path.starts_with("/svc/teller/");
    let strange: Vec<_> = readable.iter().filter(|path| !own(path)).collect();
    assert!(strange.is_empty(), "nobody gets at {strange:?}");
    assert!(readable.iter().any(|path| path.ends_with("/bin/tell")), "{readable:?}");
}

#[test]
fn what_a_service_may_go_back_to_is_never_collected_and_what_nobody_needs_is() {
    let mut ring = Ring::new(1);
    let dir = teller(&ring, "plan", "1", "1", "");
    std::fs::write(ring.dir().join("sup.toml"), "keep-releases = 0\n").expect("the config is written");
    ring.spawn(0, &["start", &dir, "--strategy", "rolling", "--config", "sup.toml"]);
    let node = &ring.nodes[0];
    wait_told(node, &["1"]);
    let mut told: Vec<String> = vec!["1".to_owned()];
    for version in ["2", "3"] {
        let next = teller(&ring, &format!("plan{version}"), version, version, "");
        sup(node, &["update", GROUP, &next, "--min-healthy", "0s"]);
        told.push(version.to_owned());
        wait_until("it is told", || crate::release::told(node) == told);
    }
    // One that was handed over, and then nobody asked for; and a directory that the service is not started from any more.
    let all = || -> Vec<String> {
        let name = |release: &serde_json::Value| release["release"].as_str().expect("a name").to_owned();
        releases(node).iter().map(name).map(|name| name.split('/').nth(1).expect("a version").to_owned()).collect()
    };
    sup(node, &["release", "gc"]);
    let mut kept = all();
    kept.sort();
    assert_eq!(kept, ["1", "2", "3"], "what is gone back to by `rollback`, and what the service was started from");
    let listed = sup(node, &["release", "list"]);
    assert!(listed.contains(&dir) && listed.contains(GROUP), "{listed}");
    let copy = wait_for("the copy is listed", || {
        releases(node).into_iter().find(|release| release["copy_of"].as_str() == Some(dir.as_str()))
    });
    let shown = sup(node, &["release", "show", copy["release"].as_str().expect("a name")]);
    assert!(shown.contains("copy of") && shown.contains("bin/tell") && shown.contains(GROUP), "{shown}");

    sup(node, &["unload", "teller"]);
    wait_until("nobody needs a copy any more", || {
        sup(node, &["release", "gc"]);
        !all().contains(&"1".to_owned())
    });
}

#[test]
fn what_a_person_updates_to_is_signed_by_the_key_that_the_supervisor_has() {
    let mut ring = Ring::new(1);
    let key = ring.dir().join("key").to_str().expect("a plain name").to_owned();
    let public = sup(&ring.nodes[0], &["release", "key", &key]);
    let dir = teller(&ring, "plan", "1", "first", "");
    ring.spawn(
        0,
        &[
            "start",
            &dir,
            "--strategy",
            "rolling",
            "--signing-key",
            &key,
            "--trusted-keys",
            public.lines().next().unwrap_or_default(),
        ],
    );
    let node = &ring.nodes[0];
    wait_told(node, &["first"]);
    let next = teller(&ring, "next", "2", "second", "");
    sup(node, &["update", GROUP, &next, "--min-healthy", "0s"]);
    wait_told(node, &["first", "second"]);
    let all = releases(node);
    let signed = all.iter().find(|release| release["copy_of"].is_null()).expect("the release is here");
    assert_ne!(signed["signature"]["by"], "nobody", "{signed}");
}
