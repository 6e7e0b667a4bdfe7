//! The releases of this node, as its services need them: on the disk before their turn comes, and there for as long as
//! anybody here may go back to them.
//!
//! A release travels as a blob, from whichever members have it. What it is and which blob carries it is said by its
//! group's record, and whatever is named there is fetched as soon as it is named, so that no turn waits for a download.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::clock;
use super::error::chain;
use super::ringloop::RingHandle;
use crate::base::{GroupId, Hash, Mono, ReleaseRef};
use crate::blob::{BLOB_BYTES_MAX, BlobState, Blobs};
use crate::census::GroupView;
use crate::plan::Plan;
use crate::release::{Kept, ReleaseStore, StoreError};
use crate::service::{Fetching, Releases};

/// How long the record that says where a release is to be had is waited for: it may be a moment behind the one that
/// asks for the release.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// How long a release that somebody brought or looked up is kept for being asked for. A command asks at once; a person
/// who does it by hand has read the answer by then.
const HELD_FOR: Duration = Duration::from_secs(600);

/// The releases of this node. Cheap to clone.
#[derive(Clone)]
pub(super) struct NodeReleases(Arc<Inner>);

struct Inner {
    store: Arc<ReleaseStore>,
    blobs: Blobs,
    ring: RingHandle,
    /// How many are kept of each plan that nobody needs.
    keep: usize,
    /// What the services here go by, by group.
    uses: Mutex<BTreeMap<GroupId, Uses>>,
    /// What is about to be asked for, and until when it is kept for that.
    held: Mutex<Held>,
    /// Held while one is unpacked, so that none is unpacked twice.
    unpacking: AsyncMutex<()>,
    /// Held while what nobody needs is looked for and removed, and from before a release is here, or is found, until it
    /// is in `held`: what is looked for between those would not be seen to be needed.
    collecting: AsyncMutex<()>,
}

/// Releases that are about to be asked for, each with the end of its time.
#[derive(Debug, Default)]
struct Held(BTreeMap<Hash, Mono>);

impl Held {
    fn hold(&mut self, release: Hash, now: Mono) {
        self.0.insert(release, now + HELD_FOR);
    }

    fn let_go(&mut self, release: Hash) {
        self.0.remove(&release);
    }

    fn at(&mut self, now: Mono) -> Vec<Hash> {
        self.0.retain(|_, end| now < *end);
        self.0.keys().copied().collect()
    }
}

/// What a service of this node goes by.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    /// The copy of the directory that it was started from.
    started_from: Option<Hash>,
    /// The copy that is being made for it.
    coming: Option<Hash>,
    /// What it has loaded.
    loaded: Option<Hash>,
}

/// Which groups need each release.
pub(super) type Needed = BTreeMap<Hash, BTreeSet<GroupId>>;

impl NodeReleases {
    pub(super) fn new(store: Arc<ReleaseStore>, blobs: Blobs, ring: RingHandle, keep: usize) -> Self {
        let (uses, held) = (Mutex::default(), Mutex::default());
        let (unpacking, collecting) = (AsyncMutex::default(), AsyncMutex::default());
        Self(Arc::new(Inner { store, blobs, ring, keep, uses, held, unpacking, collecting }))
    }

    /// The same, for the member of a group.
    pub(super) fn of(&self, group: &GroupId) -> GroupReleases {
        GroupReleases { node: self.clone(), group: group.clone(), view: self.0.ring.subscribe(group) }
    }

    /// The member of a group is gone from this node.
    pub(super) fn forget(&self, group: &GroupId) {
        self.uses().remove(group);
    }

    fn uses(&self) -> MutexGuard<'_, BTreeMap<GroupId, Uses>> {
        // Held for single operations of the map, none of which can panic half-way.
        self.0.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The member of a group is started from this copy of its directory from now on.
    pub(super) fn start_from(&self, group: &GroupId, snapshot: Option<Hash>) {
        let mut uses = self.uses();
        let uses = uses.entry(group.clone()).or_default();
        (uses.started_from, uses.coming) = (snapshot, None);
    }

