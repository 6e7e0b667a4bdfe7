//! Tells systemd how it goes (sd_notify(3)), where it asked for it.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where systemd listens.
#[derive(Debug)]
pub(super) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As systemd said in the environment. Without systemd, or with nonsense in its place, nobody is told anything.
    pub(super) fn new(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let address = env("NOTIFY_SOCKET").and_then(|name| address(&name).ok());
        let socket = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let for_us = env("WATCHDOG_PID").is_none_or(|pid| pid.to_str() == Some(&std::process::id().to_string()));
        let period = env("WATCHDOG_USEC").and_then(|us| us.to_str()?.parse().ok()).filter(|us| *us > 0);
        Self { socket, watchdog: period.filter(|_| for_us).map(Duration::from_micros) }
    }

    /// How long systemd waits for a sign of life before it kills the supervisor; none: it does not.
    pub(super) const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Sends a state, such as `READY=1`. That systemd is gone is nothing that the supervisor could mend.
    pub(super) fn send(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            socket.send_to_addr(state.as_bytes(), address).ok();
        }
    }
}

/// A path, or with `@` before it a name in the abstract namespace.
fn address(name: &OsString) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::Notify;

    #[test]
    fn systemd_hears_what_is_sent_to_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let pid = std::process::id().to_string();
        let notify = Notify::new(|name| match name {
            "NOTIFY_SOCKET" => Some(path.clone().into_os_string()),
            "WATCHDOG_USEC" => Some("2000000".into()),
            "WATCHDOG_PID" => Some(OsString::from(&pid)),
            _ => None,
        });
        notify.send("READY=1");
        let mut buffer = [0; 16];
        let length = systemd.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        assert_eq!(notify.watchdog(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_watchdog_that_is_meant_for_another_process_is_not_fed() {
        let notify = Notify::new(|name| match name {
            "WATCHDOG_USEC" => Some("2000000".into()),
            "WATCHDOG_PID" => Some("1".into()),
            _ => None,
        });
        assert_eq!(notify.watchdog(), None);
    }

    #[test]
    fn without_systemd_nothing_happens() {
        Notify::new(|_| None).send("READY=1");
        Notify::new(|name| (name == "NOTIFY_SOCKET").then(|| "nonsense".into())).send("READY=1");
    }
}
