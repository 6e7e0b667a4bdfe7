//! Lets go of blobs that nothing names any more: no revision of a file, and no release that is kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use super::ringloop::RingHandle;
use crate::base::Hash;
use crate::blob::Blobs;
use crate::release::{Kept, ReleaseStore};
use crate::service::RingState;

/// How often it is looked. What is not named goes at the second look that finds it so: a blob is stored a moment before
/// the record that names it.
const EVERY: Duration = Duration::from_secs(300);

/// Looks every so often, until the ring's loop ends.
pub(super) async fn keep(blobs: Blobs, releases: Arc<ReleaseStore>, ring: RingHandle) {
    let mut suspects = BTreeSet::new();
    loop {
        sleep(EVERY).await;
        // Before it has heard of the ring's records, a node does not know what they name.
        if *ring.board().ring().borrow() != RingState::Ready {
            continue;
        }
        let named = ring.look(|node| node.census().file_blobs().map(|(_, blob)| blob.id).collect::<BTreeSet<Hash>>());
        let Ok(named) = named.await else { return };
        let (store, releases, before) = (Arc::clone(blobs.store()), Arc::clone(&releases), suspects);
        let look = spawn_blocking(move || {
            let mut spared = named;
            spared.extend(releases.list().iter().filter_map(Kept::blob).map(|blob| blob.id));
            let all = store.all().into_iter().map(|blob| blob.id);
            let suspects: BTreeSet<Hash> = all.filter(|id| !spared.contains(id)).collect();
            spared.extend(suspects.difference(&before));
            (store.sweep(&spared), suspects)
        });
        let Ok((swept, now)) = look.await else { return };
        suspects = now;
        match swept {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => info!(blobs = gone.len(), "blobs that nothing names any more were removed"),
            Err(error) => warn!(%error, "blobs that nothing names any more cannot be removed"),
        }
    }
}
