//! Where a supervisor is asked, as a person names it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use axum::http::Uri;

use crate::api::tls::ClientTls;

/// The port of a supervisor's HTTP, unless another one is named.
const HTTP_PORT: u16 = 9631;

/// Where a supervisor is asked.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// Its local socket.
    Unix(PathBuf),
    /// Its HTTP address, in clear text.
    Http(Server),
    /// Its HTTP address, by TLS.
    Https(Server, ClientTls),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Http(server) => write!(f, "http://{}", server.authority()),
            Self::Https(server, _) => write!(f, "https://{}", server.authority()),
        }
    }
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Server {
    /// As it stands in an address.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// By TLS.
    Https,
}

/// What a person names a supervisor by: `https://db1:9631`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Where it is.
    pub server: Server,
}

/// A text is not the address of a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST[:PORT] or https://HOST[:PORT]")]
pub struct ServerUrlError;

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Uri = text.parse().map_err(|_| ServerUrlError)?;
        let scheme = match url.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) | None => return Err(ServerUrlError),
        };
        let authority = url.authority().ok_or(ServerUrlError)?;
        // A user and a password would be lost, and a path would be another one.
        if authority.as_str().contains('@') || url.path() != "/" || url.query().is_some() {
            return Err(ServerUrlError);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port.parse().map_err(|_| ServerUrlError)?,
            Some(_) | None => HTTP_PORT,
        };
        if host.is_empty() || port == 0 {
            return Err(ServerUrlError);
        }
        Ok(Self { scheme, server: Server { host, port } })
    }
}

#[cfg(test)]
mod tests {
    use super::{Scheme, ServerUrl};

    #[test]
    fn a_server_is_named_by_scheme_host_and_port() {
        for (text, scheme, authority) in [
            ("http://db1", Scheme::Http, "db1:9631"),
            ("https://db1:80", Scheme::Https, "db1:80"),
            ("https://10.0.0.1/", Scheme::Https, "10.0.0.1:9631"),
            ("http://[fd00::1]", Scheme::Http, "[fd00::1]:9631"),
            ("https://[fd00::1]:443", Scheme::Https, "[fd00::1]:443"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!((url.scheme, url.server.authority().as_str()), (scheme, authority), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused() {
        for text in ["", "db1", "db1:80", "ftp://db1", "https://", "https://db1:x", "https://db1:0", "http://db1/v1"] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text:?} was taken");
        }
        assert!("https://user:secret@db1".parse::<ServerUrl>().is_err());
    }
}
