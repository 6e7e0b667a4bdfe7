//! What the tests of this folder share.

use super::frame::Codec;
use super::gate::Gate;
use super::hello::{With, greet, welcome};
use super::key::{KeySet, RingKey};
use super::version::Versions;

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(super) fn gate_of(ring: &str, versions: Versions, keys: KeySet) -> Gate {
    Gate::new(ring.parse().unwrap(), versions, keys).unwrap()
}

pub(super) fn gate(ring: &str, keys: KeySet) -> Gate {
    gate_of(ring, Versions::default(), keys)
}

/// The two ends of a sealed stream.
pub(super) async fn greeted() -> (Codec, Codec) {
    let gate = gate("a", KeySet::sealed(RingKey::from_bytes([1; 32])));
    let (mut near, mut far) = tokio::io::duplex(4096);
    let (greeted, welcomed) = tokio::join!(greet(&mut near, &gate, With::KeyInUse), welcome(&mut far, &gate));
    (greeted.unwrap(), welcomed.unwrap().unwrap())
}
