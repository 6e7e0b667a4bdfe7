//! What an election keeps on disk: one blob per group, a version byte and then postcard.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::{GroupId, Seat};

use super::genesis::Charter;
use super::voter::{Promise, SEATS_MAX};

/// The version of the blob that this program writes.
const VERSION: u8 = 3;
/// The version before, which lacks the last list: that of councils that were left.
const WITHOUT_LEFT: u8 = 2;

/// What was stored of an election cannot be read. This node has to stay out of it: without its promises, its vote could
/// seat a second holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    /// It was written by another version of the program.
    #[error(
        "what is stored of the elections of {group} has version {found}, and this program reads version {VERSION}: \
         start the program that wrote it"
    )]
    Version {
        /// Whose elections.
        group: GroupId,
        /// The version that was found.
        found: u8,
    },
    /// It is damaged.
    #[error(
        "what is stored of the elections of {group} is damaged: restore the data directory, or start with a new one"
    )]
    Damaged {
        /// Whose elections.
        group: GroupId,
        /// What is wrong with it.
        #[source]
        source: Damage,
    },
}

/// How a stored election is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Not even a version.
    #[error("it is empty")]
    Empty,
    /// It does not decode.
    #[error("it does not decode")]
    Decode(#[source] postcard::Error),
    /// It decodes, with something left over.
    #[error("{0} bytes are left over")]
    Trailing(usize),
    /// It says something that was never written.
    #[error("it is over a limit, or not in order")]
    Limits,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Durable {
    pub(super) promises: BTreeMap<Seat, Promise>,
    pub(super) charter: Charter,
}

impl Durable {
    pub(super) fn encode(&self) -> Bytes {
        // Numbers, strings and lists into memory: postcard has no way to fail at that. Were it to, the version alone
        // would read back as damaged, and this node would stay out of the election.
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        Bytes::from(bytes)
    }

    pub(super) fn decode(group: &GroupId, bytes: &[u8]) -> Result<Self, ElectionError> {
        let damaged = |source| ElectionError::Damaged { group: group.clone(), source };
        let (version, rest) = bytes.split_first().ok_or_else(|| damaged(Damage::Empty))?;
        let completed: Vec<u8>;
        let rest = match *version {
            VERSION => rest,
            WITHOUT_LEFT => {
                // An empty list is one zero.
                completed = rest.iter().copied().chain([0]).collect();
                &completed
            }
            _ => return Err(ElectionError::Version { group: group.clone(), found: *version }),
        };
        let (durable, left): (Self, &[u8]) =
            postcard::take_from_bytes(rest).map_err(|error| damaged(Damage::Decode(error)))?;
        if !left.is_empty() {
            return Err(damaged(Damage::Trailing(left.len())));
        }
        if durable.promises.len() > SEATS_MAX || !durable.charter.is_well_formed() {
            return Err(damaged(Damage::Limits));
        }
        Ok(durable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{NodeId, Term};
    use crate::election::council::{Ballot, Proposal};
    use crate::election::message::Holding;
    use crate::election::voter::{Beside, Kept};

    fn group() -> GroupId {
        "redis.default".parse().unwrap()
    }

    fn sample(seats: usize) -> Durable {
        let me = NodeId::from_u128(1);
        let holding = Holding { term: Term(7), holder: me, incarnation: 3 };
        let promise = Promise { holding, kept: Kept::GivenBack, beside: Beside::Earlier };
        let seat = |number: usize| format!("lock/a{number}").parse().unwrap();
        let ballot = Ballot { attempt: 2, proposer: me };
        let accepted = Proposal { ballot, voters: vec![me], superseded: vec![] };
        Durable {
            promises: (0..seats).map(|number| (seat(number), promise)).collect(),
            charter: Charter { accepted: Some(accepted), attempted: 2, ..Charter::default() },
        }
    }

    #[test]
    fn what_is_stored_reads_back() {
        assert_eq!(Durable::decode(&group(), &sample(3).encode()), Ok(sample(3)));
    }

    #[test]
    fn what_the_version_before_stored_reads_as_if_no_council_had_been_left() {
        let mut bytes = sample(3).encode().to_vec();
        assert_eq!(bytes.pop(), Some(0), "the last list is the one that was added");
        bytes[0] = WITHOUT_LEFT;
        assert_eq!(Durable::decode(&group(), &bytes), Ok(sample(3)));
    }

    #[test]
    fn promises_are_read_at_the_limit_and_refused_one_beyond() {
        assert!(Durable::decode(&group(), &sample(SEATS_MAX).encode()).is_ok());
        let beyond = Durable::decode(&group(), &sample(SEATS_MAX + 1).encode());
        assert_eq!(beyond, Err(ElectionError::Damaged { group: group(), source: Damage::Limits }));
    }

    #[test]
    fn another_version_and_every_truncation_are_errors_and_never_a_panic() {
        let bytes = sample(3).encode();
        for end in 0..bytes.len() {
            assert!(Durable::decode(&group(), &bytes[..end]).is_err(), "cut at {end}");
        }
        let mut newer = bytes.to_vec();
        newer[0] = VERSION + 1;
        let error = Durable::decode(&group(), &newer).unwrap_err();
        assert_eq!(error, ElectionError::Version { group: group(), found: VERSION + 1 });
        let mut longer = bytes.to_vec();
        longer.push(0);
        let error = Durable::decode(&group(), &longer).unwrap_err();
        assert_eq!(error, ElectionError::Damaged { group: group(), source: Damage::Trailing(1) });
    }
}
