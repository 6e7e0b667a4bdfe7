//! The demo service's config file.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Largest config file, in bytes.
const CONFIG_BYTES: u64 = 64 * 1024;

/// What the demo service makes use of. Whatever else is in the file is shown at `/config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// Which version of the plan it is.
    #[serde(default)]
    pub version: String,
    /// Where to listen. Only the values of the start count.
    pub ip: IpAddr,
    /// See `ip`.
    pub port: u16,
    /// What the node is in its group.
    #[serde(default)]
    pub role: Role,
    /// The leader's term.
    #[serde(default)]
    pub term: u64,
    /// Any text.
    #[serde(default)]
    pub message: String,
    /// Whether the health check fails.
    #[serde(default)]
    pub fail_health: bool,
}

/// What a node is in its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It leads.
    Leader,
    /// Another node leads.
    Follower,
    /// Nobody leads.
    #[default]
    Standalone,
}

/// A config file, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What is made use of.
    pub config: Config,
    /// All of it.
    pub all: toml::Table,
}

impl Loaded {
    /// Reads the file. The error names it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let error = |why: &dyn std::fmt::Display| format!("config {}: {why}", path.display());
        let size = std::fs::metadata(path).map_err(|source| error(&source))?.len();
        if size > CONFIG_BYTES {
            return Err(error(&format_args!("{size} bytes are too many: at most {CONFIG_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(|source| error(&source))?;
        Self::parse(&text).map_err(|source| error(&source))
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { config: toml::from_str(text)?, all: toml::from_str(text)? })
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.config.ip, self.config.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_not_made_use_of_are_kept_for_show() {
        let loaded = Loaded::parse("node = 'a'\nip = '127.0.0.2'\nport = 1\nrole = 'leader'\n[extra]\nx = 1").unwrap();
        assert_eq!(loaded.config.role, Role::Leader);
        assert_eq!(loaded.address(), "127.0.0.2:1".parse().unwrap());
        assert_eq!(loaded.all["extra"]["x"].as_integer(), Some(1));
    }

    #[test]
    fn an_error_names_the_file_and_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo.toml");
        std::fs::write(&path, "node = 'a'\nip = '127.0.0.2'\nport = 70000\n").unwrap();
        let error = Loaded::read(&path).unwrap_err();
        assert!(error.contains("demo.toml") && error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_file_is_read_at_the_limit_and_refused_one_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo.toml");
        let mut text = "node = 'a'\nip = '127.0.0.2'\nport = 1\n".to_owned();
        text.extend(std::iter::repeat_n('\n', 64 * 1024 - text.len()));
        std::fs::write(&path, &text).unwrap();
        assert!(Loaded::read(&path).is_ok());
        std::fs::write(&path, text + "\n").unwrap();
        assert!(Loaded::read(&path).unwrap_err().contains("too many"));
    }
}
