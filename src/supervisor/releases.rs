//! The releases of this node, as its services ask for them.

use std::path::PathBuf;

use crate::base::Hash;
use crate::service::{Fetching, Releases};

/// The releases of this node. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct NodeReleases;

impl Releases for NodeReleases {
    fn local(&self, _release: Hash) -> Option<PathBuf> {
        None
    }

    fn fetch(&self, _release: Hash) -> Fetching {
        Box::pin(async { Err("this node has no store of releases yet".to_owned()) })
    }
}
