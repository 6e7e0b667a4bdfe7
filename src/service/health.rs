//! One run of a health check.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::hook::{HookCommand, HookRun, Outcome, run};
use crate::plan::period;
use crate::records::value::Health;

/// How much of an answer is read in search of its status line, in bytes.
const STATUS_LINE_BYTES: u64 = 1024;

/// What is asked, with everything filled in.
#[derive(Debug, Clone)]
pub(super) enum Check {
    /// `GET` this URL.
    Http(String),
    /// Connect to this `HOST:PORT`.
    Tcp(String),
    /// Run this, and go by its exit status.
    Command(HookCommand),
}

/// A verdict, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) health: Health,
    pub(super) said: String,
    /// Both streams of a command.
    pub(super) output: String,
}

impl Verdict {
    /// Nothing could be asked; why.
    pub(super) fn unknown(why: String) -> Self {
        Self::new(Health::Unknown, why)
    }

    fn new(health: Health, said: impl Into<String>) -> Self {
        Self { health, said: said.into(), output: String::new() }
    }
}

/// Asks. It ends after `limit`, whatever the other side does.
pub(super) async fn check(check: &Check, limit: Duration) -> Verdict {
    let late =
        |what: &str| Verdict::new(Health::Critical, format!("{what}: no answer within {}", period::format(limit)));
    match check {
        Check::Http(url) => timeout(limit, http(url)).await.unwrap_or_else(|_| late(shown(url))),
        Check::Tcp(address) => timeout(limit, tcp(address)).await.unwrap_or_else(|_| late(address)),
        Check::Command(command) => {
            let command = HookCommand { timeout: limit, ..command.clone() };
            judge(&run(&command, &CancellationToken::new(), |_| {}).await)
        }
    }
}

/// Exit statuses as monitoring has always had them: 0 ok, 1 warning, 2 critical, all else unknown.
fn judge(run: &HookRun) -> Verdict {
    let health = match run.outcome {
        Outcome::Exited(0) => Health::Ok,
        Outcome::Exited(1) => Health::Warning,
        Outcome::Exited(2) => Health::Critical,
        Outcome::Exited(_)
        | Outcome::Signalled(_)
        | Outcome::TimedOut(_)
        | Outcome::Cancelled
        | Outcome::NotStarted(_) => Health::Unknown,
    };
    let said = if health == Health::Ok { String::new() } else { run.summary() };
    Verdict { health, said, output: run.output.text().to_owned() }
}

async fn tcp(address: &str) -> Verdict {
    match TcpStream::connect(address).await {
        Ok(_) => Verdict::new(Health::Ok, ""),
        Err(error) => Verdict::new(Health::Critical, format!("{address}: {error}")),
    }
}

async fn http(url: &str) -> Verdict {
    let Some(request) = Request::parse(url) else {
        let said = format!("{url:?} is not an http URL, such as http://127.0.0.1:8080/health");
        return Verdict::new(Health::Unknown, said);
    };
    let url = shown(url);
    match request.status().await {
        Ok(status @ 200..=399) => Verdict::new(Health::Ok, format!("{url}: {status}")),
        Ok(status) => Verdict::new(Health::Critical, format!("{url}: it answers {status}")),
        Err(error) => Verdict::new(Health::Critical, format!("{url}: {error}")),
    }
}

/// The URL without its query, in which there may be a password.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// What a URL asks of whom.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// As in the URL, for the `Host` header.
    authority: String,
    /// Where to connect to.
    address: String,
    path: String,
}

impl Request {
    fn parse(url: &str) -> Option<Self> {
        // A control character would end the request's line early.
        if url.contains(|c: char| c.is_control() || c == ' ') {
            return None;
        }
        let rest = url.strip_prefix("http://")?;
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { authority: authority.to_owned(), address, path })
    }

    async fn status(&self) -> std::io::Result<u16> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let Self { authority, path, .. } = self;
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: sup\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).await?;
        let mut line = Vec::new();
        let mut answer = stream.take(STATUS_LINE_BYTES);
        while !line.contains(&b'\n') {
            if answer.read_buf(&mut line).await? == 0 {
                break;
            }
        }
        status_of(&line).ok_or_else(|| std::io::Error::other("it does not answer in HTTP"))
    }
}

