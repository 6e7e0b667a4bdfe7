//! Loopback addresses on which nothing listens yet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use crate::api::{Problem, ProblemKind};
use crate::supervisor::{GOSSIP_PORT, HTTP_PORT};

/// The networks that are tried, 127.0.N.x, each from .2 on: .1 is where everything else listens.
const NETWORKS: u8 = 10;
const FIRST_HOST: u8 = 2;

/// `count` addresses of one network on which all ports that a supervisor needs are free.
pub(super) fn free(count: u8) -> Result<Vec<IpAddr>, Problem> {
    let mut first = None;
    for network in 0..NETWORKS {
        let addresses: Vec<IpAddr> =
            (0..count).map(|host| IpAddr::V4(Ipv4Addr::new(127, 0, network, FIRST_HOST + host))).collect();
        match addresses.iter().try_for_each(|address| can_listen(*address)) {
            Ok(()) => return Ok(addresses),
            Err(problem) => first = first.or(Some(problem)),
        }
    }
    let (address, error) = first.unwrap_or_else(|| {
        (SocketAddr::from((Ipv4Addr::LOCALHOST, GOSSIP_PORT)), io::ErrorKind::AddrNotAvailable.into())
    });
    let detail = format!("no {count} loopback addresses are free: cannot listen on {address}: {error}");
    Err(Problem::new(ProblemKind::Internal, detail)
        .next(format!("see who listens there: ss -lntup 'sport = {}'", address.port())))
}

fn can_listen(ip: IpAddr) -> Result<(), (SocketAddr, io::Error)> {
    let gossip = SocketAddr::new(ip, GOSSIP_PORT);
    let http = SocketAddr::new(ip, HTTP_PORT);
    UdpSocket::bind(gossip).map_err(|error| (gossip, error))?;
    TcpListener::bind(gossip).map_err(|error| (gossip, error))?;
    TcpListener::bind(http).map_err(|error| (http, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::{GOSSIP_PORT, can_listen};

    #[test]
    fn an_address_on_which_somebody_listens_is_not_free() {
        // An address of its own, so that no other test and no ring of a person is in the way.
        let ip = "127.213.7.9".parse().unwrap();
        can_listen(ip).unwrap();
        let _taken = UdpSocket::bind((ip, GOSSIP_PORT)).unwrap();
        assert_eq!(can_listen(ip).unwrap_err().0.to_string(), "127.213.7.9:9638");
    }
}
