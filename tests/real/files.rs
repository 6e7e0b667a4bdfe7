//! Uploaded files: on all members, before they start and while they run.

use std::path::PathBuf;

use crate::harness::{Node, Ring, wait_until, write_plan};

const GROUP: &str = "idle.default";
const PLAN: &str = "name = \"idle\"\nversion = \"1\"\n[service]\nrun = \"cp {{pkg.svc_files_path}}/users.acl \
                    {{pkg.svc_data_path}}/at-start; exec sleep 1000\"\n";
const HOOK: &str = "#!/bin/sh\necho \"$SUP_FILE\" >> {{pkg.svc_data_path}}/told\n";

fn service(node: &Node) -> PathBuf {
    node.data.join("svc").join("idle")
}

fn read(node: &Node, path: &str) -> String {
    std::fs::read_to_string(service(node).join(path)).unwrap_or_default()
}

fn ok(node: &Node, args: &[&str]) {
    let answer = node.sup(args);
    assert_eq!(answer.code, 0, "sup {args:?}: {answer:?}");
}

/// What the command has waited for.
fn assert_in_place(ring: &Ring, name: &str, content: &str) {
    for node in &ring.nodes {
        assert!(read(node, &format!("files/{name}")) == content, "{} has another {name}", node.ip);
    }
}

#[test]
fn a_file_reaches_all_members_is_told_of_goes_back_and_is_there_before_a_start() {
    let mut ring = Ring::new(3);
    let plan = write_plan(&ring.dir().join("idle"), &[("plan.toml", PLAN), ("hooks/file-updated", HOOK)]);
    ring.start(&plan, &[]);
    ring.wait_whole();
    let first = &ring.nodes[0];
    wait_until("all members are up", || {
        ring.nodes.iter().all(|node| node.member(GROUP).is_some_and(|member| member["state"] == "up"))
    });
    let small = ring.dir().join("users.acl");
    std::fs::write(&small, "user one").unwrap();
    let small = small.to_str().unwrap().to_owned();
    ok(first, &["file", "upload", GROUP, &small]);
    assert_in_place(&ring, "users.acl", "user one");

    // Too large for a record: it is fetched from the node that took it.
    let large = ring.dir().join("large.bin");
    let content = "0123456789abcdef".repeat(200_000);
    std::fs::write(&large, &content).unwrap();
    ok(&ring.nodes[1], &["file", "upload", GROUP, large.to_str().unwrap(), "--name", "blob"]);
    assert_in_place(&ring, "blob", &content);
    for node in &ring.nodes {
        wait_until("the service was told of both", || read(node, "data/told") == "users.acl\nblob\n");
    }

    std::fs::write(&small, "user two").unwrap();
    ok(&ring.nodes[2], &["file", "upload", GROUP, &small, "--expect", "none", "--name", "other"]);
    let refused = ring.nodes[2].sup(&["file", "upload", GROUP, &small, "--expect", "none"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    ok(&ring.nodes[2], &["file", "upload", GROUP, &small]);
    assert_in_place(&ring, "users.acl", "user two");
    ok(&ring.nodes[1], &["file", "rollback", GROUP, "users.acl"]);
    assert_in_place(&ring, "users.acl", "user one");
    ok(&ring.nodes[1], &["file", "remove", GROUP, "other"]);
    assert!(ring.nodes.iter().all(|node| !service(node).join("files/other").exists()), "it is gone");

    // One that comes back finds what it missed before its service starts.
    ring.nodes[2].crash();
    std::fs::write(&small, "user three").unwrap();
    ok(&ring.nodes[0], &["file", "upload", GROUP, &small, "--no-wait"]);
    ring.spawn(2, &["run"]);
    wait_until("it starts with the file", || read(&ring.nodes[2], "data/at-start") == "user three");
    let listed = ring.nodes[2].json(&["file", "list", GROUP]);
    assert_eq!(listed["files"].as_array().map(Vec::len), Some(2), "{listed}");
}
