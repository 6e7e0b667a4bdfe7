use std::time::Instant;

use super::node::{Book, Node, content};
use crate::blob::CHUNK_BYTES;

/// So many chunks, the last of them short.
const BYTES: usize = 32 * CHUNK_BYTES - 7;

#[tokio::test]
async fn ten_nodes_that_fetch_at_once_cost_the_origin_less_than_two_copies() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::default();
    let origin = Node::join(&dir.path().join("origin"), &book).await;
    let content = content(BYTES);
    let blob = origin.blobs.store().put(&content[..], u64::MAX).unwrap();
    let mut nodes = Vec::new();
    for n in 0..10 {
        nodes.push(Node::join(&dir.path().join(n.to_string()), &book).await);
    }
    let begun = Instant::now();
    nodes.iter().for_each(|node| node.blobs.want(blob, blob.bytes).unwrap());
    for node in &nodes {
        node.get(blob).await;
    }
    let sent = origin.blobs.traffic().sent_bytes;
    println!("{:?}, the origin sent {:.2} copies", begun.elapsed(), sent as f64 / blob.bytes as f64);
    for node in &nodes {
        println!("{:?}", node.blobs.traffic());
        assert_eq!(node.content(blob.id), content);
    }
    assert!(sent < 2 * blob.bytes, "{sent} of {}", blob.bytes);
}
