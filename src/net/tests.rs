use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::envelope::seal_datagram;
use super::testing::{gate, gate_of};
use super::{
    Counters, Drained, Dropped, Gate, KeySet, KeyStreamError, Receivers, RingKey, STREAMS_PER_PEER_MAX, Side, Sockets,
    StreamSeal, Trouble, Versions, accept, bind,
};
use crate::base::limits::DATAGRAM_PAYLOAD_BYTES;
use crate::ring::{ProbeOutcome, StreamError};

fn key(n: u8) -> RingKey {
    RingKey::from_bytes([n; 32])
}

fn clear() -> Arc<Gate> {
    Arc::new(gate("a", KeySet::clear()))
}

fn sealed(n: u8) -> Arc<Gate> {
    Arc::new(gate("a", KeySet::sealed(key(n))))
}

/// Sockets on a port that is free in both worlds.
fn sockets(gate: &Arc<Gate>) -> (Sockets, SocketAddr) {
    for _ in 0..100 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if let Ok(sockets) = bind(free, gate) {
            return (sockets, free);
        }
    }
    panic!("no free port");
}

/// Answers each request with itself, reversed; one about keys, which must come sealed, as it is.
fn mirror(sockets: Sockets) -> (Arc<Counters>, super::Dialer) {
    let (requests, mut incoming) = mpsc::channel(8);
    let (keys, mut about_keys) = mpsc::channel(8);
    let (blobs, _nobody) = mpsc::channel(1);
    let receivers = Receivers { requests, blobs, keys };
    tokio::spawn(accept(sockets.listener, receivers, sockets.gate, Arc::clone(&sockets.counters)));
    tokio::spawn(async move {
        while let Some(inbound) = incoming.recv().await {
            let inbound: super::Inbound = inbound;
            let mut bytes = inbound.request.to_vec();
            bytes.reverse();
            inbound.reply.send(bytes.into()).ok();
        }
    });
    tokio::spawn(async move {
        while let Some(inbound) = about_keys.recv().await {
            let inbound: super::Inbound = inbound;
            assert_ne!(inbound.seal, StreamSeal::Clear);
            inbound.reply.send(inbound.request).ok();
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

fn drops(counters: &Counters) -> Vec<(Dropped, u64)> {
    let count = |why| (why, counters.dropped_for(why));
    Dropped::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn a_request_gets_its_response_from_the_own_address_in_clear_text_and_sealed() {
    for gate in [clear(), sealed(1)] {
        let (sockets, address) = sockets(&gate);
        let (counters, dialer) = mirror(sockets);
        assert_eq!(dialer.request(address, b"abc").await, Ok(Bytes::from_static(b"cba")));
        let seen = counters.snapshot();
        // One process is both sides here, so each payload is counted in and out.
        assert_eq!((seen.streams_in, seen.streams_out, seen.stream_bytes_in, seen.stream_bytes_out), (1, 1, 6, 6));
    }
}

#[tokio::test]
async fn a_node_without_the_key_gets_no_response_and_both_sides_know_why() {
    let ring = sealed(1);
    let (sockets_there, there) = sockets(&ring);
    let (counters, _) = mirror(sockets_there);
    for (stranger, trouble) in [(clear(), Trouble::Clear), (sealed(2), Trouble::Key(key(2).id()))] {
        let (sockets_here, here) = sockets(&stranger);
        assert_eq!(sockets_here.dialer.request(there, b"abc").await, Err(StreamError::Other));
        assert!(stranger.strangers().iter().any(|met| (met.side, &met.trouble) == (Side::There, &trouble)));
        let met =
            |met: &super::Stranger| (met.side, &met.trouble, met.address.ip()) == (Side::Here, &trouble, here.ip());
        until(|| ring.strangers().iter().any(met)).await;
    }
    assert_eq!(drops(&counters), [(Dropped::Clear, 1), (Dropped::Key, 1)]);
    assert_eq!(counters.snapshot().streams_in, 0);
}

#[tokio::test]
async fn keys_are_only_talked_about_with_who_has_the_one_that_is_named() {
    let ring = Arc::new(gate("a", KeySet::clear().with(key(1)).unwrap()));
    let (sockets, address) = sockets(&ring);
    let (_, dialer) = mirror(sockets);
    // Also in a ring that talks in clear text otherwise.
    assert_eq!(dialer.ask_keys(address, key(1).id(), b"?").await.unwrap(), Bytes::from_static(b"?"));
    assert!(matches!(dialer.ask_keys(address, key(2).id(), b"?").await, Err(KeyStreamError::Refused(_))));
}

#[tokio::test]
async fn a_probe_tells_an_open_port_from_a_closed_one() {
    let (sockets, address) = sockets(&sealed(1));
    let (counters, dialer) = mirror(sockets);
    let limit = Duration::from_secs(5);
    assert_eq!(dialer.probe(address, limit).await, ProbeOutcome::Answered);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(dialer.probe(closed, limit).await, ProbeOutcome::Refused);
    assert_eq!(dialer.request(closed, b"x").await, Err(StreamError::Refused));
    // A probe is no broken stream to the one that is probed. The request behind it shows that it was dealt with.
    assert!(dialer.request(address, b"x").await.is_ok());
    assert_eq!(drops(&counters), []);
}

#[tokio::test]
async fn garbage_on_a_stream_is_counted_and_the_next_stream_is_served() {
    let (sockets, address) = sockets(&clear());
    let (counters, dialer) = mirror(sockets);
    let (accepted, frame) = ([1, 1, 0, 0, 1, b'a'], [0xff; 4]);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[1, 1, 9, 0, 0],
        &[9, 9, 0, 0, 0],
        &[1, 1, 0, 0, 1, b'b'],
        &[1, 1, 0, 0, 1, b'?'],
        &[&accepted[..], &frame].concat(),
        &[&accepted[..], &[0, 0, 0, 1, 99]].concat(),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        // It is closed or reset, with a greeting or a verdict at most.
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert!(answer.len() <= 7, "{answer:?}");
    }
    let expected = [
        (Dropped::Version, 1),
        (Dropped::Unknown, 2),
        (Dropped::Ring, 1),
        (Dropped::TooLarge, 2),
        (Dropped::Malformed, 1),
    ];
    until(|| drops(&counters) == expected).await;
    assert_eq!(dialer.request(address, b"ok").await, Ok(Bytes::from_static(b"ko")));
}

#[tokio::test]
async fn one_peer_has_its_number_of_streams_and_not_one_more() {
    let (sockets, address) = sockets(&clear());
    let (counters, dialer) = mirror(sockets);
    let mut idle = Vec::new();
    for _ in 0..STREAMS_PER_PEER_MAX {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(dialer.request(address, b"x").await.map_err(|_| ()), Err(()));
    assert_eq!(counters.dropped_for(Dropped::Busy), 1);
    idle.pop();
    // Its place is free once the server has seen the end.
    tokio::time::timeout(Duration::from_secs(10), async { while dialer.request(address, b"x").await.is_err() {} })
        .await
        .unwrap();
}

/// What is heard of these datagrams until `last` is.
async fn heard(sockets: &mut Sockets, address: SocketAddr, datagrams: &[Vec<u8>], last: &[u8]) -> Vec<Bytes> {
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in datagrams {
        peer.send_to(datagram, address).await.unwrap();
    }
    let mut heard: Vec<Bytes> = Vec::new();
    while heard.last().is_none_or(|heard| heard != last) {
        sockets.datagrams.readable().await.unwrap();
        let _drained: Drained = sockets.datagrams.drain(2, |_, payload| heard.push(payload));
    }
    heard
}

#[tokio::test]
async fn garbage_and_oversized_datagrams_are_counted_and_the_next_one_is_heard() {
    let ours = clear();
    let (mut sockets, address) = sockets(&ours);
    let said = |payload: &[u8]| seal_datagram(&ours, 1, payload).unwrap();
    let oversized = [said(&[7; DATAGRAM_PAYLOAD_BYTES]), vec![7]].concat();
    let large = [said(&[]), vec![7; 9000]].concat();
    let datagrams = [b"x".to_vec(), vec![7; 100], oversized, large, said(&[42])];
    assert_eq!(heard(&mut sockets, address, &datagrams, &[42]).await, [Bytes::from_static(&[42])]);
    assert_eq!(drops(&sockets.counters), [(Dropped::Version, 1), (Dropped::TooLarge, 2), (Dropped::Malformed, 1)]);
}

#[tokio::test]
async fn a_recorded_datagram_is_not_heard_again_nor_one_that_is_not_sealed_for_this_ring() {
    let ring = sealed(1);
    let (mut sockets, address) = sockets(&ring);
    let said = |gate: &Gate, payload: &[u8]| seal_datagram(gate, 1, payload).unwrap();
    let first = said(&ring, b"first");
    let mut forged = said(&ring, b"forged");
    *forged.last_mut().unwrap() ^= 1;
    let other_ring = said(&gate("b", KeySet::sealed(key(1))), b"other");
    let foreign = [said(&clear(), b"clear"), said(&sealed(2), b"key"), other_ring, forged];
    let datagrams = [&[first.clone(), first][..], &foreign, &[said(&ring, b"last")]].concat();
    assert_eq!(heard(&mut sockets, address, &datagrams, b"last").await, ["first", "last"]);
    let expected = [Dropped::Ring, Dropped::Clear, Dropped::Key, Dropped::Forged, Dropped::Replayed];
    assert_eq!(drops(&sockets.counters), expected.map(|why| (why, 1)));
}

/// The versions in the first datagram that is sent to `peer` from now on.
async fn sent_versions(sockets: &Sockets, peer: &UdpSocket) -> [u8; 2] {
    let mut datagram = [0; 100];
    while peer.try_recv(&mut datagram).is_ok() {}
    loop {
        // The very first is lost if the system has not said yet that the socket can be written.
        sockets.datagrams.send(peer.local_addr().unwrap(), b"x");
        if tokio::time::timeout(Duration::from_millis(50), peer.recv(&mut datagram)).await.is_ok() {
            return [datagram[0], datagram[1]];
        }
    }
}

#[tokio::test]
async fn a_newer_node_begins_with_the_oldest_version_and_goes_on_with_the_newest_that_both_speak() {
    for (theirs, then) in [(1, 1), (2, 2), (3, 2)] {
        let (mut sockets, address) = sockets(&Arc::new(gate_of("a", Versions { min: 1, max: 2 }, KeySet::clear())));
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(sent_versions(&sockets, &peer).await, [1, 2]);
        // What the other speaks, too, is in each datagram of it.
        peer.send_to(&[1, theirs, 0, 1, b'a', 1], address).await.unwrap();
        let mut heard = 0;
        while heard == 0 {
            sockets.datagrams.readable().await.unwrap();
            let _drained: Drained = sockets.datagrams.drain(1, |_, _| heard += 1);
        }
        assert_eq!(sent_versions(&sockets, &peer).await, [then, 2]);
    }
}

#[tokio::test]
async fn a_turn_takes_at_most_its_number_of_datagrams() {
    let ours = clear();
    let (mut sockets, address) = sockets(&ours);
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..3 {
        peer.send_to(&seal_datagram(&ours, 1, &[1]).unwrap(), address).await.unwrap();
    }
    sockets.datagrams.readable().await.unwrap();
    let mut heard = 0;
    assert_eq!(sockets.datagrams.drain(2, |_, _| heard += 1), Drained::More);
    assert_eq!(heard, 2);
    assert_eq!(sockets.datagrams.drain(2, |_, _| heard += 1), Drained::Empty);
    assert_eq!(heard, 3);
}
