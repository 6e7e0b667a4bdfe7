//! How long a blob takes to one node and to ten at once, over loopback, and what it costs the node that had it:
//! `scripts/bench blob`.
//!
//! All nodes are of this process, each with its own thread, port and directory. On a machine with fewer cores than
//! nodes it is the processor that bounds it: each copy is read, sent, received, hashed and written once.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use sup::blob::{BlobStore, BlobThread, Blobs, BlobsConfig};
use sup::net::{Counters, Dialer, Gate, KeySet, Receivers, Versions, accept};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const BYTES: usize = 50 * 1024 * 1024;
const NODES: usize = 10;

/// Measures blobs.
#[derive(Parser)]
struct Args {
    /// Rounds
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Only measurements whose name contains this
    #[arg(default_value = "")]
    only: String,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

type Book = Arc<Mutex<Vec<SocketAddr>>>;

struct Node {
    blobs: Blobs,
    _thread: BlobThread,
}

impl Node {
    async fn join(dir: &Path, book: &Book) -> Self {
        let store = Arc::new(BlobStore::open(dir).expect("a store"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        book.lock().expect("no panic").push(address);
        let counters = Arc::new(Counters::default());
        let ring = "bench".parse().expect("a name");
        let gate = Arc::new(Gate::new(ring, Versions::default(), KeySet::clear()).expect("randomness"));
        let dialer = Dialer::new(None, Arc::clone(&gate), Arc::clone(&counters));
        let (requests, mut nobody) = mpsc::channel(1);
        let (blobs, streams) = mpsc::channel(32);
        let receivers = Receivers { keys: requests.clone(), requests, blobs };
        tokio::spawn(async move {
            tokio::select! {
                () = accept(listener, receivers, gate, counters) => {}
                _ = nobody.recv() => {}
            }
        });
        let book = Arc::clone(book);
        let sources = Arc::new(move || -> Pin<Box<dyn Future<Output = _> + Send>> {
            let known = book.lock().expect("no panic").clone();
            Box::pin(async move { known.into_iter().filter(|other| *other != address).collect() })
        });
        let config = BlobsConfig { store, dialer, streams, sources };
        let (blobs, thread) = Blobs::start(config).expect("a thread");
        Self { blobs, _thread: thread }
    }
}

fn main() {
    let args = Args::parse();
    if !"blob".contains(&args.only) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut content = vec![0; BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    let begun = Instant::now();
    let hash = blake3::hash(&content);
    println!("hashing 50 MiB takes {:.0} ms ({})", ms(begun.elapsed()), &hash.to_hex()[..8]);
    let (mut one, mut ten, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        one.push(runtime.block_on(round(&content, 1)).0);
        let (took, cost) = runtime.block_on(round(&content, NODES));
        ten.push(took);
        copies.push(cost);
    }
    let (one, ten) = (report("to one node", one), report("to ten nodes at once", ten));
    copies.sort_by(f64::total_cmp);
    println!("ten take {:.2} times as long as one (medians)", ten / one);
    println!("the origin sent at most {:.2} copies", copies.last().copied().unwrap_or_default());
}

/// Has so many nodes fetch it at once: how long until all have it, and how many copies the origin sent.
async fn round(content: &[u8], nodes: usize) -> (Duration, f64) {
    let dir = tempfile::tempdir().expect("a directory");
    let book = Book::default();
    let origin = Node::join(&dir.path().join("origin"), &book).await;
    let blob = origin.blobs.store().put(content, u64::MAX).expect("it is stored");
    let mut fetchers = Vec::new();
    for number in 0..nodes {
        fetchers.push(Node::join(&dir.path().join(number.to_string()), &book).await);
    }
    let begun = Instant::now();
    for node in &fetchers {
        node.blobs.want(blob, blob.bytes).expect("it is within the limit");
    }
    for node in &fetchers {
        node.blobs.wait_for(blob.id).await.expect("it is wanted");
    }
    let took = begun.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    let copies = origin.blobs.traffic().sent_bytes as f64 / blob.bytes as f64;
    (took, copies)
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn report(what: &str, mut values: Vec<Duration>) -> f64 {
    values.sort();
    let median = values.get(values.len() / 2).copied().map(ms).unwrap_or_default();
    let all: Vec<String> = values.iter().map(|value| format!("{:.0}", ms(*value))).collect();
    println!("50 MiB {what}: median {median:.0} ms (all: {})", all.join(" "));
    median
}
