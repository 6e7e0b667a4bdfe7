//! To whom news goes, and in what packets.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use serde::Serialize;

use super::engine::Records;
use super::key::{Class, Key};
use super::message::{RecordsAction, RecordsDatagram};
use super::record::Record;
use super::stamp::Stamp;
use crate::base::NodeId;
use crate::base::limits::DATAGRAM_PAYLOAD_BYTES;

/// Room for the enclosing message in a datagram.
const ENVELOPE_BYTES: usize = 64;
/// Largest encoded list in a datagram of ours: less the variant, and the list's length.
const LIST_BYTES: usize = DATAGRAM_PAYLOAD_BYTES - ENVELOPE_BYTES - 4;
/// Records up to this size, encoded, travel in the datagram itself; larger ones are offered, and fetched by stream.
const INLINE_BYTES: usize = 1024;
/// In a ring of so many others or fewer, the writer tells all of them itself: one hop, the lowest latency there is.
const TELL_ALL: usize = 10;
/// To how many a record is passed on in such a ring: not zero, so that one lost datagram does not have to wait for a
/// repair.
const SMALL_RING_RELAYS: usize = 2;

/// To how many of `peers` members one that has news tells it in a large ring. Each that had not heard it does the same;
/// with 3, 94 % of the ring hear it, with 5, 99 %, and repair tells the rest.
fn fan_out(peers: usize) -> usize {
    usize::try_from(peers.max(2).ilog2()).unwrap_or(0).div_ceil(2) + 1
}

/// To how many what a node says of itself or its services is told: it is most of all news, each of it is soon followed by
/// the next, and that a few per cent of a large ring have it from a repair does no harm.
fn fan_out_of_owned(peers: usize) -> usize {
    let full = fan_out(peers);
    full.min(full.saturating_sub(2).max(4))
}

/// Up to `count` of `from`, at random.
fn choose(rng: &mut StdRng, from: &[NodeId], count: usize) -> Vec<NodeId> {
    let count = count.min(from.len());
    rand::seq::index::sample(rng, from.len(), count).into_iter().map(|at| from[at]).collect()
}

/// The encoded size.
pub(super) fn encoded_bytes<T: Serialize>(item: &T) -> usize {
    // Only a map or sequence of unknown length has no size, and none is sent.
    postcard::experimental::serialized_size(item).unwrap_or(usize::MAX)
}

/// Packs `items` into lists that each fit a datagram, in order. An item that is too large by itself is left out.
fn pack<T: Serialize>(items: Vec<T>) -> Vec<Vec<T>> {
    let mut lists: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for item in items {
        let size = encoded_bytes(&item);
        if size > LIST_BYTES {
            continue;
        }
        match lists.last_mut() {
            Some(list) if size <= room => {
                room -= size;
                list.push(item);
            }
            Some(_) | None => {
                room = LIST_BYTES - size;
                lists.push(vec![item]);
            }
        }
    }
    lists
}

/// What decides whom some news is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    /// Who wrote it, and need not be told.
    writer: NodeId,
    /// Who told us, and need not be told either.
    told_by: Option<NodeId>,
    /// How many are told in a large ring.
    fan_out: usize,
}

impl Records {
    /// Says all news that came up since the last time. Several changes of one key since then are one.
    pub(super) fn spread_news(&mut self) {
        let mut by_way: BTreeMap<Way, Vec<Record>> = BTreeMap::new();
        let awaited = std::mem::take(&mut self.awaited);
        for (key, told_by) in std::mem::take(&mut self.news) {
            if let Some(record) = self.table.get(&key) {
                let fan_out = match key.class() {
                    Class::Owned(_) => fan_out_of_owned(self.peers.len()),
                    Class::Shared | Class::Fenced => fan_out(self.peers.len()),
                };
                let way = Way { writer: record.stamp.node, told_by, fan_out };
                by_way.entry(way).or_default().push(record.clone());
            }
        }
        for (way, records) in by_way {
            let targets = self.targets(way);
            // Who is told anyway is not told twice.
            for (to, key) in &awaited {
                let record = records.iter().find(|record| record.key == *key);
                if let Some(record) = record.filter(|_| self.peers.contains(to) && !targets.contains(to)) {
                    self.say(&[*to], vec![record.clone()]);
                }
            }
            self.say(&targets, records);
        }
    }