    /// The copy that the member of a group is started from.
    pub(super) fn started_from(&self, group: &GroupId) -> Option<Hash> {
        self.uses().get(group)?.started_from
    }

    /// Brings a release here, or finds one, to be asked for soon: it is needed from now on, until that is done, or for
    /// `HELD_FOR` at most.
    pub(super) async fn hold<T, E>(
        &self,
        bring: impl Future<Output = Result<T, E>>,
        which: impl FnOnce(&T) -> Hash,
    ) -> Result<T, E> {
        let _nothing_is_collected = self.0.collecting.lock().await;
        let brought = bring.await?;
        self.held().hold(which(&brought), clock::now().mono);
        Ok(brought)
    }

    /// A release was asked for: from now on it is needed for as long as a group names it.
    pub(super) fn asked_for(&self, release: Hash) {
        self.held().let_go(release);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Held for single operations of the map, none of which can panic half-way.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies a plan's directory, for the member of a group to be started from. The copy is needed from now on. Before
    /// that, what nobody needs goes: this is when room is needed.
    pub(super) async fn copy(&self, group: &GroupId, plan: Plan) -> Result<Kept, CopyError> {
        self.uses().entry(group.clone()).or_default().coming = Some(plan.release.hash());
        if self.has(plan.release.hash()).await.is_none() {
            self.make_room().await;
        }
        let store = Arc::clone(&self.0.store);
        let copied = tokio::task::spawn_blocking(move || store.copy(&plan, clock::now().wall)).await;
        Ok(copied.map_err(|_| CopyError::Ended)??)
    }

    /// Where the plan of a release is, if it is here. Blocks for a moment.
    pub(super) fn path(&self, release: Hash) -> Option<PathBuf> {
        self.0.store.path(release)
    }

    async fn has(&self, release: Hash) -> Option<PathBuf> {
        let store = Arc::clone(&self.0.store);
        tokio::task::spawn_blocking(move || store.path(release)).await.ok().flatten()
    }

    /// Gets a release, if it is not here yet.
    async fn get(&self, release: &ReleaseRef) -> Result<PathBuf, String> {
        if let Some(path) = self.has(release.manifest).await {
            return Ok(path);
        }
        let blobs = &self.0.blobs;
        blobs.want(release.blob, BLOB_BYTES_MAX).map_err(|error| chain(&error))?;
        let status = blobs.watch(release.blob.id);
        let mut status = status.ok_or("nobody wants it any more")?;
        let ended = status.wait_for(|status| !matches!(status.state, BlobState::Fetching)).await;
        let state = ended.map(|status| status.state.clone()).map_err(|_| "nobody wants it any more".to_owned())?;
        if let BlobState::Stuck { why } = state {
            return Err(why);
        }
        self.unpack(release).await
    }

    async fn unpack(&self, release: &ReleaseRef) -> Result<PathBuf, String> {
        let _one_at_a_time = self.0.unpacking.lock().await;
        if let Some(path) = self.has(release.manifest).await {
            return Ok(path);
        }
        let (inner, wanted) = (Arc::clone(&self.0), release.clone());
        let unpacking = tokio::task::spawn_blocking(move || {
            let archive = inner.blobs.store().read(wanted.blob.id).map_err(|error| chain(&error))?;
            inner.store.receive(&wanted, archive, clock::now().wall).map_err(|error| chain(&error))?;
            let path = inner.store.path(wanted.manifest);
            path.ok_or_else(|| "it was removed while it was put in its place".to_owned())
        });
        let path = unpacking.await.map_err(|_| "this supervisor is shutting down".to_owned())??;
        info!(%release, "release is here");
        self.make_room().await;
        Ok(path)
    }

    /// Lets go of what nobody needs. That it fails keeps nobody from anything.
    pub(super) async fn make_room(&self) {
        match self.collect().await {
            Ok(_) | Err(CollectError::Ended) => {}
            Err(CollectError::Store(error)) => warn!(why = chain(&error), "cannot remove releases that nobody needs"),
        }
    }

    /// Removes the releases that nobody needs, and their archives. Says which.
    pub(super) async fn collect(&self) -> Result<Vec<Kept>, CollectError> {
        let _nothing_comes_in_between = self.0.collecting.lock().await;
        let mut needed: BTreeSet<Hash> = self.needed().await.ok_or(CollectError::Ended)?.into_keys().collect();
        needed.extend(self.held().at(clock::now().mono));
        let inner = Arc::clone(&self.0);
        let cleaning = tokio::task::spawn_blocking(move || {
            let gone = inner.store.gc(inner.keep, &needed)?;
            for kept in &gone {
                info!(release = %kept.id, "a release that nobody needs was removed");
                if let Some(blob) = kept.blob() {
                    inner.blobs.unwant(blob.id);
                    inner.blobs.store().remove(blob.id).map_err(StoreError::Blob)?;
                }
            }
            Ok(gone)
        });
        cleaning.await.map_err(|_| CollectError::Ended)?
    }

    /// The releases that groups run, are to run, or may have to go back to, and those that services here were started
    /// from or have loaded; none while the supervisor ends. With what is held, this says what may not be removed.
    pub(super) async fn needed(&self) -> Option<Needed> {
        let asked = self.0.ring.look(|node| {
            let census = node.census();
            let views = census.group_ids().map(|group| census.group(group));
            let named = |view: Arc<GroupView>| {
                let group = view.group.clone();
                named_by(&view).into_iter().map(move |release| (release, group.clone()))
            };
            views.flat_map(named).collect::<Vec<(Hash, GroupId)>>()
        });
        let asked = asked.await.ok()?;
        let here: Vec<(Hash, GroupId)> = {
            let uses = self.uses();
            let all = uses.iter().flat_map(|(group, uses)| uses.all().map(|release| (release, group.clone())));
            all.collect()
        };
        let mut needed = Needed::new();
        for (release, group) in asked.into_iter().chain(here) {
            needed.entry(release).or_default().insert(group);
        }
        Some(needed)
    }
}

impl Uses {
    fn all(self) -> impl Iterator<Item = Hash> {
        [self.started_from, self.coming, self.loaded].into_iter().flatten()
    }
}

/// What nobody needs cannot be removed. Some of it may be gone.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// The disk does not let it go.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The supervisor ends.
    #[error("this supervisor is shutting down")]
    Ended,
}

