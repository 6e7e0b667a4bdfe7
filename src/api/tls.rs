//! TLS of both sides: what is read from files, and what is spoken with it.
//!
//! | file | subject |
//! | --- | --- |
//! | `server` | certificate, key and the authority of clients; read again when they change |
//! | `client` | whom a command trusts, and what it shows |
//!
//! TLS 1.2 and 1.3 with rustls, and one provider of ciphers: no other one is in the binary that it could be mixed up
//! with.

mod client;
mod server;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::secret_file::{self, SecretFileError};

pub use client::{ClientTls, ClientTlsFiles};
pub use server::{ServerTls, ServerTlsFiles};

/// Largest file of certificates that is read, in bytes: the bundle of a whole system has a quarter of a megabyte.
const CERTIFICATES_BYTES: u64 = 4 * 1024 * 1024;
/// The protocol that is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// What TLS is to be spoken with cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file of the key cannot be used.
    #[error(transparent)]
    Key(#[from] SecretFileError),
    /// A file has not what it should: which one, and what that is.
    #[error("{} has no {expected} in PEM", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What it should have.
        expected: &'static str,
    },
    /// Certificate and key cannot be used together, or not at all.
    #[error("the certificate in {} cannot be used", path.display())]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// The authority of clients cannot be used.
    #[error("the authority in {} cannot be used: {why}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// There is nobody to trust.
    #[error("this machine has no bundle of authorities where one is looked for: name a file")]
    NoAuthorities,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(CERTIFICATES_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > CERTIFICATES_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    };
    let bytes = read().map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsError::Content { path: path.to_owned(), expected: "certificate" }),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = secret_file::read(path)?;
    let found = PrivateKeyDer::from_pem_slice(&bytes);
    found.map_err(|_| TlsError::Content { path: path.to_owned(), expected: "private key" })
}

/// The authorities of a file. Those that cannot be used are left out, as there are such in the bundles of systems; one
/// at least must be usable.
fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates(path)?) {
        (0, _) => {
            Err(TlsError::Authority { path: path.to_owned(), why: "no certificate in it can be read".to_owned() })
        }
        (_, _) => Ok(roots),
    }
}

#[cfg(test)]
mod tests;
