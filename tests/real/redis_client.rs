//! Just enough of a redis client: one command on one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A connection.
pub struct Redis {
    stream: BufReader<TcpStream>,
}

impl Redis {
    /// Connects to the redis of a node.
    pub fn connect(ip: Ipv4Addr) -> Option<Self> {
        Self::connect_to(SocketAddr::from((ip, 6379)))
    }

    pub fn connect_to(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        Some(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and returns its answer; none if the connection breaks. Errors begin with `-`.
    pub fn ask(&mut self, command: &str) -> Option<String> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).ok()?;
        self.answer()
    }

    fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        match line.split_at_checked(1)? {
            ("$", "-1") => Some(String::new()),
            ("$", length) => {
                let mut bytes = vec![0; length.parse::<usize>().ok()? + 2];
                self.stream.read_exact(&mut bytes).ok()?;
                bytes.truncate(bytes.len() - 2);
                String::from_utf8(bytes).ok()
            }
            ("*", count) => {
                let parts: Option<Vec<String>> = (0..count.parse::<usize>().ok()?).map(|_| self.answer()).collect();
                Some(parts?.join(" "))
            }
            ("+" | ":", rest) => Some(rest.to_owned()),
            _ => Some(line.to_owned()),
        }
    }
}

/// Asks the redis of a node one thing.
pub fn ask(ip: Ipv4Addr, command: &str) -> Option<String> {
    Redis::connect(ip)?.ask(command)
}

/// What a redis says of its replication.
pub fn replication(ip: Ipv4Addr, field: &str) -> Option<String> {
    let info = ask(ip, "INFO replication")?;
    info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(|value| value.trim().to_owned()))
}
