//! What is asked of the API, and what it answers: bodies, and the parts of paths.
//!
//! The first byte says what the rest is.

#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use sup::api::Problem;
use sup::api::shape;
use sup::base::{FileName, GroupId, Hash, Name, NodeId, RingName, Seat, TokenId, Version};
use sup::net::{KeyId, RingKey};
use sup_fuzz::reads_back;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind % 36 {
        0 => drop(reads_back::<shape::StartRequest>(rest)),
        1 => drop(reads_back::<shape::ActionRequest>(rest)),
        2 => drop(reads_back::<shape::DesiredRequest>(rest)),
        3 => drop(reads_back::<shape::RollbackRequest>(rest)),
        4 => drop(reads_back::<shape::DepartRequest>(rest)),
        5 => drop(reads_back::<shape::RecoverRequest>(rest)),
        6 => drop(reads_back::<shape::KeyInstall>(rest)),
        7 => drop(reads_back::<shape::KeyOrder>(rest)),
        8 => drop(reads_back::<shape::LogsRequest>(rest)),
        9 => drop(reads_back::<shape::UnsetRequest>(rest)),
        10 => drop(reads_back::<Problem>(rest)),
        11 => drop(reads_back::<shape::Node>(rest)),
        12 => drop(reads_back::<shape::Members>(rest)),
        13 => drop(reads_back::<shape::Group>(rest)),
        14 => drop(reads_back::<shape::Groups>(rest)),
        15 => drop(reads_back::<shape::Service>(rest)),
        16 => drop(reads_back::<shape::Services>(rest)),
        17 => drop(reads_back::<shape::Started>(rest)),
        18 => drop(reads_back::<shape::Acted>(rest)),
        19 => drop(reads_back::<shape::Explanation>(rest)),
        20 => drop(reads_back::<shape::Config>(rest)),
        21 => drop(reads_back::<shape::ConfigApplied>(rest)),
        22 => drop(reads_back::<shape::ConfigPreview>(rest)),
        23 => drop(reads_back::<shape::ConfigHistory>(rest)),
        24 => drop(reads_back::<shape::RolloutReport>(rest)),
        25 => drop(reads_back::<shape::Files>(rest)),
        26 => drop(reads_back::<shape::FileHistory>(rest)),
        27 => drop(reads_back::<shape::Release>(rest)),
        28 => drop(reads_back::<shape::Event>(rest)),
        29 => drop(reads_back::<shape::LogLine>(rest)),
        30 => drop(reads_back::<shape::RingKeys>(rest)),
        31 => drop(reads_back::<shape::KeyShown>(rest)),
        32 => drop(reads_back::<shape::Recovery>(rest)),
        33 => drop(reads_back::<shape::HealthReport>(rest)),
        34 => drop(reads_back::<shape::TokenRequest>(rest)),
        _ => parts(rest),
    }
});

/// Parts of paths: what is taken prints as it was written.
fn parts(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    prints_back::<GroupId>(text);
    prints_back::<Name>(text);
    prints_back::<FileName>(text);
    prints_back::<Version>(text);
    prints_back::<RingName>(text);
    prints_back::<Seat>(text);
    prints_back::<TokenId>(text);
    prints_back::<shape::Target>(text);
    // Of these, capital letters are taken, too.
    let text = text.to_lowercase();
    prints_back::<NodeId>(&text);
    prints_back::<KeyId>(&text);
    prints_back::<Hash>(&text);
    if let Ok(key) = text.parse::<RingKey>() {
        assert_eq!(key.text().as_str(), text.trim());
    }
    if let Ok(time) = serde_json::from_value::<shape::Time>(text.clone().into()) {
        let written = serde_json::to_string(&time).expect("a time can be written");
        assert_eq!(serde_json::from_str::<shape::Time>(&written).expect("what was written is a time"), time);
    }
}

fn prints_back<T: FromStr + Display>(text: &str) {
    if let Ok(part) = text.parse::<T>() {
        assert_eq!(part.to_string(), text);
    }
}
