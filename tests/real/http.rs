//! Just enough of an HTTP client: one request on one connection.

use std::io::{Error, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to accept, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was answered.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Its headers, as they came.
    pub head: String,
    pub body: String,
}

impl Response {
    /// The body, which is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether a header has this value.
    pub fn has(&self, header: &str, value: &str) -> bool {
        let wanted = format!("{header}: {value}");
        self.head.lines().any(|line| line.eq_ignore_ascii_case(&wanted))
    }
}

/// `GET`s a path of a server.
pub fn get(server: (Ipv4Addr, u16), path: &str) -> Result<Response> {
    request(server, "GET", path, "")
}

/// `POST`s nothing to a path of a server.
pub fn post(server: (Ipv4Addr, u16), path: &str) -> Result<Response> {
    request(server, "POST", path, "")
}

/// Sends a request and reads the answer to its end.
pub fn request(server: (Ipv4Addr, u16), method: &str, path: &str, body: &str) -> Result<Response> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(server), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let malformed = || Error::other(format!("no HTTP: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    Ok(Response { status, head: head.to_owned(), body: body.to_owned() })
}
