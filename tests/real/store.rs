//! What becomes of a node whose store is damaged, gone, or cannot be written: its services go on, and it says so.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::geteuid;

use crate::harness::{Node, Ring, is_alive, run, wait_for, wait_until};
use crate::http;

const DEMO: &str = "demo.default";

fn apply(node: &Node, toml: &str) -> i32 {
    let answer = node.sup_with_input(&["config", "apply", DEMO, "-"], toml);
    println!("{}", answer.stderr);
    answer.code
}

fn id(node: &Node) -> String {
    node.json(&["status", "demo"])["node_id"].as_str().expect("a node has an id").to_owned()
}

/// Damages the store of a follower while its supervisor is down, and sees it come back as a new node with the same
/// service.
fn survives(damage: impl Fn(&Path)) {
    let mut ring = Ring::new(3);
    ring.start("demo", &["--topology", "leader"]);
    ring.wait_whole();
    let (leader, term) = ring.wait_leader(DEMO);
    let victim = (leader + 1) % 3;
    ring.nodes[victim].wait_healthy(DEMO);
    assert_eq!(apply(&ring.nodes[leader], "message = \"kept\"\n"), 0);
    let pid = ring.nodes[victim].service_pid(DEMO).expect("it has a process");
    let before = id(&ring.nodes[victim]);
    ring.nodes[victim].kill();
    damage(&ring.nodes[victim].data.join("state.redb"));
    let peer = ring.nodes[leader].ip.to_string();
    ring.nodes[victim].spawn(&["run", "--profile", "local", "--peer", &peer]);
    ring.wait_whole();
    let node = &ring.nodes[victim];
    wait_until("its service is supervised again", || node.service_pid(DEMO) == Some(pid));
    assert!(is_alive(pid));
    // Nobody knows what the earlier one had promised: it must not vote again.
    assert_ne!(id(node), before);
    wait_until("it has the config from the others", || node.sup(&["config", "show", DEMO]).stdout.contains("kept"));
    assert_eq!(ring.wait_leader(DEMO), (leader, term), "the leader was not disturbed");
    let log = node.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("joins as a new one")).collect();
    println!("{told:#?}");
    assert_eq!(told.len(), 1, "one line tells of it: {log}");
    let status = node.sup(&["status"]).stdout;
    println!("{status}");
    for part in ["state.redb", "joins as a new one", &before] {
        assert!(told[0].contains(part) && status.contains(part), "{part}: {told:?} {status}");
    }
}

/// How many states are kept aside.
fn aside(data: &Path) -> usize {
    let files = std::fs::read_dir(data).expect("the data is there").flatten();
    files.filter(|file| file.file_name().to_string_lossy().starts_with("state.redb.unreadable-")).count()
}

#[test]
fn a_corrupted_store_is_moved_aside_and_the_node_joins_as_a_new_one_with_its_service() {
    survives(|store| {
        let length = std::fs::metadata(store).expect("there is a store").len();
        std::fs::write(store, vec![0xa5; usize::try_from(length).expect("it is small")]).expect("it is overwritten");
    });
}

#[test]
fn a_store_that_is_cut_off_or_gone_is_told_and_the_service_goes_on() {
    let mut ring = Ring::new(1);
    ring.start("demo", &[]);
    ring.nodes[0].wait_healthy(DEMO);
    let pid = ring.nodes[0].service_pid(DEMO).expect("it has a process");
    let node = &mut ring.nodes[0];
    for (cut, kept) in [(Some(0), 1), (Some(1000), 2), (Some(70_000), 3), (None, 3)] {
        let before = id(node);
        node.kill();
        let store = node.data.join("state.redb");
        match cut {
            Some(length) => {
                let file = std::fs::File::options().write(true).open(&store).expect("there is a store");
                file.set_len(length).expect("it is cut");
            }
            None => std::fs::remove_file(&store).expect("there is a store"),
        }
        node.spawn(&["run", "--profile", "local"]);
        wait_until("its service is supervised again", || node.service_pid(DEMO) == Some(pid));
        assert_ne!(id(node), before);
        assert_eq!(aside(&node.data), kept);
    }
    assert!(is_alive(pid));
}

/// A file system of its own, so small that it can be filled.
struct SmallDisk(PathBuf);

impl SmallDisk {
    const SIZE: &str = "size=24m";

    /// None where nothing may be mounted.
    fn at(dir: &Path) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        std::fs::create_dir_all(dir).expect("the directory is made");
        let mut mount = Command::new("mount");
        let mounted = run(mount.args(["-t", "tmpfs", "-o", Self::SIZE, "tmpfs"]).arg(dir), "");
        (mounted.code == 0).then(|| Self(dir.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all room that there is now; others may give some back afterwards.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0; 1]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there is killed by the ring's own end.
        run(Command::new("umount").arg("-l").arg(&self.0), "");
    }
}

