//! One connection to one source of a blob: looks what it has, and asks for chunks of it for as long as some are
//! missing here.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::error::BlobError;
use super::fetch::Fetch;
use super::list::ChunkList;
use super::picker::{Kind, SourceId};
use super::serve::NEWS_LIMIT;
use super::set::ChunkSet;
use super::store::Taken;
use super::wire::{self, Answer, Request};
use crate::net::{FrameError, Frames, Heard};
use crate::ring::StreamError;

/// How long an answer that carries no chunk may take, besides the wait for news.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long a chunk may take. The source may have others to serve first.
const CHUNK_LIMIT: Duration = Duration::from_secs(30);
/// For how long a source may have nothing that is missing here before another one is tried in its place.
const USELESS_LIMIT: Duration = Duration::from_secs(3);
/// How long it is waited after a source had nothing at all: so that nobody runs through a large ring at full speed.
const PACE: Duration = Duration::from_millis(20);

/// Why a source was left.
#[derive(Debug)]
pub(super) enum Ended {
    /// It has nothing of the blob.
    Unknown,
    /// It had nothing that is missing here, for a while.
    Useless,
    /// It could not be reached, broke off, or took too long.
    Failed,
    /// It said what cannot be true.
    Lied(&'static str),
    /// What came cannot be stored.
    Disk(BlobError),
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(_) => Self::Failed,
            FrameError::Refused(_) => Self::Failed,
            FrameError::Envelope(_) => Self::Lied("it sent a frame that is not acceptable"),
        }
    }
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Failed
    }
}

impl From<StreamError> for Ended {
    fn from(_: StreamError) -> Self {
        Self::Failed
    }
}

impl From<BlobError> for Ended {
    fn from(error: BlobError) -> Self {
        Self::Disk(error)
    }
}

/// What a source owes an answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    News,
    Chunk,
}

impl Owed {
    const fn limit(self) -> Duration {
        match self {
            Self::News => NEWS_LIMIT.saturating_add(ANSWER_LIMIT),
            Self::Chunk => CHUNK_LIMIT,
        }
    }
}

/// What an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Which chunks the source has.
    News,
    /// A chunk.
    Chunk,
    /// That it would rather have others send what it was asked for.
    Declined,
}

/// A connection, and what is read from it.
struct Source<'a> {
    fetch: &'a Fetch,
    frames: Frames,
    frame: Vec<u8>,
}

/// A source that the picker counts on. Dropping it tells the picker.
struct Enlisted<'a> {
    fetch: &'a Fetch,
    id: SourceId,
}

impl Drop for Enlisted<'_> {
    fn drop(&mut self) {
        self.fetch.with_picker(|picker| picker.remove(self.id));
        self.fetch.change();
    }
}

/// Fetches from a source, until it is of no use or the caller has enough.
pub(super) async fn run(fetch: Arc<Fetch>, to: SocketAddr) -> Ended {
    let ended = match open(&fetch, to).await {
        Ok(source) => source.run().await,
        Err(ended) => ended,
    };
    if matches!(ended, Ended::Unknown) {
        tokio::time::sleep(PACE).await;
    }
    ended
}

async fn open(fetch: &Fetch, to: SocketAddr) -> Result<Source<'_>, Ended> {
    let frames = fetch.dialer.open_blobs(to).await?;
    Ok(Source { fetch, frames, frame: Vec::new() })
}

