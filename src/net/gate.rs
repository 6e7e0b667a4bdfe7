//! What this node takes in, and how it seals what it sends: its ring, its keys, its versions of the wire.
//!
//! One gate is shared by all sockets. Keys may be changed at any time: each datagram and each stream goes by the keys of
//! the moment at which it begins.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::mpsc;

use super::envelope::EnvelopeError;
use super::key::KeySet;
use super::seal::{Nonce, Nonces};
use super::stranger::{Side, Stranger, Strangers, Trouble};
use super::version::Versions;
use crate::base::RingName;

/// Such a gate.
#[derive(Debug)]
pub struct Gate {
    ring: RingName,
    versions: Versions,
    keys: RwLock<Arc<KeySet>>,
    nonces: Nonces,
    strangers: Strangers,
}

impl Gate {
    /// A gate to this ring.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(ring: RingName, versions: Versions, keys: KeySet) -> io::Result<Self> {
        let (nonces, strangers) = (Nonces::draw()?, Strangers::default());
        Ok(Self { ring, versions, keys: RwLock::new(Arc::new(keys)), nonces, strangers })
    }

    /// Which ring it is.
    #[must_use]
    pub const fn ring(&self) -> &RingName {
        &self.ring
    }

    /// The versions of the wire that are spoken.
    #[must_use]
    pub const fn versions(&self) -> Versions {
        self.versions
    }

    /// The keys of this moment.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes by these keys from now on.
    pub fn set_keys(&self, keys: KeySet) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Whether what leaves is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.keys().in_use().is_some()
    }

    /// Tells the strangers that are met from now on, each trouble at most once a minute.
    pub fn listen(&self) -> mpsc::Receiver<Stranger> {
        self.strangers.listen()
    }

    /// The strangers that were met lately: the last one of each trouble.
    #[must_use]
    pub fn strangers(&self) -> Vec<Stranger> {
        self.strangers.recent(Instant::now())
    }

    pub(super) fn nonce(&self) -> Nonce {
        self.nonces.next()
    }

    /// Somebody was refused, here or there.
    pub(super) fn meet(&self, address: SocketAddr, side: Side, why: &EnvelopeError) {
        let trouble = match why {
            EnvelopeError::Ring(ring) => Trouble::Ring(ring.clone()),
            EnvelopeError::Clear => Trouble::Clear,
            EnvelopeError::Key(id) => Trouble::Key(*id),
            EnvelopeError::Forged(id) => Trouble::Forged(*id),
            EnvelopeError::Version(version) => Trouble::Version(*version),
            // Garbage, or news of a newer version: nobody can do anything about it.
            EnvelopeError::Malformed
            | EnvelopeError::Kind(_)
            | EnvelopeError::Replayed
            | EnvelopeError::TooLarge { .. } => return,
        };
        self.strangers.meet(Instant::now(), address, side, trouble);
    }
}
