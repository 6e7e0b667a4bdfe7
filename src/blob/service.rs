//! The blobs that this node wants, and is getting.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin as BoxPin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::error::BlobError;
use super::store::BlobStore;
use crate::base::{BlobRef, Hash};

/// Asked whenever sources are needed: the addresses of the members that may have something.
pub type Sources = Arc<dyn Fn() -> BoxPin<Box<dyn Future<Output = Vec<SocketAddr>> + Send>> + Send + Sync>;

/// How far it is with a wanted blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobStatus {
    /// Which blob.
    pub blob: BlobRef,
    /// How many bytes of it are here.
    pub done: u64,
    /// What goes on.
    pub state: BlobState,
}

/// What goes on with a wanted blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobState {
    /// It is being fetched, or has its turn soon.
    Fetching,
    /// It cannot be stored at this time, for this reason. It is tried again.
    Stuck {
        /// Why.
        why: String,
    },
    /// All of it is here.
    Whole,
}

/// A blob is not wanted, or not any more: nobody fetches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("blob {} is not wanted on this node", .0.short())]
pub struct NotWanted(pub Hash);

/// The blobs of this node: what it has, and what it wants. Cheap to clone.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    store: Arc<BlobStore>,
    wanted: Mutex<BTreeMap<Hash, Wanted>>,
}

struct Wanted {
    status: watch::Sender<BlobStatus>,
}

impl Blobs {
    fn wanted(&self) -> MutexGuard<'_, BTreeMap<Hash, Wanted>> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blobs that are here.
    #[must_use]
    pub fn store(&self) -> &Arc<BlobStore> {
        &self.0.store
    }

    /// Wants a blob, from now on until [`Self::unwant`]: it is fetched from whichever members have it, for as long as
    /// it takes, and kept. Wanting what is wanted already changes nothing. `limit` is the most bytes that it may have.
    ///
    /// # Errors
    /// It is over the limit; then it is not wanted.
    pub fn want(&self, blob: BlobRef, limit: u64) -> Result<(), BlobError> {
        if blob.bytes > limit {
            return Err(BlobError::TooLarge { limit });
        }
        self.wanted().entry(blob.id).or_insert_with(|| Wanted {
            status: watch::Sender::new(BlobStatus { blob, done: 0, state: BlobState::Fetching }),
        });
        Ok(())
    }

    /// Waits until all of a wanted blob is here, however long that takes. Cancel safe.
    ///
    /// # Errors
    /// It is not wanted, or ceased to be.
    pub async fn wait_for(&self, id: Hash) -> Result<(), NotWanted> {
        let mut status = match self.wanted().get(&id) {
            Some(wanted) => wanted.status.subscribe(),
            None => return Err(NotWanted(id)),
        };
        let whole = status.wait_for(|status| status.state == BlobState::Whole).await;
        whole.map(drop).map_err(|_| NotWanted(id))
    }

    /// Does not want a blob any more. What was fetched of it is removed if it is not whole; a whole one stays until
    /// [`BlobStore::sweep`].
    pub fn unwant(&self, id: Hash) {
        self.wanted().remove(&id);
    }

    /// How far it is with a blob. None: it is not wanted.
    #[must_use]
    pub fn status(&self, id: Hash) -> Option<BlobStatus> {
        self.wanted().get(&id).map(|wanted| wanted.status.borrow().clone())
    }
}
