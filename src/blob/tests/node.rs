//! A node that has blobs: a store, the thread that moves them, and a port.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::base::{BlobRef, Hash};
use crate::blob::{BlobStore, BlobThread, Blobs, BlobsConfig};
use crate::net::{Counters, Dialer, Gate, KeySet, Opened, Receivers, Versions, accept};

/// Nobody waits longer for anything here.
pub const LONG: Duration = Duration::from_secs(60);

/// Whom the nodes of a test know.
pub type Book = Arc<Mutex<Vec<SocketAddr>>>;

/// A listener, and the streams for blobs that come to it.
pub async fn listen() -> (SocketAddr, mpsc::Receiver<Opened>, JoinHandle<()>, Dialer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counters = Arc::new(Counters::default());
    let gate = Arc::new(Gate::new("a".parse().unwrap(), Versions::default(), KeySet::clear()).unwrap());
    let dialer = Dialer::new(None, Arc::clone(&gate), Arc::clone(&counters));
    let (requests, mut nobody) = mpsc::channel(1);
    let (blobs, streams) = mpsc::channel(32);
    let receivers = Receivers { keys: requests.clone(), requests, blobs };
    let accepting = tokio::spawn(async move {
        tokio::select! {
            () = accept(listener, receivers, gate, counters) => {}
            _ = nobody.recv() => {}
        }
    });
    (address, streams, accepting, dialer)
}

pub struct Node {
    pub address: SocketAddr,
    pub blobs: Blobs,
    thread: BlobThread,
    accepting: JoinHandle<()>,
}

impl Node {
    /// A node that keeps its blobs in `dir` and asks those of `book`.
    pub async fn start(dir: &Path, book: &Book) -> Self {
        let store = Arc::new(BlobStore::open(dir).unwrap());
        let (address, streams, accepting, dialer) = listen().await;
        let book = Arc::clone(book);
        let sources = Arc::new(move || -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
            let known = book.lock().unwrap().clone();
            Box::pin(async move { known.into_iter().filter(|other| *other != address).collect() })
        });
        let (blobs, thread) = Blobs::start(BlobsConfig { store, dialer, streams, sources }).unwrap();
        Self { address, blobs, thread, accepting }
    }

    /// As [`Self::start`], and the others know it.
    pub async fn join(dir: &Path, book: &Book) -> Self {
        let node = Self::start(dir, book).await;
        book.lock().unwrap().push(node.address);
        node
    }

    pub async fn get(&self, blob: BlobRef) {
        self.blobs.want(blob, blob.bytes).unwrap();
        tokio::time::timeout(LONG, self.blobs.wait_for(blob.id)).await.expect("it never came").unwrap();
    }

    pub fn content(&self, id: Hash) -> Vec<u8> {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut self.blobs.store().read(id).unwrap(), &mut content).unwrap();
        content
    }

    /// It is gone at once, whatever it was doing.
    pub async fn kill(self) {
        self.accepting.abort();
        self.accepting.await.ok();
        drop(self.blobs);
        tokio::task::spawn_blocking(|| self.thread.stop()).await.unwrap();
    }
}

/// Content of which no two chunks are alike.
pub fn content(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    content
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("it never came to pass that {what}"));
}
