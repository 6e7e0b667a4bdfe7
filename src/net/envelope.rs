//! What is around a datagram's payload.
//!
//! ```text
//! version  highest version of the sender  0                                     length  ring  payload
//! version  highest version of the sender  1  id of the key (4)  nonce (24)   [  length  ring  payload  ]  tag (16)
//! ```
//!
//! What is in brackets is sealed, and all that is before it is bound to it: who has no key sees neither what is said nor
//! in which ring, and can change nothing of it. Which node says it is in the payload.

use super::gate::Gate;
use super::key::KeyId;
use super::seal::{self, NONCE_BYTES, Nonce, TAG_BYTES};
use crate::base::RingName;
use crate::base::limits::{DATAGRAM_PAYLOAD_BYTES, RING_NAME_CHARS};

/// What follows is in clear text.
pub(super) const CLEAR: u8 = 0;
/// What follows is sealed with a key of the ring.
pub(super) const SEALED: u8 = 1;
/// The two versions, and whether what follows is sealed.
const CLEAR_HEAD_BYTES: usize = 3;
/// The same, and the id of the key.
const SEALED_HEAD_BYTES: usize = CLEAR_HEAD_BYTES + 4;

/// Largest datagram with its envelope, in bytes.
pub const DATAGRAM_BYTES: usize =
    SEALED_HEAD_BYTES + NONCE_BYTES + 1 + RING_NAME_CHARS + DATAGRAM_PAYLOAD_BYTES + TAG_BYTES;

/// What arrived is not for this node to read. It is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It ends too early, or is otherwise not of this form.
    #[error("it is not of the form that it should have")]
    Malformed,
    /// It is of another version of the wire.
    #[error("it is of version {0} of the wire, which this node does not speak")]
    Version(u8),
    /// It is of a kind that this node does not know.
    #[error("it is of a kind ({0}) that this node does not know")]
    Kind(u8),
    /// It is of another ring.
    #[error("it is of the ring {0:?}")]
    Ring(RingName),
    /// It is in clear text, which this node does not take.
    #[error("it is in clear text, which this node refuses")]
    Clear,
    /// It is sealed with a key that this node does not have.
    #[error("it is sealed with key {0}, which this node does not have")]
    Key(KeyId),
    /// It was changed on its way, or sealed with another key of the same id.
    #[error("it was not sealed like this with key {0}")]
    Forged(KeyId),
    /// It was received before.
    #[error("it was received before")]
    Replayed,
    /// It is over the limit.
    #[error("it has {bytes} bytes, over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// What was in a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content<'a> {
    pub(super) payload: &'a [u8],
    /// The highest version that the sender speaks.
    pub(super) speaks: u8,
    /// None: it was in clear text.
    pub(super) nonce: Option<Nonce>,
}

/// Puts a payload into its envelope. None: the payload is over the limit, which is its maker's mistake.
pub(super) fn seal_datagram(gate: &Gate, version: u8, payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > DATAGRAM_PAYLOAD_BYTES {
        return None;
    }
    let ring = gate.ring().as_str().as_bytes();
    let length = u8::try_from(ring.len()).ok()?;
    let mut datagram = Vec::with_capacity(DATAGRAM_BYTES);
    datagram.extend_from_slice(&[version, gate.versions().max]);
    let keys = gate.keys();
    let Some(key) = keys.sealing() else {
        datagram.extend_from_slice(&[CLEAR, length]);
        datagram.extend_from_slice(ring);
        datagram.extend_from_slice(payload);
        return Some(datagram);
    };
    datagram.push(SEALED);
    datagram.extend_from_slice(key.id.as_bytes());
    let head: [u8; SEALED_HEAD_BYTES] = datagram.as_slice().try_into().ok()?;
    let nonce = gate.nonce();
    datagram.extend_from_slice(&nonce.to_bytes());
    let from = datagram.len();
    datagram.push(length);
    datagram.extend_from_slice(ring);
    datagram.extend_from_slice(payload);
    seal::seal(key, nonce, &mut datagram, &head, from)?;
    Some(datagram)
}

