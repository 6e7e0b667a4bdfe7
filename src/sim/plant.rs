//! Faults that are planted to see whether the invariants find them: a checker that cannot fail proves nothing.
//!
//! They are put between the nodes and into what the fake service does, so that nothing of them is in the code that ships.

use std::str::FromStr;

use bytes::Bytes;

use crate::base::Seat;
use crate::node::{Packet, decode_datagram, encode_datagram};
use crate::records::{Key, RecordsDatagram};
use crate::rollout::{RolloutMessage, Version};

use super::cluster::{Cluster, fake_group};
use super::network::hits;

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// An updater that has just taken the seat does not hear what the one before it did: voters that it asks say that
    /// they know of nothing.
    Recovery,
    /// A member whose supervisor is restarted has forgotten that it was updated.
    Twice,
    /// A rollout record of long ago comes back as the newest.
    Back,
}

/// A text names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a planted fault is recovery, twice or back, not {0:?}")]
pub struct PlantError(String);

impl FromStr for Plant {
    type Err = PlantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "recovery" => Ok(Self::Recovery),
            "twice" => Ok(Self::Twice),
            "back" => Ok(Self::Back),
            other => Err(PlantError(other.to_owned())),
        }
    }
}

/// How many of a thousand rollout records of long ago come back.
const BACK_PER_MILLE: u32 = 5;

impl Cluster {
    /// What becomes of a datagram on its way, if a fault is planted in it.
    pub(super) fn tampered(&mut self, bytes: Bytes) -> Bytes {
        let altered = match self.config.plant {
            None | Some(Plant::Twice) => None,
            Some(Plant::Recovery) => self.forgetful(&bytes),
            Some(Plant::Back) => self.set_back(&bytes),
        };
        altered.and_then(|packet| encode_datagram(&packet).ok()).unwrap_or(bytes)
    }

    /// A voter's word about a version that is not the updater's own.
    fn forgetful(&self, bytes: &Bytes) -> Option<Packet> {
        let Ok(Packet::Rollout { from, group, msg: RolloutMessage::Seen(version) }) = decode_datagram(bytes) else {
            return None;
        };
        let (_, term) = self.holdings.holder(self.at, &(fake_group(), Seat::Updater))?;
        let msg = RolloutMessage::Seen(Version::default());
        (version.term < term).then_some(Packet::Rollout { from, group, msg })
    }

    fn set_back(&mut self, bytes: &Bytes) -> Option<Packet> {
        let Ok(Packet::Records { from, msg: RecordsDatagram::New(mut records) }) = decode_datagram(bytes) else {
            return None;
        };
        let key = Key::rollout(&fake_group());
        let record = records.iter_mut().find(|record| record.key == key)?;
        let old = self.old_rollout.get_or_insert_with(|| record.clone());
        let is_old = old.value == record.value;
        if is_old || !hits(&mut self.rng, BACK_PER_MILLE) {
            return None;
        }
        record.value.clone_from(&old.value);
        record.stamp.time += 1;
        Some(Packet::Records { from, msg: RecordsDatagram::New(records) })
    }
}
