//! Writes those seeds of the corpus that nobody can write by hand. They are real: what three nodes said to each other
//! while they became a ring, what they stored, a packed plan.
//!
//! `cargo test -p sup-fuzz -- --ignored`, after the wire has changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sup::net::{Gate, KeySet, RingKey, Versions, bare};
use sup::plan::builtin;
use sup::records::Kind;
use sup::release::{Out, pack};
use tokio::io::AsyncReadExt as _;

use crate::ring::{Subject, past};
use crate::script::piece;

/// Largest seed, in bytes.
const SEED_BYTES: usize = 4096;

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&dir).unwrap();
    assert!(bytes.len() <= SEED_BYTES, "{target}/{name} has {} bytes", bytes.len());
    fs::write(dir.join(name), bytes).unwrap();
}

fn step(kind: u8, from: usize, bytes: &[u8]) -> Vec<u8> {
    [vec![kind | u8::try_from(from).unwrap() << 4], piece(bytes)].concat()
}

#[test]
fn three_nodes_became_a_ring_with_a_council_and_one_of_them_led() {
    assert!(past().led);
    assert!(past().restored.elections.contains_key(&crate::ring::group()));
    let subject = Subject::new();
    assert_eq!(subject.node().unread(), 0);
    assert!(subject.node().census().group(&crate::ring::group()).council.is_some());
}

#[test]
#[ignore = "writes files into the corpus"]
fn datagrams() {
    let mut kinds = BTreeSet::new();
    for (from, bytes) in &past().datagrams {
        // One of each kind: the packet's, and the message's in it.
        let tail = if bytes[0] == 0 { 1 } else { 18 };
        let message = if bytes[0] >= 2 { bytes.get(tail + 15).copied() } else { bytes.get(tail - 1).copied() };
        if kinds.insert((bytes[0], message)) && kinds.len() <= 20 {
            let name = format!("said-{}-{}", bytes[0], message.unwrap_or_default());
            seed("datagram", &name, &[vec![1], step(0, *from, bytes), vec![14, 14]].concat());
        }
    }
    let mut conversation = vec![1];
    for (from, bytes) in past().datagrams.iter().rev().take(40) {
        let next = step(0, *from, bytes);
        if conversation.len() + next.len() < SEED_BYTES {
            conversation.extend(next);
            conversation.push(10);
        }
    }
    seed("datagram", "conversation", &conversation);
    for (number, (from, bytes)) in past().requests.iter().take(4).enumerate() {
        seed("datagram", &format!("asked-{number}"), &[vec![1], step(4, *from, bytes)].concat());
    }
    for (number, bytes) in past().answers.iter().filter(|bytes| bytes.len() < 1000).take(4).enumerate() {
        seed("datagram", &format!("answered-{number}"), &[vec![1, 14, 14], step(6, 1, bytes)].concat());
    }
    let (_, first) = &past().datagrams[0];
    for (name, keys) in gates() {
        let whole = bare::seal(&keys, first).unwrap();
        seed("datagram", &format!("envelope-{name}"), &[vec![0], whole].concat());
    }
}