/// A directory cannot be copied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    /// It cannot be read, or not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The supervisor ends.
    #[error("this supervisor is shutting down")]
    Ended,
}

/// Every release that a group's view names.
fn named_by(view: &GroupView) -> BTreeSet<Hash> {
    let announced = view.release.iter().flat_map(|desired| {
        let earlier = desired.earlier.iter().map(|release| release.manifest);
        earlier.chain([desired.release.manifest])
    });
    let rollout = view.rollout.iter().flat_map(|(_, rollout)| [&rollout.from, &rollout.to]);
    let goal = view.goal.iter().map(|goal| &goal.target);
    let members = view.members.values().filter_map(|member| member.status.target.as_ref());
    let targets = rollout.chain(goal).chain(members).chain([&view.target]).filter_map(|target| target.release);
    announced.chain(targets).collect()
}

/// What a group's record says of a release.
fn said_of(view: &GroupView, release: Hash) -> Option<ReleaseRef> {
    let desired = view.release.as_ref()?;
    let mut named = [&desired.release].into_iter().chain(&desired.earlier);
    named.find(|named| named.manifest == release).cloned()
}

/// The releases of this node, for the member of one group.
pub(super) struct GroupReleases {
    node: NodeReleases,
    group: GroupId,
    view: watch::Receiver<Arc<GroupView>>,
}

