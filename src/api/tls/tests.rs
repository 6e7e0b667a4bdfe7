//! Certificates that fit, that do not, and that change.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{ClientTls, ClientTlsFiles, ServerTls, ServerTlsFiles, TlsError};
use crate::api::ProblemKind;
use crate::api::client::{Client, Endpoint, Server};
use crate::api::fake::{Fake, redis};
use crate::api::server::{Admission, Limits, Openness, serve_tcp};

const PATIENCE: Duration = Duration::from_secs(30);

/// Authorities and what they have signed, made by openssl.
struct Authorities(TempDir);

impl Authorities {
    /// None, and one line that says so, where there is no openssl.
    fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            eprintln!("skipped: there is no openssl on this machine");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, args: &str) {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out \
             {name}.pem"
        ));
    }

    /// A certificate for 127.0.0.1, for servers and clients.
    fn sign(&self, authority: &str, name: &str) {
        fs::write(
            self.path("extensions"),
            "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
        )
        .unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -extfile extensions \
             -out {name}.pem"
        ));
        fs::set_permissions(self.path(&format!("{name}.key")), Permissions::from_mode(0o600)).unwrap();
    }

    fn server(&self, name: &str, client_authority: Option<&str>) -> ServerTlsFiles {
        ServerTlsFiles {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
            client_authority: client_authority.map(|name| self.path(&format!("{name}.pem"))),
        }
    }

    fn client(&self, port: u16, authority: &str, shows: Option<&str>) -> Client {
        let pem = |name: &str| self.path(&format!("{name}.pem"));
        let certificate = shows.map(|name| (pem(name), self.path(&format!("{name}.key"))));
        let tls = ClientTls::load(&ClientTlsFiles { authority: Some(pem(authority)), certificate }).unwrap();
        Client::new(Endpoint::Https(Server { host: "127.0.0.1".to_owned(), port }, tls))
    }
}

async fn serve(tls: Arc<ServerTls>) -> (u16, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, stop) = (listener.local_addr().unwrap().port(), CancellationToken::new());
    let admission = Admission::new(Openness::Guarded);
    tokio::spawn(serve_tcp(listener, Some(tls), Fake::new(), Limits::default(), admission, stop.clone()));
    (port, stop)
}

fn copy(from: &Path, to: &Path) {
    fs::write(to, fs::read(from).unwrap()).unwrap();
}

#[tokio::test]
async fn a_certificate_by_the_authority_of_clients_is_worth_operate_and_one_by_another_nothing() {
    let Some(made) = Authorities::new() else { return };
    made.authority("ca");
    made.authority("other");
    for (authority, name) in [("ca", "server"), ("ca", "operator"), ("other", "stranger")] {
        made.sign(authority, name);
    }
    let (port, _stop) = serve(ServerTls::load(made.server("server", Some("ca"))).unwrap()).await;
    let kind = async |client: Client| client.config(&redis(), None).await.map_err(|problem| problem.kind).err();
    assert_eq!(kind(made.client(port, "ca", Some("operator"))).await, None);
    assert_eq!(kind(made.client(port, "ca", None)).await, Some(ProblemKind::Forbidden), "from this machine: read");
    assert_eq!(kind(made.client(port, "ca", Some("stranger"))).await, Some(ProblemKind::Unreachable));
    assert_eq!(kind(made.client(port, "other", None)).await, Some(ProblemKind::Unreachable), "it trusts somebody else");
    let clear = Client::new(Endpoint::Http(Server { host: "127.0.0.1".to_owned(), port }));
    assert_eq!(kind(clear).await, Some(ProblemKind::Unreachable), "clear text");
}

#[tokio::test]
async fn a_certificate_that_changes_is_served_to_the_next_connection() {
    let Some(made) = Authorities::new() else { return };
    for (authority, name) in [("old", "server"), ("new", "next")] {
        made.authority(authority);
        made.sign(authority, name);
    }
    let (port, _stop) = serve(ServerTls::load(made.server("server", None)).unwrap()).await;
    assert!(made.client(port, "old", None).node().await.is_ok());
    // Half of it does not fit, and changes nothing.
    copy(&made.path("next.pem"), &made.path("server.pem"));
    assert!(made.client(port, "old", None).node().await.is_ok());
    copy(&made.path("next.key"), &made.path("server.key"));
    let changed = async {
        while made.client(port, "new", None).node().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.expect("the new certificate is never served");
}

#[test]
fn what_cannot_be_served_is_refused_with_the_file_that_is_wrong() {
    let Some(made) = Authorities::new() else { return };
    made.authority("ca");
    made.sign("ca", "server");
    made.sign("ca", "other");
    assert!(ServerTls::load(made.server("server", None)).is_ok());
    let mixed = ServerTlsFiles { key: made.path("other.key"), ..made.server("server", None) };
    assert!(matches!(ServerTls::load(mixed), Err(TlsError::Unusable { .. })));
    let swapped = ServerTlsFiles { certificate: made.path("server.key"), ..made.server("server", None) };
    assert!(matches!(ServerTls::load(swapped), Err(TlsError::Content { .. })));
    assert!(matches!(ServerTls::load(made.server("none", None)), Err(TlsError::Read { .. })));
    fs::set_permissions(made.path("server.key"), Permissions::from_mode(0o644)).unwrap();
    let open = ServerTls::load(made.server("server", None)).unwrap_err().to_string();
    assert!(open.contains("server.key") && open.contains("chmod 600"), "{open}");
}