fn gates() -> [(&'static str, Gate); 2] {
    let gate = |keys| Gate::new("blue".parse().unwrap(), Versions::default(), keys).unwrap();
    [("clear", gate(KeySet::clear())), ("sealed", gate(KeySet::sealed(RingKey::from_bytes([1; 32]))))]
}

#[test]
#[ignore = "writes files into the corpus"]
fn streams() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (number, (name, gate)) in gates().iter().enumerate() {
        let (_, request) = &past().requests[0];
        // What was said on the way, as somebody on the way hears it.
        let said = runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(1 << 20);
            let (tap, mut tapped) = tokio::io::duplex(1 << 20);
            let (reads, writes) = tokio::io::split(far);
            let mut far = tokio::io::join(Tap { reads, tap }, writes);
            let frames = [&request[..]];
            let serve = bare::serve(&mut far, gate, |_, _| {});
            let (sent, served) = tokio::join!(bare::send(&mut near, gate, &frames, b""), serve);
            sent.and(served).unwrap();
            drop(far);
            let mut said = Vec::new();
            tapped.read_to_end(&mut said).await.unwrap();
            said
        });
        let kind = u8::try_from(number).unwrap();
        seed("stream_frame", &format!("opened-{name}"), &[vec![kind], said].concat());
        let spoken = [vec![3 | kind << 3, 2], piece(request), piece(b""), b"garbage".to_vec()].concat();
        seed("stream_frame", &format!("spoken-{name}"), &spoken);
    }
    seed("stream_frame", "four-gigabytes", b"\x00\x01\x01\x00\x00\x04blue\xff\xff\xff\xff");
    seed("stream_frame", "answered", b"\x02\x01\x01\x00\x00\x00\x00\x00\x00\x06answer");
    for (number, [verdict, detail]) in [[1, b'g'], [2, 0], [3, 1], [4, 1], [5, 2]].into_iter().enumerate() {
        let answer = [2, 1, 1, 2, 0, 5, verdict, detail, b'r', b'e', b'd'];
        seed("stream_frame", &format!("refused-{number}"), &answer);
    }
    for (name, head) in [("look", &[0][..]), ("list", &[1]), ("chunk", &[2])] {
        let frame = [head, &[7; 32], &[1, 9], &[0b101, 1, 0]].concat();
        seed("stream_frame", &format!("blob-{name}"), &[&[4, 0, 40][..], &frame].concat());
    }
    seed("stream_frame", "blob-have", &[4, 0, 16, 2, 1, 0b11]);
    seed("stream_frame", "blob-content", &[4, 0, 16, 4, 1, 1, 0b11, b'c', b'o', b'n']);
}

/// Reads, and lets somebody listen.
struct Tap<R> {
    reads: R,
    tap: tokio::io::DuplexStream,
}

impl<R: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Tap<R> {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = std::pin::Pin::new(&mut this.reads).poll_read(cx, buffer);
        let heard = &buffer.filled()[before..];
        if !heard.is_empty() {
            use tokio::io::AsyncWrite as _;
            assert!(std::pin::Pin::new(&mut this.tap).poll_write(cx, heard).is_ready(), "there is room");
        }
        polled
    }
}

#[test]
#[ignore = "writes files into the corpus"]
fn records() {
    let mut all = vec![13];
    for record in &past().restored.records {
        let kind = match record.key.kind() {
            Kind::Node(_) => 0,
            Kind::Service(..) => 1,
            Kind::Rollout(_) => 9,
            Kind::Seat(..) => 10,
            Kind::Council(_) => 11,
            _ => continue,
        };
        let name = record.key.as_str().split('/').nth(1).unwrap();
        if let Some(value) = &record.value {
            seed("record", &format!("value-{name}"), &[&[kind][..], value].concat());
        }
        seed("record", &format!("key-{name}"), &[&[12], record.key.as_str().as_bytes()].concat());
        let written = postcard::to_stdvec(record).unwrap();
        seed("record", &format!("record-{name}"), &[&[13][..], &written].concat());
        all.extend(written);
    }
    seed("record", "records", &all);
}

#[test]
#[ignore = "writes files into the corpus"]
fn archives() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan");
    fs::create_dir_all(plan.join("hooks")).unwrap();
    fs::write(plan.join("plan.toml"), "name = \"x\"\nversion = \"1\"\n").unwrap();
    fs::write(plan.join("hooks/run"), "#!/bin/sh\nexec sleep 9\n").unwrap();
    let packed = pack(&plan, Out::File(&dir.path().join("x.sup")), None).unwrap();
    let archive = fs::read(packed.path).unwrap();
    seed("archive", "packed", &[&[0][..], &archive].concat());
    let tar = zstd::decode_all(&archive[..]).unwrap();
    // Most of it is zeros, and there is too much of it for a seed.
    seed("archive", "truncated", &[&[1], &tar[..tar.len().min(SEED_BYTES - 1)]].concat());
    for (name, path) in [
        ("file", "hooks/run"),
        ("parent", "../x"),
        ("absolute", "/tmp/x"),
        ("hidden", ".x"),
        ("dots", "a/./b"),
        ("twice", "plan.toml"),
    ] {
        for (kind, suffix) in [(0, ""), (2 | 64, "-link"), (4 | 64, "-hardlink"), (6, "-dir")] {
            let script = [vec![2, 1], piece(path.as_bytes()), piece(b"content"), vec![kind]].concat();
            seed("archive", &format!("{name}{suffix}"), &script);
        }
    }
    let demo = builtin::materialise(dir.path()).unwrap();
    let text = fs::read(demo.join("plan.toml")).unwrap();
    seed("plan_toml", "demo", &text);
}
