//! What a supervisor and a shim say to each other, both ways: neither may trust the other's version.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sup::shim::LaunchSpec;
use sup::shim::protocol::{FRAME_BYTES, Frame, LENGTH_BYTES, Report, Request, Response, encode, first_frame};

fuzz_target!(|input: &[u8]| {
    frames(input);
    // What is not cut into frames is what one of them has in it.
    body(input);
    if let Ok(spec) = serde_json::from_slice::<LaunchSpec>(input) {
        let written = serde_json::to_vec(&spec).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<LaunchSpec>(&written).expect("what was written can be read"), spec);
        if spec.check().is_ok() {
            assert!(spec.argv.iter().chain(spec.env.values()).all(|text| !text.contains('\0')));
        }
    }
});

fn frames(mut stream: &[u8]) {
    loop {
        match first_frame(stream) {
            Frame::Whole { body, taken } => {
                assert!(body.len() <= FRAME_BYTES && taken == LENGTH_BYTES + body.len());
                assert_eq!(body, &stream[LENGTH_BYTES..taken]);
                assert_eq!(first_frame(&stream[..taken - 1]), Frame::Partial);
                self::body(body);
                stream = &stream[taken..];
            }
            Frame::Partial => return assert!(stream.len() < LENGTH_BYTES + FRAME_BYTES),
            Frame::TooLong => return assert!(stream[..LENGTH_BYTES] > [0, 0, 0x40, 0][..]),
        }
    }
}

fn body(bytes: &[u8]) {
    again::<Request>(bytes);
    again::<Response>(bytes);
    again::<Report>(bytes);
}

/// What is read, and fits a frame, arrives as it was.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return };
    let Some(frame) = encode(&message) else { return };
    let Frame::Whole { body, taken } = first_frame(&frame) else { panic!("no frame: {frame:?}") };
    assert_eq!(taken, frame.len());
    assert_eq!(serde_json::from_slice::<T>(body).expect("what was written can be read"), message);
}
