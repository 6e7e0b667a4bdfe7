//! Reading foca's packets before foca does.
//!
//! Foca takes an update about its own id in another life for gossip of the past and declares that life dead: two
//! processes with one id would kill each other for ever, and the gossip about a node that has just restarted would
//! bring its members a death that never was. So such updates are taken out.

use foca::{Codec, Header, Member, Message, PostcardCodec};

use super::identity::Identity;
use super::message::FOCA_PACKET_BYTES;

/// A packet of foca: a header, and members.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// From whom, to whom, and what it is for.
    pub(super) header: Header<Identity>,
    /// What it says of members.
    pub(super) updates: Vec<Member<Identity>>,
}

/// The bytes are no packet of foca.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAPacket;

impl Packet {
    /// Reads only the header.
    pub(super) fn header_of(bytes: &[u8]) -> Result<Header<Identity>, NotAPacket> {
        postcard::take_from_bytes(bytes).map(|(header, _)| header).map_err(|_| NotAPacket)
    }

    /// Reads a packet. Nothing may be left over: we have no custom broadcasts.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NotAPacket> {
        if bytes.len() > FOCA_PACKET_BYTES {
            return Err(NotAPacket);
        }
        let (header, rest) = postcard::take_from_bytes::<Header<Identity>>(bytes).map_err(|_| NotAPacket)?;
        let mut updates = Vec::new();
        if let Some((count, mut rest)) = rest.split_first_chunk::<2>() {
            // No capacity is reserved: the count is a claim of the sender; the bytes that must follow bound it.
            for _ in 0..u16::from_be_bytes(*count) {
                let (update, after) = postcard::take_from_bytes(rest).map_err(|_| NotAPacket)?;
                updates.push(update);
                rest = after;
            }
            if !rest.is_empty() || header.message == Message::Announce {
                return Err(NotAPacket);
            }
        } else if !rest.is_empty() {
            return Err(NotAPacket);
        }
        Ok(Self { header, updates })
    }

    /// Writes the packet as foca would.
    pub(super) fn encode(&self) -> Result<Vec<u8>, NotAPacket> {
        let mut bytes = Vec::new();
        PostcardCodec.encode_header(&self.header, &mut bytes).map_err(|_| NotAPacket)?;
        if self.updates.is_empty() {
            return Ok(bytes);
        }
        let count = u16::try_from(self.updates.len()).map_err(|_| NotAPacket)?;
        bytes.extend_from_slice(&count.to_be_bytes());
        for update in &self.updates {
            PostcardCodec.encode_member(update, &mut bytes).map_err(|_| NotAPacket)?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use foca::{Header, Member, Message};
    use proptest::prelude::*;

    use super::{NotAPacket, Packet};
    use crate::base::NodeId;
    use crate::ring::Identity;
    use crate::ring::message::FOCA_PACKET_BYTES;

    fn identity(id: u128) -> Identity {
        Identity { id: NodeId::from_u128(id), address: ([10, 0, 0, 1], 7000).into(), generation: 5 }
    }

    fn packet(updates: usize) -> Packet {
        let header = Header { src: identity(1), src_incarnation: 3, dst: identity(2), message: Message::Gossip };
        Packet { header, updates: (0..updates).map(|i| Member::alive(identity(10 + i as u128))).collect() }
    }

    #[test]
    fn a_packet_reads_back_as_it_was_written() {
        for updates in [0, 1, 30] {
            assert_eq!(Packet::decode(&packet(updates).encode().unwrap()), Ok(packet(updates)));
        }
    }

    #[test]
    fn a_packet_that_is_cut_or_longer_than_it_says_is_refused() {
        let bytes = packet(2).encode().unwrap();
        assert_eq!(Packet::decode(&bytes[..bytes.len() - 1]), Err(NotAPacket));
        assert_eq!(Packet::decode(&[bytes, vec![0]].concat()), Err(NotAPacket));
        assert_eq!(Packet::decode(&vec![0; FOCA_PACKET_BYTES + 1]), Err(NotAPacket));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(packet) = Packet::decode(&bytes) {
                prop_assert!(packet.encode().is_ok());
            }
        }
    }
}
