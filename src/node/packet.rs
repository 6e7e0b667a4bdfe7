//! What nodes say to each other: the payloads of datagrams and of streams, and their encoding (postcard).
//!
//! A sender names itself, since records and elections go by node id while sockets know only addresses.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::limits::{DATAGRAM_PAYLOAD_BYTES, STREAM_FRAME_BYTES};
use crate::base::{GroupId, NodeId};
use crate::election::ElectionMessage;
use crate::records::{RecordsDatagram, RecordsRequest, RecordsResponse};
use crate::ring::{RingDatagram, RingRequest, RingResponse};
use crate::rollout::RolloutMessage;

/// The payload of a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packet {
    /// Who is alive.
    Ring(RingDatagram),
    /// What is known.
    Records {
        /// The sender.
        from: NodeId,
        /// What it says.
        msg: RecordsDatagram,
    },
    /// Who decides.
    Election {
        /// The sender.
        from: NodeId,
        /// In which group.
        group: GroupId,
        /// What it says.
        msg: ElectionMessage,
    },
    /// Who changes next.
    Rollout {
        /// The sender.
        from: NodeId,
        /// In which group.
        group: GroupId,
        /// What it says.
        msg: RolloutMessage,
    },
}

/// The request of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Exchange of the membership.
    Ring(RingRequest),
    /// Exchange of records.
    Records {
        /// The sender.
        from: NodeId,
        /// What it wants.
        msg: RecordsRequest,
    },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Exchange of the membership.
    Ring(RingResponse),
    /// Exchange of records.
    Records(RecordsResponse),
}

/// A payload cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// It is larger than the limit.
    #[error("{bytes} bytes are over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It is not of this format.
    #[error("cannot be decoded")]
    Malformed(#[source] postcard::Error),
}

/// Encodes a datagram's payload.
///
/// # Errors
/// It does not fit a datagram.
pub fn encode_datagram(packet: &Packet) -> Result<Bytes, PacketError> {
    encode(packet, DATAGRAM_PAYLOAD_BYTES)
}

/// Encodes a stream's request or response.
///
/// # Errors
/// It does not fit a frame.
pub fn encode_frame<T: Serialize>(message: &T) -> Result<Bytes, PacketError> {
    encode(message, STREAM_FRAME_BYTES)
}

/// Reads a datagram's payload.
///
/// # Errors
/// It is too large, or no packet.
pub fn decode_datagram(bytes: &[u8]) -> Result<Packet, PacketError> {
    decode(bytes, DATAGRAM_PAYLOAD_BYTES)
}

/// Reads a stream's request or response.
///
/// # Errors
/// It is too large, or not what was expected.
pub fn decode_frame<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PacketError> {
    decode(bytes, STREAM_FRAME_BYTES)
}

fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Bytes, PacketError> {
    let bytes = postcard::to_stdvec(message).map_err(PacketError::Malformed)?;
    if bytes.len() > limit {
        return Err(PacketError::TooLarge { bytes: bytes.len(), limit });
    }
    Ok(bytes.into())
}

fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, PacketError> {
    if bytes.len() > limit {
        return Err(PacketError::TooLarge { bytes: bytes.len(), limit });
    }
    // Bytes after the message are fields that a newer node added at its end.
    postcard::take_from_bytes(bytes).map(|(message, _)| message).map_err(PacketError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DATAGRAM_PAYLOAD_BYTES, PacketError, Request, decode_datagram, decode_frame};

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _outcome = decode_datagram(&bytes);
            let _outcome = decode_frame::<Request>(&bytes);
        }
    }

    #[test]
    fn a_datagram_one_byte_over_the_limit_is_refused_unread() {
        let bytes = vec![0; DATAGRAM_PAYLOAD_BYTES + 1];
        assert!(matches!(decode_datagram(&bytes), Err(PacketError::TooLarge { .. })));
    }
}
