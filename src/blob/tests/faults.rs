use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::node::{Book, Node, content, listen, until};
use crate::base::{BlobRef, Hash};
use crate::blob::list::ChunkList;
use crate::blob::wire::{self, Answer, Request};
use crate::blob::{BlobError, BlobState, BlobStore, CHUNK_BYTES, ChunkSet};
use crate::net::Heard;

const BYTES: usize = 16 * CHUNK_BYTES - 7;

/// What a source says. None: nothing, for as long as anybody listens.
type Says = Box<dyn FnMut(Request) -> Option<(Answer, Vec<u8>)> + Send>;

/// A source that says what it is told to, and how often it was come to.
struct Puppet {
    address: SocketAddr,
    visits: Arc<AtomicUsize>,
    _serving: JoinHandle<()>,
}

async fn puppet(book: &Book, says: Says) -> Puppet {
    let (address, mut streams, accepting, _) = listen().await;
    book.lock().unwrap().push(address);
    let says = Arc::new(Mutex::new(says));
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    let serving = tokio::spawn(async move {
        let _accepting = accepting;
        while let Some(opened) = streams.recv().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let says = Arc::clone(&says);
            tokio::spawn(async move {
                let mut frames = opened.take_up().unwrap();
                let mut frame = Vec::new();
                while let Ok(Heard::Frame) = frames.receive(&mut frame).await {
                    let said = says.lock().unwrap()(wire::request(&frame).unwrap());
                    let Some((answer, content)) = said else { return std::future::pending().await };
                    if frames.send(&wire::encode(&answer).unwrap(), &content).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Puppet { address, visits, _serving: serving }
}

/// Says what is true of these chunks of some content.
fn truthful(content: Vec<u8>, have: ChunkSet) -> impl FnMut(Request) -> Option<(Answer, Vec<u8>)> + Send {
    let list = ChunkList::make(content.chunks(CHUNK_BYTES).map(Hash::of).collect(), content.len() as u64);
    move |request| {
        let bits = have.bits().to_vec();
        Some(match request {
            Request::Look { more_than: Some(known), .. } if known as usize >= have.len() => return None,
            Request::Look { .. } => (Answer::Have { chunks: bits }, Vec::new()),
            Request::List { .. } => (Answer::List, list.written()),
            Request::Chunk { among, .. } => {
                let among = ChunkSet::read(&among, content.len() as u64).unwrap();
                match among.iter().find(|chunk| have.contains(*chunk)) {
                    Some(chunk) => {
                        let answer = Answer::Chunk { chunk: u32::try_from(chunk).unwrap(), have: bits };
                        (answer, content.chunks(CHUNK_BYTES).nth(chunk).unwrap().to_vec())
                    }
                    None => (Answer::Have { chunks: bits }, Vec::new()),
                }
            }
        })
    }
}

fn all() -> ChunkSet {
    ChunkSet::all(BYTES.div_ceil(CHUNK_BYTES))
}

struct World {
    dir: tempfile::TempDir,
    book: Book,
    content: Vec<u8>,
    blob: BlobRef,
}

impl World {
    fn new() -> Self {
        let content = content(BYTES);
        let list = ChunkList::make(content.chunks(CHUNK_BYTES).map(Hash::of).collect(), BYTES as u64);
        Self { dir: tempfile::tempdir().unwrap(), book: Book::default(), blob: list.blob(), content }
    }

    async fn fetcher(&self) -> Node {
        Node::start(&self.dir.path().join("fetcher"), &self.book).await
    }

    async fn honest(&self) -> Node {
        let node = Node::join(&self.dir.path().join("honest"), &self.book).await;
        assert_eq!(node.blobs.store().put(&self.content[..], u64::MAX).unwrap(), self.blob);
        node
    }
}

#[tokio::test]
async fn a_source_that_sends_something_else_is_not_asked_again() {
    let world = World::new();
    let mut lie = truthful(world.content.clone(), all());
    let liar = puppet(
        &world.book,
        Box::new(move |request| {
            let (answer, mut content) = lie(request)?;
            if let (Answer::Chunk { .. }, Some(byte)) = (&answer, content.first_mut()) {
                *byte ^= 1;
            }
            Some((answer, content))
        }),
    )
    .await;
    let fetcher = world.fetcher().await;
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    until("the liar is found out", || fetcher.blobs.traffic().wrong == 1).await;
    let _honest = world.honest().await;
    fetcher.get(world.blob).await;
    assert_eq!(fetcher.content(world.blob.id), world.content);
    assert_eq!((liar.visits.load(Ordering::Relaxed), fetcher.blobs.traffic().wrong), (1, 1));
}

#[tokio::test]
async fn a_list_that_is_forged_or_cut_short_and_an_answer_to_nothing_are_not_believed() {
    let world = World::new();
    type Forge = fn(Vec<u8>) -> Vec<u8>;
    let forgeries: [Forge; 3] = [
        |written| written[32..].to_vec(),
        |written| written[..written.len() - 1].to_vec(),
        |mut written| {
            written[0] ^= 1;
            written
        },
    ];
    let mut liars = Vec::new();
    for forge in forgeries {
        let mut honest = truthful(world.content.clone(), all());
        let says = move |request| {
            let (answer, content) = honest(request)?;
            Some(if answer == Answer::List { (answer, forge(content)) } else { (answer, content) })
        };
        liars.push(puppet(&world.book, Box::new(says)).await);
    }
    // One that names chunks beyond the end, and one that sends a chunk that nobody asked for.
    liars.push(puppet(&world.book, Box::new(|_| Some((Answer::Have { chunks: vec![0xff; 3] }, Vec::new())))).await);
    let unasked = || Some((Answer::Chunk { chunk: 0, have: all().bits().to_vec() }, b"x".to_vec()));
    liars.push(puppet(&world.book, Box::new(move |_| unasked())).await);
    let fetcher = world.fetcher().await;
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    until("all are found out", || fetcher.blobs.traffic().wrong == 5).await;
    assert_eq!(fetcher.blobs.store().chunks(world.blob.id), None);
    let _honest = world.honest().await;
    fetcher.get(world.blob).await;
    assert_eq!(fetcher.content(world.blob.id), world.content);
    assert!(liars.iter().all(|liar| liar.visits.load(Ordering::Relaxed) == 1));
}

#[tokio::test]
async fn a_source_that_falls_silent_does_not_keep_the_blob_from_coming() {
    let world = World::new();
    let mut honest = truthful(world.content.clone(), all());
    let mute = move |request: Request| match request {
        Request::Chunk { .. } => None,
        Request::Look { .. } | Request::List { .. } => honest(request),
    };
    let _mute = puppet(&world.book, Box::new(mute)).await;
    let _dumb = puppet(&world.book, Box::new(|_| None)).await;
    let fetcher = world.fetcher().await;
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    until("it began", || fetcher.blobs.store().chunks(world.blob.id).is_some()).await;
    let _honest = world.honest().await;
    fetcher.get(world.blob).await;
    assert_eq!(fetcher.content(world.blob.id), world.content);
}

#[tokio::test]
async fn a_fetch_goes_on_after_a_crash_with_what_it_had_and_without_those_that_died() {
    let world = World::new();
    let mut half = ChunkSet::none(all().chunks());
    (0..8).for_each(|chunk| half.insert(chunk));
    let first = puppet(&world.book, Box::new(truthful(world.content.clone(), half))).await;
    let fetcher = world.fetcher().await;
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    let half_bytes = 8 * CHUNK_BYTES as u64;
    until("half of it is here", || fetcher.blobs.status(world.blob.id).unwrap().done == half_bytes).await;
    fetcher.kill().await;
    world.book.lock().unwrap().retain(|address| *address != first.address);
    let _honest = world.honest().await;
    let fetcher = world.fetcher().await;
    fetcher.get(world.blob).await;
    assert_eq!(fetcher.content(world.blob.id), world.content);
    assert_eq!(fetcher.blobs.traffic().received_bytes, world.blob.bytes - half_bytes);
}

#[tokio::test]
async fn a_source_that_dies_in_the_middle_is_made_up_for_by_another() {
    let world = World::new();
    let book = Book::default();
    let mut left = 6;
    let mut honest = truthful(world.content.clone(), all());
    let dying = move |request: Request| {
        left -= 1;
        if left == 0 { panic!("it dies, as it is to") } else { honest(request) }
    };
    let _dying = puppet(&book, Box::new(dying)).await;
    let fetcher = Node::start(&world.dir.path().join("fetcher"), &book).await;
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    until("some of it is here", || fetcher.blobs.traffic().received_bytes > 0).await;
    let honest = world.honest().await;
    book.lock().unwrap().push(honest.address);
    fetcher.get(world.blob).await;
    assert_eq!(fetcher.content(world.blob.id), world.content);
}

#[tokio::test]
async fn a_blob_over_the_limit_is_not_even_asked_for() {
    let world = World::new();
    let puppet = puppet(&world.book, Box::new(truthful(world.content.clone(), all()))).await;
    let fetcher = world.fetcher().await;
    let refused = fetcher.blobs.want(world.blob, world.blob.bytes - 1);
    assert!(matches!(refused, Err(BlobError::TooLarge { .. })), "{refused:?}");
    assert_eq!(fetcher.blobs.status(world.blob.id), None);
    // Who lies about the size in the reference names a blob that does not exist: nobody's list is believed.
    let smaller = BlobRef { bytes: world.blob.bytes - 1, ..world.blob };
    fetcher.blobs.want(smaller, smaller.bytes).unwrap();
    until("the list is not believed", || fetcher.blobs.traffic().wrong > 0).await;
    assert!(fetcher.blobs.store().chunks(world.blob.id).is_none() && puppet.visits.load(Ordering::Relaxed) == 1);
}

#[tokio::test]
async fn what_is_not_wanted_any_more_leaves_nothing_behind_and_who_waits_for_it_is_told() {
    let world = World::new();
    let mut half = ChunkSet::none(all().chunks());
    half.insert(3);
    let _half = puppet(&world.book, Box::new(truthful(world.content.clone(), half))).await;
    let fetcher = world.fetcher().await;
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    until("some of it is here", || fetcher.blobs.traffic().received_bytes > 0).await;
    let (blobs, id) = (fetcher.blobs.clone(), world.blob.id);
    let waiting = tokio::spawn(async move { blobs.wait_for(id).await });
    tokio::task::yield_now().await;
    fetcher.blobs.unwant(id);
    assert!(waiting.await.unwrap().is_err());
    let dir = world.dir.path().join("fetcher");
    until("it is removed", || std::fs::read_dir(&dir).unwrap().count() == 0).await;
}

#[tokio::test]
async fn a_blob_comes_once_somebody_has_it_and_stays_after_it() {
    let world = World::new();
    let fetcher = world.fetcher().await;
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    assert_eq!(fetcher.blobs.status(world.blob.id).unwrap().state, BlobState::Fetching);
    let honest = world.honest().await;
    fetcher.get(world.blob).await;
    honest.kill().await;
    fetcher.blobs.unwant(world.blob.id);
    assert_eq!(fetcher.content(world.blob.id), world.content);
    fetcher.blobs.want(world.blob, world.blob.bytes).unwrap();
    assert_eq!(fetcher.blobs.status(world.blob.id).unwrap().state, BlobState::Whole);
}

#[tokio::test]
async fn an_empty_blob_needs_nobody() {
    let world = World::new();
    let blob = BlobStore::open(&world.dir.path().join("other")).unwrap().put(&b""[..], 0).unwrap();
    let fetcher = world.fetcher().await;
    fetcher.get(blob).await;
    assert_eq!(fetcher.content(blob.id), b"");
}
