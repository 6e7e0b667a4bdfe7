//! The values of single settings, read from their text.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Port of gossip and sync when none is named.
pub const GOSSIP_PORT: u16 = 9638;
/// Port of the HTTP interface when none is named.
pub const HTTP_PORT: u16 = 9631;
/// Longest name of a peer, in characters: the longest of DNS, and a port.
const PEER_CHARS: usize = 253 + 6;

/// A node to join, `HOST` or `HOST:PORT`: looked up whenever it is needed, since what it resolves to may change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// A host name, or an address.
    pub host: String,
    /// The port of gossip and sync.
    pub port: u16,
}

/// A text is not a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a peer is HOST or HOST:PORT (an IPv6 address with a port as [::1]:9638), not {0:?}")]
pub struct PeerError(String);

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PeerError(text.chars().take(80).collect());
        if text.len() > PEER_CHARS {
            return Err(error());
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self { host: ip.to_string(), port: GOSSIP_PORT });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?),
            None => (text, GOSSIP_PORT),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(error());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The address that is told to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advertise {
    /// Found out at start: the address listened on if it is a specific one, else the one on the route to the first
    /// peer, else the first that is not loopback.
    Auto,
    /// This one, with the port that is listened on.
    Ip(IpAddr),
    /// This one.
    Address(SocketAddr),
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let specific = |ip: IpAddr| {
            if ip.is_unspecified() {
                Err("nobody can reach an unspecified address; name one".to_owned())
            } else {
                Ok(())
            }
        };
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return specific(ip).map(|()| Self::Ip(ip));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => specific(address.ip()).map(|()| Self::Address(address)),
            Err(_) => Err("expected an IP address, IP:PORT, or auto".to_owned()),
        }
    }
}

/// Where HTTP is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenHttp {
    /// Nowhere.
    Off,
    /// Here.
    On(SocketAddr),
}

/// Whether what arrives in clear text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Once a key is in use: on all nodes, where a ring gets its first one.
    Auto,
    /// In any case; a supervisor without a key does not start.
    Required,
    /// Never: for a ring that is on its way to its first key, or away from its last one.
    Optional,
}

impl FromStr for Encryption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "true" => Ok(Self::Required),
            "false" => Ok(Self::Optional),
            _ => Err("expected true, false or auto".to_owned()),
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json".to_owned()),
        }
    }
}

/// Reads an address to listen on; a bare IP address gets the default port.
pub(super) fn listen_address(text: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => Err("a port of 0 means any port, which nobody could be told".to_owned()),
        Ok(address) => Ok(address),
        Err(_) => Err(format!("expected IP:PORT, such as 127.0.0.1:{port}")),
    }
}

/// Reads a length of time: a whole number with `ms`, `s`, `m` or `h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number with ms, s, m or h, such as 10s".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(|| "longer than any machine runs".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Advertise, GOSSIP_PORT, Peer, duration, listen_address};

    #[test]
    fn a_peer_without_a_port_has_the_default_one() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1:9638"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("redis-0.redis", "redis-0.redis:9638"),
            ("host:70", "host:70"),
            ("::1", "[::1]:9638"),
            ("[::1]", "[::1]:9638"),
            ("[::1]:70", "[::1]:70"),
        ] {
            assert_eq!(text.parse::<Peer>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        let long = "a".repeat(300);
        for text in ["", ":1", "host:", "host:0", "host:65536", "a b", "http://host", "host:1:2", long.as_str()] {
            assert!(text.parse::<Peer>().is_err(), "{text:?} was taken for a peer");
        }
    }

    #[test]
    fn an_address_that_nobody_can_reach_is_not_advertised() {
        assert!("0.0.0.0".parse::<Advertise>().is_err());
        assert!("[::]:1".parse::<Advertise>().is_err());
        assert!("auto".parse::<Advertise>() == Ok(Advertise::Auto));
    }

    #[test]
    fn a_listen_address_needs_no_port_but_not_any_port() {
        assert_eq!(listen_address("127.0.0.2", GOSSIP_PORT).unwrap().to_string(), "127.0.0.2:9638");
        assert!(listen_address("127.0.0.2:0", GOSSIP_PORT).is_err());
        assert!(listen_address("localhost:1", GOSSIP_PORT).is_err());
    }

    #[test]
    fn a_length_of_time_has_a_unit() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "10", "s", "-1s", "1.5s", "1d", "99999999999999999999s", "9999999999999999999h"] {
            assert!(duration(text).is_err(), "{text:?} was taken for a length of time");
        }
    }
}