impl Source<'_> {
    async fn run(mut self) -> Ended {
        match self.converse().await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    async fn converse(&mut self) -> Result<Ended, Ended> {
        let have = self.first_look().await?;
        self.learn_list().await?;
        let id = self.fetch.with_picker(|picker| picker.add(have)).ok_or(Ended::Failed)?;
        let enlisted = Enlisted { fetch: self.fetch, id };
        self.fetch.change();
        self.collect(enlisted.id).await
    }

    /// What it has when we come. One that is still waiting for its first chunk is waited with.
    async fn first_look(&mut self) -> Result<ChunkSet, Ended> {
        let blob = self.fetch.blob;
        let until = Instant::now() + USELESS_LIMIT;
        let mut more_than = None;
        let mut _waits_too = None;
        loop {
            self.ask(&Request::Look { id: blob.id, more_than }).await?;
            match self.answer(Instant::now() + Owed::News.limit()).await? {
                (Answer::Have { chunks }, _) => return ChunkSet::read(&chunks, blob.bytes).ok_or(FORGED),
                (Answer::Coming, _) if Instant::now() < until => {
                    more_than = Some(0);
                    _waits_too.get_or_insert_with(|| self.fetch.company());
                }
                (Answer::Coming, _) => return Err(Ended::Useless),
                (Answer::Unknown, _) => return Err(Ended::Unknown),
                (Answer::List | Answer::Chunk { .. }, _) => return Err(UNASKED),
            }
        }
    }

    /// Gets the list of chunks, if it is not here yet.
    async fn learn_list(&mut self) -> Result<(), Ended> {
        let blob = self.fetch.blob;
        if self.fetch.has_begun() {
            return Ok(());
        }
        self.ask(&Request::List { id: blob.id }).await?;
        let list = match self.answer(Instant::now() + ANSWER_LIMIT).await? {
            (Answer::List, written) => {
                ChunkList::read(written, blob).ok_or(Ended::Lied("its list of chunks is wrong"))?
            }
            (Answer::Unknown | Answer::Coming, _) => return Err(Ended::Useless),
            (Answer::Have { .. } | Answer::Chunk { .. }, _) => return Err(UNASKED),
        };
        Ok(self.fetch.begin(list).await?)
    }

    async fn collect(&mut self, id: SourceId) -> Result<Ended, Ended> {
        let fetch = self.fetch;
        let mut changed = fetch.changes();
        let mut owed = VecDeque::new();
        let mut owes_since = Instant::now();
        let mut last_useful = Instant::now();
        let mut known = 0;
        loop {
            changed.mark_unchanged();
            while let Some(ask) = fetch.with_picker(|picker| picker.ask(id, fetch.now())).flatten() {
                let sparing = ask.of == Kind::Origin && fetch.has_company();
                let among = ask.among.bits().to_vec();
                self.ask(&Request::Chunk { id: fetch.blob.id, among, sparing }).await?;
                if owed.is_empty() {
                    owes_since = Instant::now();
                }
                owed.push_back(Owed::Chunk);
            }
            let front = match owed.front() {
                Some(front) => *front,
                None if last_useful.elapsed() > USELESS_LIMIT => return Ok(Ended::Useless),
                None => {
                    self.ask(&Request::Look { id: fetch.blob.id, more_than: Some(known) }).await?;
                    owed.push_back(Owed::News);
                    owes_since = Instant::now();
                    Owed::News
                }
            };
            let until = owes_since + front.limit();
            let spared = fetch.with_picker(|picker| picker.spared(id, fetch.now())).flatten();
            tokio::select! {
                incoming = self.frames.incoming() => incoming?,
                // Something may be asked now that could not before.
                _ = changed.changed() => continue,
                () = sleep(spared.unwrap_or_default()), if spared.is_some() => continue,
                () = sleep_until(until) => return Ok(Ended::Failed),
            }
            let (have, told) = match (self.answer(until).await?, front) {
                ((Answer::Have { chunks }, _), Owed::News) => (chunks, Told::News),
                ((Answer::Have { chunks }, _), Owed::Chunk) => (chunks, Told::Declined),
                ((Answer::Chunk { chunk, have }, content), Owed::Chunk) => {
                    take(fetch, id, chunk, content)?;
                    last_useful = Instant::now();
                    (have, Told::Chunk)
                }
                // It was removed there.
                ((Answer::Unknown | Answer::Coming, _), _) => return Ok(Ended::Useless),
                ((Answer::List | Answer::Chunk { .. }, _), _) => return Err(UNASKED),
            };
            owed.pop_front();
            owes_since = Instant::now();
            let have = ChunkSet::read(&have, fetch.blob.bytes).ok_or(FORGED)?;
            known = u32::try_from(have.len()).unwrap_or(u32::MAX);
            fetch.with_picker(|picker| {
                match told {
                    Told::News => {}
                    Told::Chunk => picker.answered(id, fetch.now()),
                    Told::Declined => picker.declined(id, fetch.now()),
                }
                picker.learn(id, have);
            });
            fetch.change();
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<(), Ended> {
        let head = wire::encode(request).ok_or(Ended::Failed)?;
        let sent = timeout(ANSWER_LIMIT, self.frames.send(&head, &[])).await;
        Ok(sent.map_err(|_| Ended::Failed)??)
    }

    async fn answer(&mut self, until: Instant) -> Result<(Answer, &[u8]), Ended> {
        let heard = timeout_at(until, self.frames.receive(&mut self.frame)).await.map_err(|_| Ended::Failed)??;
        match heard {
            Heard::Frame => wire::answer(&self.frame).ok_or(Ended::Lied("it gave an answer that cannot be read")),
            Heard::End => Err(Ended::Failed),
        }
    }
}

const FORGED: Ended = Ended::Lied("it has chunks that the blob does not");
const UNASKED: Ended = Ended::Lied("it gave an answer to what was not asked");

fn take(fetch: &Fetch, id: SourceId, chunk: u32, content: &[u8]) -> Result<(), Ended> {
    let chunk = usize::try_from(chunk).unwrap_or(usize::MAX);
    if fetch.with_picker(|picker| picker.expects(id, chunk)) != Some(true) {
        return Err(UNASKED);
    }
    match fetch.store.take_chunk(fetch.blob.id, chunk, content)? {
        Taken::New => fetch.counters.received(content.len()),
        Taken::Known => fetch.counters.wasted(content.len()),
        Taken::Wrong => return Err(Ended::Lied("it sent a chunk with another content")),
    }
    fetch.with_picker(|picker| picker.took(chunk));
    Ok(())
}
