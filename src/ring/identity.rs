//! Who a member is on the wire.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::base::NodeId;

/// One life of a node in the ring: who it is, where it is, and which of its lives this is.
///
/// It travels two or three times in each packet and in each update, so it holds nothing else; about 30 bytes encoded.
/// The node id alone tells members apart, so a node may come back with another address. The generation grows with
/// each start and each time the ring took a living node for dead; the newest life of an id is the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Who it is.
    pub id: NodeId,
    /// Where it is reached, by datagrams and by streams.
    pub address: SocketAddr,
    /// Which life it is: stored, and at least the unix time in milliseconds of its start.
    pub generation: u64,
}

impl Identity {
    /// Whether this is a later life of the same node than `other` is. Two processes that were started from one copied
    /// data directory in the same millisecond differ only by address: any order will do, if everybody has the same.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.id == other.id && (self.generation, self.address) > (other.generation, other.address)
    }

    /// The next life of this node, after the ring took it for dead.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self { generation: self.generation.saturating_add(1), ..*self }
    }
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(self.renewed())
    }

    fn addr(&self) -> NodeId {
        self.id
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.is_newer_than(adversary)
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;
    use crate::base::NodeId;

    fn identity(generation: u64, port: u16) -> Identity {
        Identity { id: NodeId::from_u128(1), address: ([127, 0, 0, 1], port).into(), generation }
    }

    #[test]
    fn of_two_lives_of_a_node_exactly_one_is_newer() {
        for (older, newer) in
            [(identity(1, 9), identity(2, 9)), (identity(1, 9), identity(2, 1)), (identity(1, 1), identity(1, 2))]
        {
            assert!(newer.is_newer_than(&older) && !older.is_newer_than(&newer));
        }
        assert!(!identity(1, 1).is_newer_than(&identity(1, 1)));
    }

    #[test]
    fn a_renewed_life_is_newer() {
        assert!(identity(7, 1).renewed().is_newer_than(&identity(7, 1)));
    }

    #[test]
    fn an_identity_stays_within_the_size_that_packets_are_reckoned_with() {
        let mut largest = identity(u64::MAX, u16::MAX);
        assert_eq!(postcard::to_stdvec(&Identity { generation: 1_900_000_000_000, ..largest }).unwrap().len(), 30);
        largest.address = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        assert!(postcard::to_stdvec(&largest).unwrap().len() <= 46);
    }
}