    fn say(&mut self, targets: &[NodeId], records: Vec<Record>) {
        if targets.is_empty() {
            return;
        }
        let (small, large): (Vec<_>, Vec<_>) = records.into_iter().partition(|r| encoded_bytes(r) <= INLINE_BYTES);
        let offers: Vec<(Key, Stamp)> = large.into_iter().map(|record| (record.key, record.stamp)).collect();
        let datagrams: Vec<_> = pack(small)
            .into_iter()
            .map(RecordsDatagram::New)
            .chain(pack(offers).into_iter().map(RecordsDatagram::Offer))
            .collect();
        for to in targets {
            self.actions.extend(datagrams.iter().cloned().map(|msg| RecordsAction::Send { to: *to, msg }));
        }
    }

    fn targets(&mut self, way: Way) -> Vec<NodeId> {
        let count = match way.told_by {
            None if self.peers.len() <= TELL_ALL => self.peers.len(),
            Some(_) if self.peers.len() <= TELL_ALL => SMALL_RING_RELAYS,
            None | Some(_) => way.fan_out,
        };
        // Two more than are told, for those two who know: a large ring is not gone through for each piece of news.
        let mut targets = choose(&mut self.rng, &self.peers, count + 2);
        targets.retain(|&peer| peer != way.writer && Some(peer) != way.told_by);
        targets.truncate(count);
        targets
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{LIST_BYTES, encoded_bytes, fan_out, fan_out_of_owned, pack};
    use crate::base::NodeId;
    use crate::base::limits::DATAGRAM_PAYLOAD_BYTES;
    use crate::records::{Record, RecordsDatagram, Stamp};

    fn record(value: usize) -> Record {
        let stamp = Stamp { term: u64::MAX, time: u64::MAX, node: NodeId::from_u128(u128::MAX) };
        Record { key: "shared/x".parse().unwrap(), stamp, value: Some(vec![0xff; value].into()) }
    }

    #[test]
    fn the_fan_out_grows_with_the_logarithm_of_the_ring() {
        let fan_outs = [0, 2, 11, 20, 100, 1000, 5000].map(fan_out);
        assert_eq!(fan_outs, [2, 2, 3, 3, 4, 6, 7]);
        let fan_outs = [0, 2, 11, 20, 100, 1000, 5000].map(fan_out_of_owned);
        assert_eq!(fan_outs, [2, 2, 3, 3, 4, 4, 5]);
    }

    #[test]
    fn every_packet_fits_a_datagram_and_nothing_is_lost_or_reordered() {
        let sizes: Vec<usize> = (0..300).map(|n| (n * 37) % 1000).collect();
        let lists = pack(sizes.iter().map(|&size| record(size)).collect());
        let packed: Vec<usize> = lists.iter().flatten().map(|r| r.value.as_ref().map_or(0, Bytes::len)).collect();
        assert_eq!(packed, sizes);
        for list in lists {
            let bytes = postcard::to_stdvec(&RecordsDatagram::New(list)).unwrap();
            assert!(bytes.len() <= DATAGRAM_PAYLOAD_BYTES - 64, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn a_packet_is_filled_to_the_limit_and_not_one_beyond() {
        let overhead = encoded_bytes(&record(1000)) - 1000;
        assert_eq!(pack(vec![record(LIST_BYTES - overhead)]).len(), 1);
        assert!(pack(vec![record(LIST_BYTES - overhead + 1)]).is_empty());
        let half = LIST_BYTES / 2 - overhead;
        assert_eq!(pack(vec![record(half), record(half)]).len(), 1);
        assert_eq!(pack(vec![record(half), record(half + 2)]).len(), 2);
    }
}
