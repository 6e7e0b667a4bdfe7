//! Streams: their greetings and frames, and the pieces of blobs that they carry.
//!
//! The first byte says from which side the rest comes, and how it is sealed.

#![no_main]

use std::cell::RefCell;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sup::base::limits::STREAM_FRAME_BYTES;
use sup::base::{BlobRef, Hash};
use sup::blob::ChunkSet;
use sup::net::{Gate, KeySet, RingKey, Versions, bare};
use sup_fuzz::Script;
use tokio::io::AsyncReadExt as _;

/// More than any input, so that nobody waits for the other side to read.
const PIPE_BYTES: usize = 4 * 1024 * 1024;

fuzz_target!(|input: &[u8]| {
    let mut script = Script::new(input);
    let Some(kind) = script.byte() else { return };
    let [clear, sealed] = gates();
    match kind % 5 {
        0 => opened(clear, script.rest()),
        1 => opened(sealed, script.rest()),
        2 => answered(if kind & 8 == 0 { clear } else { sealed }, script.rest()),
        3 => spoken(if kind & 8 == 0 { clear } else { sealed }, script),
        _ => blob(script),
    }
});

fn gates() -> &'static [Gate; 2] {
    static GATES: OnceLock<[Gate; 2]> = OnceLock::new();
    GATES.get_or_init(|| {
        [KeySet::clear(), KeySet::sealed(RingKey::from_bytes([1; 32]))]
            .map(|keys| Gate::new("blue".parse().expect("a name"), Versions::default(), keys).expect("randomness"))
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: RefCell<tokio::runtime::Runtime> =
            RefCell::new(tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
    }
    RUNTIME.with_borrow(|runtime| runtime.block_on(future))
}

/// No memory is taken for what is only announced.
fn is_bounded(room: usize, frame: &[u8], said: usize) {
    assert!(frame.len() <= STREAM_FRAME_BYTES + 4, "a frame of {}", frame.len());
    assert!(room <= 4 * said + 64 * 1024, "room for {room} bytes, of {said} that were sent");
}

/// Somebody opens a stream and says this.
fn opened(gate: &Gate, said: &[u8]) {
    block_on(async {
        let (sink, mut answers) = tokio::io::duplex(PIPE_BYTES);
        let mut stream = tokio::io::join(said, sink);
        let mut heard = 0;
        let result = bare::serve(&mut stream, gate, |room, frame| {
            is_bounded(room, frame, said.len());
            heard += frame.len();
        });
        // Whatever it was, it is over when it has been said.
        result.await.ok();
        assert!(heard <= said.len());
        assert!(heard == 0 || !gate.is_encrypted(), "nobody without the key is listened to");
        drop(stream);
        let mut answer = Vec::new();
        answers.read_to_end(&mut answer).await.expect("it is in memory");
        assert!(answer.len() <= 600, "{} bytes of greeting", answer.len());
    });
}

/// Somebody is asked and says this.
fn answered(gate: &Gate, said: &[u8]) {
    block_on(async {
        let (sink, _questions) = tokio::io::duplex(PIPE_BYTES);
        let mut stream = tokio::io::join(said, sink);
        if let Ok(Some(answer)) = bare::ask(&mut stream, gate, b"question").await {
            assert!(!gate.is_encrypted(), "nobody without the key is believed");
            assert!(said.windows(answer.len().max(1)).any(|part| part == answer) || answer.is_empty());
        }
    });
}

/// A node says frames as they are said, and then something else.
fn spoken(gate: &Gate, mut script: Script<'_>) {
    let count = script.byte().unwrap_or_default() % 8;
    let frames: Vec<&[u8]> = (0..count).map(|_| script.piece()).collect();
    let garbage = script.rest();
    block_on(async {
        let (mut near, mut far) = tokio::io::duplex(PIPE_BYTES);
        let mut heard: Vec<Vec<u8>> = Vec::new();
        let said = frames.iter().map(|frame| frame.len() + 100).sum::<usize>() + garbage.len();
        let serve = bare::serve(&mut far, gate, |room, frame| {
            is_bounded(room, frame, said);
            heard.push(frame.to_vec());
        });
        let (sent, served) = tokio::join!(bare::send(&mut near, gate, &frames, garbage), serve);
        sent.expect("it is in memory");
        assert!(garbage.is_empty() <= served.is_ok(), "{served:?}");
        assert!(heard.len() >= frames.len());
        assert_eq!(heard[..frames.len()], frames, "frames arrive as they were sent");
        let beyond: usize = heard[frames.len()..].iter().map(Vec::len).sum();
        assert!(beyond <= garbage.len());
        assert!(beyond == 0 || !gate.is_encrypted(), "what is not sealed is not a frame");
    });
}

/// What is said about blobs.
fn blob(mut script: Script<'_>) {
    let bytes = u64::from(script.number()) << 16;
    let frame = script.rest();
    let (request, answer) = sup::blob::bare::again(frame);
    for written in [request.clone(), answer.clone()].into_iter().flatten() {
        // Numbers can be written with zeros before them, and are not by us.
        assert!(written.len() <= frame.len());
    }
    if let Some(written) = request {
        assert_eq!(sup::blob::bare::again(&written).0, Some(written));
    }
    if let Some(written) = answer {
        assert_eq!(sup::blob::bare::again(&written).1, Some(written));
    }
    if let Some(set) = ChunkSet::read(frame, bytes) {
        assert_eq!(set.bits(), frame);
        assert!(set.len() <= set.chunks());
        assert!(!set.contains(set.chunks()));
        assert_eq!((0..set.chunks()).filter(|chunk| set.contains(*chunk)).count(), set.len());
    }
    assert_eq!(sup::blob::bare::list(frame, BlobRef { id: Hash::of(b"another"), bytes }), None);
}
