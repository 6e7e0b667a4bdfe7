//! What holds for [`super::Records`] as a whole: alone (`rules`), under any order of arrival (`merge`), and many of them
//! on a lossy network (`ring`).

mod cluster;
mod merge;
mod ring;
mod rules;

use std::time::Duration;

use bytes::Bytes;

use super::{Key, Record, Records, RecordsConfig, Stamp};
use crate::base::{Mono, NodeId, Now, Wall};

/// A plausible time of day.
const START: Wall = Wall(1_790_000_000_000);

fn now(after: Duration) -> Now {
    Now { mono: Mono(1_000_000) + after, wall: START + after }
}

fn at_start() -> Now {
    now(Duration::ZERO)
}

fn node(n: u128) -> NodeId {
    NodeId::from_u128(n)
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn records(me: u128) -> Records {
    Records::new(node(me), RecordsConfig::default(), 1)
}

fn record(text: &str, writer: u128, wall: Wall, value: Option<&str>) -> Record {
    let stamp = Stamp { term: 0, time: super::stamp::from_wall(wall), node: node(writer) };
    Record { key: key(text), stamp, value: value.map(bytes) }
}
