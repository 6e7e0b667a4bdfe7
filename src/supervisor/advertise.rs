//! The address that others are told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use tracing::warn;

use super::settings::{Advertise, Peer, Settings};

/// How long the first peer's name may take to resolve at start. It is only a hint; joining looks it up again.
const LOOKUP: Duration = Duration::from_secs(2);

/// Finds the address that others are told. May look a name up, and so takes its time.
pub(super) fn find(settings: &Settings) -> SocketAddr {
    let listen = settings.listen_gossip;
    let ip = match settings.advertise {
        Advertise::Address(address) => return address,
        Advertise::Ip(ip) => ip,
        Advertise::Auto if !listen.ip().is_unspecified() => listen.ip(),
        Advertise::Auto => {
            let first_peer = settings.peers.first().and_then(|peer| lookup(peer.clone(), listen.is_ipv4()));
            first_peer.and_then(towards).or_else(|| first_beyond_loopback(listen.is_ipv4())).unwrap_or_else(|| {
                warn!("no address but loopback was found: nodes of other machines cannot reach this one (--advertise)");
                loopback(listen.is_ipv4())
            })
        }
    };
    SocketAddr::new(ip, listen.port())
}

fn loopback(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

/// The peer's address, if it is known in time. The resolver cannot be interrupted, so it has a thread to itself.
fn lookup(peer: Peer, v4: bool) -> Option<SocketAddr> {
    let (found, answer) = mpsc::sync_channel(1);
    let resolver = move || {
        let addresses = (peer.host.as_str(), peer.port).to_socket_addrs();
        let address = addresses.ok().and_then(|mut addresses| addresses.find(|address| address.is_ipv4() == v4));
        // Too late: nobody waits any more.
        found.send(address).ok();
    };
    thread::Builder::new().name("lookup".to_owned()).spawn(resolver).ok()?;
    answer.recv_timeout(LOOKUP).ok().flatten()
}

/// The own address on the way to `peer`. Connecting a UDP socket sends nothing; it only asks for the route.
fn towards(peer: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// The first address of an interface that is up, by the kernel's order.
fn first_beyond_loopback(v4: bool) -> Option<IpAddr> {
    getifaddrs().ok()?.find_map(|interface| {
        let usable =
            interface.flags.contains(InterfaceFlags::IFF_UP) && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let address = interface.address.filter(|_| usable)?;
        if v4 {
            address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()))
        } else {
            // A link-local address means nothing without its link.
            let ip = address.as_sockaddr_in6()?.ip();
            (!ip.is_unicast_link_local()).then_some(IpAddr::V6(ip))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{first_beyond_loopback, lookup, towards};

    #[test]
    fn the_way_to_a_loopback_peer_is_loopback() {
        let ip = towards("127.0.0.9:9638".parse().unwrap()).unwrap();
        assert!(ip.is_loopback());
    }

    #[test]
    fn an_address_of_the_other_kind_is_no_hint() {
        assert_eq!(lookup("127.0.0.1:1".parse().unwrap(), false), None);
        assert!(lookup("127.0.0.1:1".parse().unwrap(), true).is_some());
    }

    #[test]
    fn loopback_is_not_found_beyond_loopback() {
        assert!(first_beyond_loopback(true).is_none_or(|ip| ip.is_ipv4() && !ip.is_loopback()));
    }
}