/// Takes a payload out of its envelope, in place. Whether it was received before is the caller's to know.
///
/// # Errors
/// It is not of a version that is spoken here, not of this ring, not sealed as it must be, changed, or over the limit.
pub(super) fn open_datagram<'a>(gate: &Gate, datagram: &'a mut [u8]) -> Result<Content<'a>, EnvelopeError> {
    if datagram.len() > DATAGRAM_BYTES {
        return Err(EnvelopeError::TooLarge { bytes: datagram.len(), limit: DATAGRAM_BYTES });
    }
    let [version, speaks, kind, ..] = *datagram else { return Err(EnvelopeError::Malformed) };
    if !gate.versions().speak(version) {
        return Err(EnvelopeError::Version(version));
    }
    let keys = gate.keys();
    match kind {
        CLEAR if keys.takes_clear_text() => {
            let payload = within_ring(gate, datagram.get(CLEAR_HEAD_BYTES..).unwrap_or_default())?;
            Ok(Content { payload, speaks, nonce: None })
        }
        CLEAR => Err(EnvelopeError::Clear),
        SEALED => {
            let (head, rest) = datagram.split_at_mut_checked(SEALED_HEAD_BYTES).ok_or(EnvelopeError::Malformed)?;
            let (nonce, sealed) = rest.split_at_mut_checked(NONCE_BYTES).ok_or(EnvelopeError::Malformed)?;
            let nonce = Nonce::from_bytes(nonce).ok_or(EnvelopeError::Malformed)?;
            let id = head.get(CLEAR_HEAD_BYTES..).and_then(|id| id.try_into().ok());
            let id = KeyId::from_bytes(id.ok_or(EnvelopeError::Malformed)?);
            let key = keys.find(id).ok_or(EnvelopeError::Key(id))?;
            let opened = seal::open(key, nonce, head, sealed).ok_or(EnvelopeError::Forged(id))?;
            Ok(Content { payload: within_ring(gate, opened)?, speaks, nonce: Some(nonce) })
        }
        unknown => Err(EnvelopeError::Kind(unknown)),
    }
}

/// What follows the name of the ring, if it is this ring's.
fn within_ring<'a>(gate: &Gate, content: &'a [u8]) -> Result<&'a [u8], EnvelopeError> {
    let (length, rest) = content.split_first().ok_or(EnvelopeError::Malformed)?;
    let (name, payload) = rest.split_at_checked(usize::from(*length)).ok_or(EnvelopeError::Malformed)?;
    if name != gate.ring().as_str().as_bytes() {
        return Err(EnvelopeError::Ring(ring_name(name)?));
    }
    if payload.len() > DATAGRAM_PAYLOAD_BYTES {
        return Err(EnvelopeError::TooLarge { bytes: payload.len(), limit: DATAGRAM_PAYLOAD_BYTES });
    }
    Ok(payload)
}