#[test]
fn a_full_disk_stops_elections_on_its_node_alone_and_all_is_well_once_there_is_room() {
    let mut ring = Ring::new(3);
    let Some(disk) = SmallDisk::at(&ring.nodes[2].data) else {
        return println!("not done: only root may mount a small disk");
    };
    ring.start("demo", &["--topology", "leader"]);
    ring.wait_whole();
    ring.wait_leader(DEMO);
    for node in &ring.nodes {
        node.wait_healthy(DEMO);
    }
    let pid = ring.nodes[2].service_pid(DEMO);
    // It has to be written there, too, and is in force on the others at least.
    let mut message = String::new();
    let applied = wait_for("the disk has no room for a config", || {
        disk.fill();
        message.push('f');
        let toml = format!("message = \"{message}\"\n");
        let applied = ring.nodes[0].sup_with_input(&["config", "apply", DEMO, "-", "--timeout", "1s"], &toml);
        (applied.code != 0).then_some(applied)
    });
    assert_eq!(applied.code, 3, "{applied:?}");
    assert!(applied.stderr.contains(&ring.nodes[2].ip.to_string()), "{applied:?}");
    assert!(applied.stderr.contains("No space left on device"), "{applied:?}");
    for node in &ring.nodes[..2] {
        wait_until("the config is in force", || {
            http::get((node.ip, 8080), "/").is_ok_and(|response| response.json()["message"] == message.as_str())
        });
    }
    wait_until("the log tells of it", || ring.nodes[2].log().contains("No space left on device"));
    assert_eq!(ring.nodes[2].service_pid(DEMO), pid);
    assert!(ring.nodes[2].is_running());
    for line in ring.nodes[2].log().lines().filter(|line| line.contains("ERROR") || line.contains("WARN")) {
        println!("{line}");
    }
    println!("{}", ring.nodes[2].sup(&["status", "demo"]).stdout);
    println!("{}", ring.nodes[2].sup(&["explain", "demo"]).stdout);
    disk.free();
    wait_until("what could not be written is, once there is room", || {
        http::get((ring.nodes[2].ip, 8080), "/").is_ok_and(|response| response.json()["message"] == message.as_str())
    });
    // The store's file has some room of its own, which small records may fit in.
    let mut number = 0;
    wait_until("the store cannot be written either", || {
        disk.fill();
        number += 1;
        let toml = format!("message = \"{number} {}\"\n", "x".repeat(20_000));
        let applied = ring.nodes[0].sup_with_input(&["config", "apply", DEMO, "-", "--no-wait"], &toml);
        assert_eq!(applied.code, 0, "{applied:?}");
        ring.nodes[2].log().contains("the store cannot be written")
    });
    assert_eq!(ring.nodes[2].log().matches("the store cannot be written").count(), 1, "it is told once");
    let status = ring.nodes[2].sup(&["status"]).stdout;
    println!("{status}");
    for part in ["no new promise in elections", "state.redb", "its services go on"] {
        assert!(status.contains(part), "{status}");
    }
    let explained = ring.nodes[2].sup(&["explain", "demo"]).stdout;
    println!("{explained}");
    assert!(explained.contains("no new promise in elections") && explained.contains("df -h"), "{explained}");
    let metrics = || http::get((ring.nodes[2].ip, 9631), "/metrics").expect("it answers").body;
    assert!(metrics().contains("sup_store_failing 1\n"), "{}", metrics());
    assert_eq!(ring.nodes[2].service_pid(DEMO), pid);
    disk.free();
    wait_until("nothing of it is told any more, without a restart", || {
        !ring.nodes[2].sup(&["status"]).stdout.contains("no new promise in elections")
    });
    assert!(metrics().contains("sup_store_failing 0\n"), "{}", metrics());
    wait_until("a config can be applied there again", || apply(&ring.nodes[2], "message = \"room\"\n") == 0);
    for node in &ring.nodes {
        wait_until("it is in force everywhere", || {
            http::get((node.ip, 8080), "/").is_ok_and(|response| response.json()["message"] == "room")
        });
    }
    // What was stored is there after a crash.
    ring.nodes[2].kill();
    let peer = ring.nodes[0].ip.to_string();
    ring.nodes[2].spawn(&["run", "--profile", "local", "--peer", &peer]);
    ring.wait_whole();
    ring.wait_leader(DEMO);
    ring.nodes[2].wait_healthy(DEMO);
    kill(ring.nodes[2].pid(), Signal::SIGTERM).expect("it is asked to end");
    assert_eq!(ring.nodes[2].wait_exit(), Some(0));
}
