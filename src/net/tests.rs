use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::{Counters, Drained, Dropped, Receivers, STREAMS_PER_PEER_MAX, Sockets, accept, bind};
use crate::base::limits::DATAGRAM_PAYLOAD_BYTES;
use crate::ring::{ProbeOutcome, StreamError};

/// Sockets on a port that is free in both worlds.
fn sockets() -> (Sockets, SocketAddr) {
    for _ in 0..100 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if let Ok(sockets) = bind(free) {
            return (sockets, free);
        }
    }
    panic!("no free port");
}

/// Answers each request with itself, reversed.
fn mirror(sockets: Sockets) -> (Arc<Counters>, super::Dialer) {
    let (requests, mut incoming) = mpsc::channel(8);
    let (blobs, _nobody) = mpsc::channel(1);
    tokio::spawn(accept(sockets.listener, Receivers { requests, blobs }, Arc::clone(&sockets.counters)));
    tokio::spawn(async move {
        while let Some(inbound) = incoming.recv().await {
            let inbound: super::Inbound = inbound;
            let mut bytes = inbound.request.to_vec();
            bytes.reverse();
            inbound.reply.send(bytes.into()).ok();
        }
    });
    (sockets.counters, sockets.dialer)
}

async fn until(condition: impl Fn() -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the condition never came to hold");
}

#[tokio::test]
async fn a_request_gets_its_response_from_the_own_address() {
    let (sockets, address) = sockets();
    let (counters, dialer) = mirror(sockets);
    assert_eq!(dialer.request(address, b"abc").await, Ok(Bytes::from_static(b"cba")));
    let seen = counters.snapshot();
    // One process is both sides here, so each payload is counted in and out.
    assert_eq!((seen.streams_in, seen.streams_out, seen.stream_bytes_in, seen.stream_bytes_out), (1, 1, 6, 6));
}

#[tokio::test]
async fn a_probe_tells_an_open_port_from_a_closed_one() {
    let (sockets, address) = sockets();
    let (counters, dialer) = mirror(sockets);
    let limit = Duration::from_secs(5);
    assert_eq!(dialer.probe(address, limit).await, ProbeOutcome::Answered);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(dialer.probe(closed, limit).await, ProbeOutcome::Refused);
    assert_eq!(dialer.request(closed, b"x").await, Err(StreamError::Refused));
    // A probe is no broken stream to the one that is probed. The request behind it shows that it was dealt with.
    assert!(dialer.request(address, b"x").await.is_ok());
    assert_eq!(counters.snapshot().dropped, [0; 6]);
}

#[tokio::test]
async fn garbage_on_a_stream_is_counted_and_the_next_stream_is_served() {
    let (sockets, address) = sockets();
    let (counters, dialer) = mirror(sockets);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[1, 9, 0, 0, 0, 1, 0], &[1, 0, 0xff, 0xff, 0xff, 0xff]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        // It is closed or reset without an answer.
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert!(answer.is_empty(), "{answer:?}");
    }
    until(|| counters.snapshot().dropped == [1, 1, 1, 0, 0, 0]).await;
    assert_eq!(dialer.request(address, b"ok").await, Ok(Bytes::from_static(b"ko")));
}

#[tokio::test]
async fn one_peer_has_its_number_of_streams_and_not_one_more() {
    let (sockets, address) = sockets();
    let (counters, dialer) = mirror(sockets);
    let mut idle = Vec::new();
    for _ in 0..STREAMS_PER_PEER_MAX {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(dialer.request(address, b"x").await.map_err(|_| ()), Err(()));
    assert_eq!(counters.snapshot().dropped[4], 1, "{:?}", Dropped::ALL[4]);
    idle.pop();
    // Its place is free once the server has seen the end.
    tokio::time::timeout(Duration::from_secs(10), async { while dialer.request(address, b"x").await.is_err() {} })
        .await
        .unwrap();
}

#[tokio::test]
async fn garbage_and_oversized_datagrams_are_counted_and_the_next_one_is_heard() {
    let (mut sockets, address) = sockets();
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let oversized = [&[1, 0][..], &vec![7; DATAGRAM_PAYLOAD_BYTES + 1]].concat();
    let large = [&[1, 0][..], &vec![7; 9000]].concat();
    for datagram in [&b"x"[..], &[7; 100], &oversized, &large, &[1, 0, 42]] {
        peer.send_to(datagram, address).await.unwrap();
    }
    let mut heard = Vec::new();
    while heard.is_empty() {
        sockets.datagrams.readable().await.unwrap();
        let _drained: Drained = sockets.datagrams.drain(2, |from, payload| heard.push((from, payload)));
    }
    assert_eq!(heard, [(peer.local_addr().unwrap(), Bytes::from_static(&[42]))]);
    let seen = sockets.counters.snapshot();
    assert_eq!((seen.packets_in, seen.dropped), (5, [1, 0, 2, 1, 0, 0]));
}

#[tokio::test]
async fn a_turn_takes_at_most_its_number_of_datagrams() {
    let (mut sockets, address) = sockets();
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..3 {
        peer.send_to(&[1, 0, 1], address).await.unwrap();
    }
    sockets.datagrams.readable().await.unwrap();
    let mut heard = 0;
    assert_eq!(sockets.datagrams.drain(2, |_, _| heard += 1), Drained::More);
    assert_eq!(heard, 2);
    assert_eq!(sockets.datagrams.drain(2, |_, _| heard += 1), Drained::Empty);
    assert_eq!(heard, 3);
}
