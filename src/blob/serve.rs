//! Gives others what is here: of whole blobs, and of those that are being fetched.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::counters::BlobCounters;
use super::service::Wants;
use super::set::ChunkSet;
use super::store::BlobStore;
use super::wire::{self, Answer, Request};
use crate::base::Hash;
use crate::net::{FrameError, Frames, Heard, Opened};
use crate::places::{Place, Places};

/// How many streams are served at once. Most of them wait for news.
const STREAMS_MAX: usize = 128;
/// How many of one peer. Nodes of one machine count as one peer.
const STREAMS_PER_PEER_MAX: usize = 32;
/// How many chunks are sent at once: each has its memory. Who comes later waits.
const UPLOADS_MAX: usize = 4;
/// How long one chunk may take. Slower than half a megabit per second, a receiver keeps others waiting.
const UPLOAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a look waits for news.
pub(super) const NEWS_LIMIT: Duration = Duration::from_secs(1);
/// How long a stream may be silent. Who fetches looks every second.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// How long a request may take to arrive, from its first byte.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// For how long a chunk that was sent is to be had from whom it was sent to, rather than from here. Far longer than the
/// news of it takes; should the receiver die with it, all others wait for so long, once.
const FRESH: Duration = Duration::from_secs(2);
/// Of how many blobs it is remembered which chunks were sent how often.
const REMEMBERED_MAX: usize = 64;

/// Serves streams.
#[derive(Debug)]
pub(super) struct Server {
    store: Arc<BlobStore>,
    wants: Arc<Wants>,
    counters: Arc<BlobCounters>,
    uploads: Semaphore,
    places: Arc<Places>,
    /// What was sent of each blob, chunk by chunk.
    sent: Mutex<BTreeMap<Hash, Vec<Sent>>>,
    /// Where the search for the chunk that was sent least often begins.
    turn: AtomicUsize,
    /// Memory of chunks that were sent, for those that will be.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// How often a chunk was sent.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    times: u32,
    /// When it last began or ended to be sent.
    last: Option<Instant>,
}

impl Sent {
    /// Whether somebody has it who can pass it on, or soon will.
    fn is_fresh(&self) -> bool {
        self.last.is_some_and(|last| last.elapsed() < FRESH)
    }
}