/// The status of `HTTP/1.1 200 OK`.
fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok().filter(|status| (100..=599).contains(status))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::{Check, HookCommand, Request, check};
    use crate::records::value::Health;
    use crate::service::hook::Program;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Answers one connection with these bytes after a request, and returns its address.
    async fn server(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
            // The other side may have had enough before all is written.
            stream.write_all(&answer).await.ok();
        });
        format!("http://{address}/health?x=1")
    }

    async fn http(answer: &[u8]) -> (Health, String) {
        let verdict = check(&Check::Http(server(answer.to_vec()).await), LIMIT).await;
        (verdict.health, verdict.said)
    }

    #[tokio::test]
    async fn answers_of_2xx_and_3xx_are_ok_and_all_others_critical() {
        for status in [200, 204, 302, 399] {
            assert_eq!(http(format!("HTTP/1.1 {status} Fine\r\n\r\n").as_bytes()).await.0, Health::Ok, "{status}");
        }
        for status in [199, 400, 404, 500, 503] {
            let (health, said) = http(format!("HTTP/1.0 {status} No\r\n\r\n").as_bytes()).await;
            assert_eq!(health, Health::Critical);
            assert!(said.ends_with(&format!("it answers {status}")), "{said}");
        }
    }

    #[tokio::test]
    async fn what_is_not_http_is_critical_however_much_it_is() {
        for answer in [Vec::new(), b"-ERR unknown command\r\n".to_vec(), vec![b'x'; 10_000_000]] {
            let (health, said) = http(&answer).await;
            assert_eq!(health, Health::Critical, "{said}");
        }
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_critical_after_the_time_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let verdict = check(&Check::Http(url), Duration::from_millis(100)).await;
        assert_eq!(verdict.health, Health::Critical);
        assert!(verdict.said.ends_with("no answer within 100ms"), "{}", verdict.said);
    }

    #[tokio::test]
    async fn tcp_is_ok_while_somebody_listens_and_critical_after() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(check(&Check::Tcp(address.clone()), LIMIT).await.health, Health::Ok);
        drop(listener);
        let verdict = check(&Check::Tcp(address), LIMIT).await;
        assert_eq!(verdict.health, Health::Critical);
        assert!(verdict.said.contains("refused"), "{}", verdict.said);
    }

    #[tokio::test]
    async fn exit_statuses_mean_what_they_always_did() {
        for (script, health) in [
            ("exit 0", Health::Ok),
            ("exit 1", Health::Warning),
            ("exit 2", Health::Critical),
            ("exit 3", Health::Unknown),
            ("exit 77", Health::Unknown),
            ("kill -9 $$", Health::Unknown),
            ("sleep 1000", Health::Unknown),
        ] {
            let command = HookCommand {
                program: Program::Shell(script.to_owned()),
                env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
                cwd: "/".into(),
                user: None,
                timeout: LIMIT,
            };
            let limit = if script.starts_with("sleep") { Duration::from_millis(200) } else { LIMIT };
            assert_eq!(check(&Check::Command(command), limit).await.health, health, "{script}");
        }
    }

    #[test]
    fn a_url_has_a_host_and_may_have_a_port_and_a_path() {
        for (url, address, path) in [
            ("http://host", "host:80", "/"),
            ("http://host:81", "host:81", "/"),
            ("http://[::1]:81/a?b=c#d", "[::1]:81", "/a?b=c"),
            ("http://[::1]", "[::1]:80", "/"),
            ("http://host?q", "host:80", "/?q"),
        ] {
            let request = Request::parse(url).unwrap();
            assert_eq!((request.address.as_str(), request.path.as_str()), (address, path), "{url}");
        }
        for url in ["", "host", "https://host/", "http://", "http://a b/", "http://u:p@host/", "http://h/\r\nX: y"] {
            assert_eq!(Request::parse(url), None, "{url:?}");
        }
    }
}