/// The name of another ring, which will be shown to people: it must be one.
pub(super) fn ring_name(bytes: &[u8]) -> Result<RingName, EnvelopeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| EnvelopeError::Malformed)?;
    text.parse().map_err(|_| EnvelopeError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DATAGRAM_BYTES, EnvelopeError, open_datagram, seal_datagram};
    use crate::base::limits::{DATAGRAM_PAYLOAD_BYTES, RING_NAME_CHARS};
    use crate::net::gate::Gate;
    use crate::net::key::{ClearText, KeySet, RingKey};
    use crate::net::version::Versions;

    fn key(n: u8) -> RingKey {
        RingKey::from_bytes([n; 32])
    }

    fn gate(ring: &str, keys: KeySet) -> Gate {
        Gate::new(ring.parse().unwrap(), Versions::default(), keys).unwrap()
    }

    fn sealed() -> Gate {
        gate("blue", KeySet::sealed(key(1)))
    }

    fn opened(gate: &Gate, datagram: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let mut datagram = datagram.to_vec();
        open_datagram(gate, &mut datagram).map(|content| content.payload.to_vec())
    }

    #[test]
    fn a_datagram_is_sealed_at_the_limit_and_refused_one_beyond() {
        let longest = "a".repeat(RING_NAME_CHARS);
        for keys in [KeySet::clear(), KeySet::sealed(key(1))] {
            let gate = gate(&longest, keys);
            let largest = vec![7; DATAGRAM_PAYLOAD_BYTES];
            let datagram = seal_datagram(&gate, 1, &largest).unwrap();
            assert!(datagram.len() <= DATAGRAM_BYTES);
            assert_eq!(opened(&gate, &datagram).unwrap(), largest);
            assert_eq!(seal_datagram(&gate, 1, &vec![7; DATAGRAM_PAYLOAD_BYTES + 1]), None);
        }
        let clear = gate("a", KeySet::clear());
        let beyond = [seal_datagram(&clear, 1, &[7; DATAGRAM_PAYLOAD_BYTES]).unwrap(), vec![7]].concat();
        assert!(matches!(opened(&clear, &beyond), Err(EnvelopeError::TooLarge { .. })));
        assert!(matches!(opened(&clear, &[1; DATAGRAM_BYTES + 1]), Err(EnvelopeError::TooLarge { .. })));
    }

    #[test]
    fn the_largest_datagram_fits_an_ethernet_frame_over_ipv6() {
        assert_eq!(DATAGRAM_BYTES, 1500 - 40 - 8);
    }

    #[test]
    fn what_is_not_for_this_node_is_told_apart() {
        let (clear, sealed) = (gate("blue", KeySet::clear()), sealed());
        let said = seal_datagram(&clear, 1, b"x").unwrap();
        assert_eq!(opened(&sealed, &said), Err(EnvelopeError::Clear));
        assert_eq!(opened(&gate("green", KeySet::clear()), &said), Err(EnvelopeError::Ring("blue".parse().unwrap())));
        let said = seal_datagram(&sealed, 1, b"x").unwrap();
        assert_eq!(opened(&clear, &said), Err(EnvelopeError::Key(key(1).id())));
        assert_eq!(opened(&gate("blue", KeySet::sealed(key(2))), &said), Err(EnvelopeError::Key(key(1).id())));
        let other_ring = gate("green", KeySet::sealed(key(1)));
        assert_eq!(opened(&other_ring, &said), Err(EnvelopeError::Ring("blue".parse().unwrap())));
        assert_eq!(opened(&clear, &[2, 2, 0, 1]), Err(EnvelopeError::Version(2)));
        assert_eq!(opened(&clear, &[1, 1, 9, 1]), Err(EnvelopeError::Kind(9)));
        for short in [&[][..], &[1], &[1, 1], &[1, 1, 0], &[1, 1, 0, 3, b'a'], &[1, 1, 1, 0, 0, 0]] {
            assert_eq!(opened(&clear, short), Err(EnvelopeError::Malformed), "{short:?}");
        }
    }

    #[test]
    fn any_installed_key_opens_and_only_the_one_in_use_seals() {
        let (old, new) = (sealed(), gate("blue", KeySet::sealed(key(2))));
        let both = gate("blue", KeySet::sealed(key(1)).with(key(2)).unwrap());
        for from in [&old, &new] {
            assert_eq!(opened(&both, &seal_datagram(from, 1, b"x").unwrap()).unwrap(), b"x");
        }
        let said = seal_datagram(&both, 1, b"x").unwrap();
        assert!(opened(&old, &said).is_ok() && opened(&new, &said).is_err());
    }

    #[test]
    fn clear_text_is_taken_while_a_ring_gets_its_first_key() {
        let under_way = gate("blue", KeySet::sealed(key(1)).clear_text(ClearText::Taken));
        let said = seal_datagram(&gate("blue", KeySet::clear()), 1, b"x").unwrap();
        assert_eq!(opened(&under_way, &said).unwrap(), b"x");
    }

    #[test]
    fn the_same_payload_never_looks_the_same_twice_and_shows_nothing_of_itself() {
        let gate = sealed();
        let payload = [b's'; 100];
        let (one, other) = (seal_datagram(&gate, 1, &payload).unwrap(), seal_datagram(&gate, 1, &payload).unwrap());
        assert_ne!(one[31..], other[31..]);
        for datagram in [one, other] {
            assert!(!datagram.windows(4).any(|part| part == b"blue" || part == b"ssss"), "{datagram:?}");
        }
    }

    proptest! {
        #[test]
        fn a_payload_comes_out_as_it_went_in(payload in proptest::collection::vec(any::<u8>(), 0..1372)) {
            for gate in [sealed(), gate("blue", KeySet::clear())] {
                let datagram = seal_datagram(&gate, 1, &payload).unwrap();
                prop_assert_eq!(opened(&gate, &datagram).unwrap(), &payload[..]);
            }
        }

        #[test]
        fn a_sealed_datagram_with_any_byte_changed_is_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..20),
            change in 1..=255_u8,
        ) {
            let gate = sealed();
            let datagram = seal_datagram(&gate, 1, &payload).unwrap();
            for place in 0..datagram.len() {
                let mut changed = datagram.clone();
                changed[place] ^= change;
                prop_assert!(opened(&gate, &changed).is_err(), "byte {} of {}", place, datagram.len());
            }
        }

        #[test]
        fn a_sealed_datagram_that_is_cut_or_longer_is_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let gate = sealed();
            let datagram = seal_datagram(&gate, 1, &payload).unwrap();
            for length in 0..datagram.len() {
                prop_assert!(opened(&gate, &datagram[..length]).is_err());
            }
            prop_assert!(opened(&gate, &[datagram, vec![0]].concat()).is_err());
        }

        #[test]
        fn garbage_is_refused_or_clear_text_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(opened(&sealed(), &bytes).is_err());
            if let Ok(payload) = opened(&gate("blue", KeySet::clear()), &bytes) {
                prop_assert!(bytes.ends_with(&payload));
            }
        }
    }
}
