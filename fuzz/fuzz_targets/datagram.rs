//! What comes by datagram and by stream, from its envelope to what a node makes of it.
//!
//! The first byte says what the rest is: a datagram as it comes from the network, or a script of what happens to a node.

#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sup::base::limits::DATAGRAM_PAYLOAD_BYTES;
use sup::net::{Gate, KeySet, RingKey, Versions, bare};
use sup::node::{Request, Response, decode_datagram, decode_frame, encode_datagram, encode_frame};
use sup::ring::{ProbeOutcome, StreamError};
use sup_fuzz::Script;
use sup_fuzz::ring::Subject;

/// Most that happens to one node.
const STEPS_MAX: usize = 60;

fuzz_target!(|input: &[u8]| {
    let mut script = Script::new(input);
    match script.byte() {
        Some(0) => from_the_network(script.rest()),
        Some(_) => happens(script),
        None => {}
    }
});

fn gate(keys: KeySet) -> Gate {
    Gate::new("blue".parse().expect("a name"), Versions::default(), keys).expect("randomness")
}

fn from_the_network(datagram: &[u8]) {
    static GATES: OnceLock<[Gate; 2]> = OnceLock::new();
    let [clear, sealed] =
        GATES.get_or_init(|| [gate(KeySet::clear()), gate(KeySet::sealed(RingKey::from_bytes([1; 32])))]);
    if let Ok(payload) = bare::open(clear, &mut datagram.to_vec()) {
        assert!(payload.len() <= DATAGRAM_PAYLOAD_BYTES && datagram.ends_with(payload));
        Subject::new().datagram(1, payload);
    }
    // The corpus has one that was sealed with the key.
    if let Ok(payload) = bare::open(sealed, &mut datagram.to_vec()) {
        assert!(payload.len() <= DATAGRAM_PAYLOAD_BYTES);
        Subject::new().datagram(1, payload);
    }
    // What a node with the key says arrives as it was said, and is read whoever said it.
    match bare::seal(sealed, datagram) {
        Some(mut whole) => assert_eq!(bare::open(sealed, &mut whole), Ok(datagram)),
        None => assert!(datagram.len() > DATAGRAM_PAYLOAD_BYTES),
    }
}

fn happens(mut script: Script<'_>) {
    let mut subject = Subject::new();
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { return };
        let from = usize::from(step >> 4) % 4;
        match step & 15 {
            0..=3 => {
                let payload = script.piece();
                if let Ok(packet) = decode_datagram(payload) {
                    let written = encode_datagram(&packet);
                    // What is written otherwise than we would (numbers with zeros before them) may be longer.
                    assert!(written.is_err() || written.is_ok_and(|bytes| decode_datagram(&bytes) == Ok(packet)));
                }
                subject.datagram(from, payload);
            }
            4 | 5 => {
                let request = script.piece();
                if let Ok(decoded) = decode_frame::<Request>(request) {
                    let written = encode_frame(&decoded).expect("it was within the limit");
                    assert_eq!(decode_frame::<Request>(&written), Ok(decoded));
                }
                subject.request(from, request);
            }
            6 | 7 => {
                let answer = script.piece();
                if let Ok(decoded) = decode_frame::<Response>(answer) {
                    let written = encode_frame(&decoded).expect("it was within the limit");
                    assert_eq!(decode_frame::<Response>(&written), Ok(decoded));
                }
                subject.answer(Ok(answer));
            }
            8 => subject.answer(Err([StreamError::Refused, StreamError::Timeout, StreamError::Other][from % 3])),
            9 => subject.probed([ProbeOutcome::Answered, ProbeOutcome::Refused, ProbeOutcome::NoAnswer][from % 3]),
            10 => subject.persisted(true),
            11 => subject.persisted(false),
            12 => subject.resolved(from),
            13 => subject.pass(Duration::from_millis(script.number().into())),
            _ => subject.timer(),
        }
    }
}