impl GroupReleases {
    /// Fetches whatever the group is to run, as soon as that is said. Runs until the supervisor ends.
    pub(super) async fn prefetch(self) {
        let mut view = self.view.clone();
        let mut last = None;
        loop {
            let announced = view.borrow_and_update().release.as_ref().map(|desired| desired.release.clone());
            if let Some(release) = announced.filter(|release| last.as_ref() != Some(release)) {
                match self.node.get(&release).await {
                    Ok(_) => last = Some(release),
                    // Whoever needs it tries again, and says so.
                    Err(why) => warn!(group = %self.group, %release, why, "a release cannot be fetched ahead"),
                }
            }
            if view.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Releases for GroupReleases {
    fn local(&self, release: Hash) -> Option<PathBuf> {
        let path = self.node.0.store.path(release)?;
        self.node.uses().entry(self.group.clone()).or_default().loaded = Some(release);
        Some(path)
    }

    fn started_from(&self) -> Option<PathBuf> {
        let snapshot = self.node.started_from(&self.group)?;
        let path = self.local(snapshot);
        if path.is_none() {
            let release = snapshot.short();
            warn!(group = %self.group, release, "what the service was started from is gone: its directory is read");
        }
        path
    }

    fn fetch(&self, release: Hash) -> Fetching {
        let (node, mut view) = (self.node.clone(), self.view.clone());
        Box::pin(async move {
            if let Some(path) = node.has(release).await {
                return Ok(path);
            }
            let known = view.wait_for(|view| said_of(view, release).is_some());
            let known = timeout(KNOWN_WITHIN, known).await.ok().and_then(Result::ok);
            let named = known.and_then(|view| said_of(&view, release));
            match named {
                Some(named) => node.get(&named).await,
                None => Err("its group's record does not name it, so that nobody knows what to look for".to_owned()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{HELD_FOR, Held, named_by, said_of};
    use crate::base::{BlobRef, Hash, Mono, ReleaseRef};
    use crate::census::{GroupView, Liveness, MemberView, NodeView};
    use crate::records::value::{DesiredRelease, MemberStatus, NodeFacts, Target};
    use std::sync::Arc;
    use std::time::Duration;

    fn release(byte: u8) -> ReleaseRef {
        ReleaseRef {
            origin: None,
            name: "redis".parse().unwrap(),
            version: "1".parse().unwrap(),
            manifest: Hash::from_bytes([byte; 32]),
            blob: BlobRef { id: Hash::from_bytes([byte; 32]), bytes: 1 },
        }
    }

    fn view() -> GroupView {
        let mut view = GroupView::empty("redis.default".parse().unwrap());
        view.release = Some(DesiredRelease {
            release: release(1),
            earlier: vec![release(2), release(3)],
            at: crate::base::Wall(0),
            by: None,
        });
        view
    }

    #[test]
    fn a_release_that_may_be_gone_back_to_is_found_as_the_newest_is() {
        for byte in 1..=3 {
            assert_eq!(said_of(&view(), release(byte).manifest), Some(release(byte)));
        }
        assert_eq!(said_of(&view(), release(4).manifest), None);
    }

    #[test]
    fn what_is_about_to_be_asked_for_is_held_until_it_is_and_not_for_ever() {
        let (first, second) = (release(1).manifest, release(2).manifest);
        let mut held = Held::default();
        held.hold(first, Mono(0));
        held.hold(second, Mono(0) + Duration::from_millis(1));
        let end = Mono(0) + HELD_FOR;
        assert_eq!(held.at(Mono(0)), [first, second]);
        assert_eq!(held.at(end), [second], "the first had its time");
        held.hold(first, end);
        held.let_go(second);
        assert_eq!(held.at(end), [first], "it is held anew, and the second was asked for");
    }

    #[test]
    fn what_a_member_goes_by_is_needed_although_nobody_asks_for_it_any_more() {
        let mut view = view();
        let target = Some(Target { release: Some(release(9).manifest), ..Target::default() });
        let id = crate::base::NodeId::from_u128(1);
        let address = "127.0.0.1:9638".parse().unwrap();
        let node = NodeView { id, address, liveness: Liveness::Down, facts: Arc::new(NodeFacts::default()) };
        let status = Arc::new(MemberStatus { target, ..MemberStatus::default() });
        view.members.insert(id, MemberView { node, status, leader: false, updater: false });
        let named: Vec<_> = named_by(&view).into_iter().collect();
        assert_eq!(named, [1, 2, 3, 9].map(|byte| release(byte).manifest));
    }
}
