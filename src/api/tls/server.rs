//! The side of the supervisor.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use super::{ALPN, TlsError, authorities, certificates, key, provider};

/// How often the files are looked at. Certificates are mostly links to links (certbot, Kubernetes), replaced in directories
/// that a watch of the path does not see; and whoever puts new ones in place has an hour at least.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the supervisor's part of TLS is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority whose certificates clients may show in place of a token; none: they show none.
    pub client_authority: Option<PathBuf>,
}

impl ServerTlsFiles {
    /// What tells that a file is another one by now: nothing of a file that is not there.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_authority.as_ref()];
        let stamp = |path: &PathBuf| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        files.into_iter().flatten().map(stamp).collect()
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let unusable = |source| TlsError::Unusable { path: self.certificate.clone(), source };
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                // Who shows no certificate may have a token, or be a load balancer that asks for health.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated();
                let failed =
                    |why: &dyn std::fmt::Display| TlsError::Authority { path: path.clone(), why: why.to_string() };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| failed(&error))?)
            }
        };
        let certificates = certificates(&self.certificate)?;
        let mut config = builder.with_single_cert(certificates, key(&self.key)?).map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }
}

/// What the supervisor speaks TLS with.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerTlsFiles,
    /// What told of the files that were read first.
    first: Vec<Option<(SystemTime, u64)>>,
    current: RwLock<Arc<ServerConfig>>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(files: ServerTlsFiles) -> Result<Arc<Self>, TlsError> {
        // Before they are read: what changes meanwhile is seen.
        let first = files.stamps();
        let current = RwLock::new(files.load()?);
        Ok(Arc::new(Self { files, first, current }))
    }

    /// What the next connection is to be spoken with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again whenever they change, for ever. Those that cannot be used are told, and what there was is
    /// used on: a certificate and its key are two files, and between the two writes they do not fit.
    pub async fn follow(self: Arc<Self>) {
        let mut seen = self.first.clone();
        loop {
            let files = self.files.clone();
            let known = seen.clone();
            let look = spawn_blocking(move || {
                let now = files.stamps();
                let is_new = known != now;
                (now, is_new.then(|| files.load()))
            });
            // The blocking threads end with the supervisor.
            let Ok((now, loaded)) = look.await else { return };
            seen = now;
            match loaded {
                Some(Ok(config)) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                    tracing::info!(certificate = %self.files.certificate.display(), "certificate read again");
                }
                Some(Err(error)) => {
                    let problem = crate::api::Problem::caused(crate::api::ProblemKind::Internal, &error).detail;
                    tracing::warn!(problem, "the certificate has changed and cannot be used: the old one is used on");
                }
                None => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
