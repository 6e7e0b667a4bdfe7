//! Taking the port, and saying who has it.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use super::counters::Counters;
use super::gate::Gate;
use super::tcp::Dialer;
use super::udp::Datagrams;

/// Connections that wait to be accepted: as many as the kernel will hold by default. A join storm arrives at once.
const BACKLOG: u32 = 1024;

/// The sockets of a node.
#[derive(Debug)]
pub struct Sockets {
    /// Datagrams.
    pub datagrams: Datagrams,
    /// Inbound streams.
    pub listener: TcpListener,
    /// Outbound streams.
    pub dialer: Dialer,
    /// What goes through all of them.
    pub counters: Arc<Counters>,
    /// What all of them go by.
    pub gate: Arc<Gate>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Gossip.
    Udp,
    /// Sync.
    Tcp,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// The port could not be taken. Nothing is bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has it.
    #[error(
        "cannot listen on {address} ({transport}): the port is in use{}; stop that, or choose another address",
        holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// For what.
        transport: Transport,
        /// The process that has it, where that can be seen.
        holder: Option<String>,
    },
    /// It is not an address of this machine, or the system does not allow it.
    #[error("cannot listen on {address} ({transport})")]
    Io {
        /// The address.
        address: SocketAddr,
        /// For what.
        transport: Transport,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Binds both sockets; what goes through them goes by this gate. Must be called within the tokio runtime that will use them.
///
/// # Errors
/// One of them cannot be bound.
pub fn bind(address: SocketAddr, gate: &Arc<Gate>) -> Result<Sockets, BindError> {
    let failed = |transport| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address, transport, holder: holder(address, transport) },
            _ => BindError::Io { address, transport, source },
        }
    };
    let listener = listen(address).map_err(failed(Transport::Tcp))?;
    let socket = datagrams(address).map_err(failed(Transport::Udp))?;
    let counters = Arc::new(Counters::default());
    let source = Some(address.ip()).filter(|ip| !ip.is_unspecified());
    Ok(Sockets {
        datagrams: Datagrams::new(socket, Arc::clone(&counters), Arc::clone(gate)),
        listener,
        dialer: Dialer::new(source, Arc::clone(gate), Arc::clone(&counters)),
        counters,
        gate: Arc::clone(gate),
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port whose last connections are still in TIME_WAIT can be taken: a restarted supervisor need not wait.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// The process that has a port, as `redis-server (pid 12)`. Best effort: none where the system does not let us see.
#[must_use]
pub fn holder(address: SocketAddr, transport: Transport) -> Option<String> {
    let tables = match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let inode = tables.iter().find_map(|table| inode(&fs::read_to_string(table).ok()?, address))?;
    let link = format!("socket:[{inode}]");
    let names = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.file_name());
    let mut pids = names.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok();
        descriptors.is_some_and(|mut fds| {
            fds.any(|fd| fd.is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link.as_str())))
        })
    })?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim_end()))
}

/// The inode of the socket that listens on a port, in one of the kernel's tables (proc_net(5)).
fn inode(table: &str, address: SocketAddr) -> Option<String> {
    const LISTEN: &str = "0A";
    const UNCONNECTED: &str = "07";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (ip, port) = local.split_once(':')?;
        let same_port = u16::from_str_radix(port, 16).is_ok_and(|port| port == address.port());
        let anywhere = address.ip().is_unspecified() || ip.bytes().all(|digit| digit == b'0');
        let same_ip = anywhere || ip == kernel_form(address.ip());
        (same_port && same_ip && [LISTEN, UNCONNECTED].contains(state)).then(|| (*inode).to_owned())
    })
}

/// An address as the kernel's tables have it: hex, each 32 bits in the machine's byte order.
fn kernel_form(ip: IpAddr) -> String {
    let bytes = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, UdpSocket};

    use super::{BindError, Transport, holder};
    use crate::net::testing::gate;
    use crate::net::{KeySet, Sockets};

    fn bind(address: SocketAddr) -> Result<Sockets, BindError> {
        super::bind(address, &gate("a", KeySet::clear()).into())
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_process_that_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, BindError::InUse { transport: Transport::Tcp, .. }), "{text}");
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn the_holder_of_a_udp_port_is_found_on_any_address() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let shown = holder(SocketAddr::from(([0, 0, 0, 0], port)), Transport::Udp).unwrap();
        assert!(shown.contains(&std::process::id().to_string()), "{shown}");
        assert_eq!(holder(SocketAddr::from(([127, 9, 9, 9], port)), Transport::Udp), None);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_not_called_in_use() {
        let error = bind("203.0.113.1:9638".parse().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::Io { .. }), "{error}");
    }
}
