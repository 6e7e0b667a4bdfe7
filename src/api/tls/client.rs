//! The side of a command.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use super::{ALPN, TlsError, authorities, certificates, key, provider};

/// Where systems have the authorities that they trust.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Where a command's part of TLS is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTlsFiles {
    /// The authorities that a supervisor's certificate may be by; none: those of this machine.
    pub authority: Option<PathBuf>,
    /// The certificate and the key that are shown; none: nothing is.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// What a command speaks TLS with. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls(pub(in crate::api) Arc<ClientConfig>);

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(files: &ClientTlsFiles) -> Result<Self, TlsError> {
        let bundle = || SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
        let authority = files.authority.clone().or_else(bundle).ok_or(TlsError::NoAuthorities)?;
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Unusable { path, source }
        };
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable(&authority))?;
        let builder = builder.with_root_certificates(authorities(&authority)?);
        let mut config = match &files.certificate {
            None => builder.with_no_client_auth(),
            Some((path, secret)) => {
                builder.with_client_auth_cert(certificates(path)?, key(secret)?).map_err(unusable(path))?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self(Arc::new(config)))
    }
}