/// One served stream. Dropping it frees its place.
struct Visit {
    server: Arc<Server>,
    place: Option<Place>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        drop(self.place.take());
        // Memory for uploads is kept while somebody may want one.
        if self.server.places.are_free() {
            self.server.spare.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// Whether a stream goes on.
enum Next {
    Request,
    Close,
}

impl Server {
    pub(super) fn new(store: Arc<BlobStore>, wants: Arc<Wants>, counters: Arc<BlobCounters>) -> Self {
        Self {
            store,
            wants,
            counters,
            uploads: Semaphore::new(UPLOADS_MAX),
            places: Places::new(STREAMS_MAX, STREAMS_PER_PEER_MAX),
            sent: Mutex::default(),
            turn: AtomicUsize::new(0),
            spare: Mutex::default(),
        }
    }

    /// Serves the streams that come, until no more can.
    pub(super) async fn run(self: Arc<Self>, mut streams: mpsc::Receiver<Opened>) {
        while let Some(opened) = streams.recv().await {
            // Over the limit, it is closed at once: the peer sees an end, and asks another.
            let Some(place) = self.places.take(opened.peer().ip()) else { continue };
            let visit = Visit { server: Arc::clone(&self), place: Some(place) };
            tokio::spawn(async move {
                if let Ok(frames) = opened.take_up() {
                    // It broke off, or spoke nonsense: either way it is over, and the peer will know.
                    visit.server.serve(frames).await.ok();
                }
            });
        }
    }

    async fn serve(&self, mut frames: Frames) -> Result<(), FrameError> {
        let mut frame = Vec::new();
        loop {
            let Ok(incoming) = timeout(SILENCE_LIMIT, frames.incoming()).await else { return Ok(()) };
            incoming?;
            let Ok(heard) = timeout(REQUEST_LIMIT, frames.receive(&mut frame)).await else { return Ok(()) };
            match heard? {
                Heard::End => return Ok(()),
                Heard::Frame => {}
            }
            let next = match wire::request(&frame) {
                Some(Request::Look { id, more_than }) => self.look(&mut frames, id, more_than).await?,
                Some(Request::List { id }) => self.list(&mut frames, id).await?,
                Some(Request::Chunk { id, among, sparing }) => self.chunk(&mut frames, id, &among, sparing).await?,
                None => Next::Close,
            };
            match next {
                Next::Request => {}
                Next::Close => return Ok(()),
            }
        }
    }

    async fn look(&self, frames: &mut Frames, id: Hash, more_than: Option<u32>) -> Result<Next, FrameError> {
        let until = Instant::now() + NEWS_LIMIT;
        let mut progress = self.store.progress();
        loop {
            progress.mark_unchanged();
            let here = self.store.chunks(id);
            let count = here.as_ref().map_or(0, ChunkSet::len);
            let is_news = more_than.is_none_or(|known| count > usize::try_from(known).unwrap_or(usize::MAX));
            if is_news || Instant::now() >= until {
                return self.say(frames, &self.here(id, here), &[]).await;
            }
            tokio::select! {
                // The store lives as long as this server.
                _ = progress.changed() => {}
                () = sleep_until(until) => {}
                incoming = frames.incoming() => {
                    incoming?;
                    return self.say(frames, &self.here(id, here), &[]).await;
                }
            }
        }
    }

    fn here(&self, id: Hash, chunks: Option<ChunkSet>) -> Answer {
        match chunks {
            Some(chunks) => Answer::Have { chunks: chunks.bits().to_vec() },
            None if self.wants.contains(id) => Answer::Coming,
            None => Answer::Unknown,
        }
    }

    async fn list(&self, frames: &mut Frames, id: Hash) -> Result<Next, FrameError> {
        match self.store.list(id) {
            Some(list) => self.say(frames, &Answer::List, &list.written()).await,
            None => self.say(frames, &self.here(id, None), &[]).await,
        }
    }

    async fn chunk(&self, frames: &mut Frames, id: Hash, among: &[u8], sparing: bool) -> Result<Next, FrameError> {
        // Never closed.
        let Ok(_upload) = self.uploads.acquire().await else { return Ok(Next::Close) };
        let (Some(list), Some(here)) = (self.store.list(id), self.store.chunks(id)) else {
            return self.say(frames, &self.here(id, None), &[]).await;
        };
        let Some(among) = ChunkSet::read(among, list.blob().bytes) else { return Ok(Next::Close) };
        let Some(chunk) = self.choose(id, &among, &here, sparing) else {
            return self.say(frames, &self.here(id, Some(here)), &[]).await;
        };
        let Ok(number) = u32::try_from(chunk) else { return Ok(Next::Close) };
        let mut bytes = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        // Removed a moment ago, or the disk fails: others have it, too.
        if self.store.read_chunk(id, chunk, &mut bytes).is_err() {
            return Ok(Next::Close);
        }
        let answer = Answer::Chunk { chunk: number, have: here.bits().to_vec() };
        let sent = timeout(UPLOAD_LIMIT, self.say(frames, &answer, &bytes)).await;
        let next = sent.unwrap_or(Ok(Next::Close))?;
        self.went(id, chunk);
        self.counters.sent(bytes.len());
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        Ok(next)
    }

    /// Of those asked for that are here, the one that was sent least often; of several, not always the same.
    fn choose(&self, id: Hash, among: &ChunkSet, here: &ChunkSet, sparing: bool) -> Option<usize> {
        let chunks = here.chunks();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if !sent.contains_key(&id) && sent.len() >= REMEMBERED_MAX {
            sent.pop_first();
        }
        let sent = sent.entry(id).or_insert_with(|| vec![Sent::default(); chunks]);
        // A stride that has no factor in common with most numbers of chunks.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(7919);
        let candidates = among.iter().filter(|chunk| here.contains(*chunk) && !(sparing && sent[*chunk].is_fresh()));
        let chunk = candidates.min_by_key(|chunk| (sent[*chunk].times, chunk.wrapping_add(turn) % chunks))?;
        sent[chunk].times = sent[chunk].times.saturating_add(1);
        sent[chunk].last = Some(Instant::now());
        Some(chunk)
    }

    fn went(&self, id: Hash, chunk: usize) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = sent.get_mut(&id).and_then(|sent| sent.get_mut(chunk)) {
            sent.last = Some(Instant::now());
        }
    }

    async fn say(&self, frames: &mut Frames, answer: &Answer, content: &[u8]) -> Result<Next, FrameError> {
        let Some(head) = wire::encode(answer) else { return Ok(Next::Close) };
        frames.send(&head, content).await?;
        Ok(Next::Request)
    }
}
