//! Releases: a plan's directory, packed into one archive that is the same wherever it is packed, and unpacked only
//! where every byte of it is what the archive's own list says.
//!
//! | file | subject |
//! | --- | --- |
//! | `label` | what an archive says of itself |
//! | `tar` | the one form of a tar header that is written and taken |
//! | `pack` | a directory becomes an archive |
//! | `unpack` | an archive becomes a directory, all of it or nothing |
//! | `sign`, `trust` | keys, signatures, and whose releases a node takes |
//! | `limits` | how large a release may be |
//! | `store` | the releases of this node, unpacked |
//! | `error` | why not |
//!
//! An archive is a tar, compressed by zstd, of these entries in this order:
//!
//! ```text
//! .sup/release     what it is: format, origin, name, version
//! .sup/manifest    the list of its files (plan::Content): the hash of this is the release
//! .sup/signature   a key's signature of that hash; only where it is signed
//! plan.toml ...    the files, in the order of the list
//! ```
//!
//! So whoever reads it knows what to expect before the first file arrives, and nothing is written that was not
//! announced, signed as required, and small enough. No plan has files whose names start with a dot, so the first three
//! cannot be mistaken for its own.
//!
//! Everything here blocks. It knows nothing of the ring: how an archive gets from node to node is [`crate::blob`]'s.

mod error;
mod label;
mod limits;
mod pack;
mod sign;
mod store;
mod tar;
mod trust;
mod unpack;

pub use error::{PackError, UnpackError};
pub use limits::Limits;
pub use pack::{Out, Packed, SUFFIX, pack};
pub use sign::{KeyError, PublicKey, PublicKeyError, SecretKey};
pub use store::{Kept, Query, QueryError, ReleaseStore, Source, StoreError};
pub use trust::{Requirement, Signer, Trust, TrustError, TrustedKey};
pub use unpack::{Terms, Unpacked, unpack};

/// What the directory of a node's releases is called in its data directory.
pub const RELEASES_DIR: &str = "releases";
/// The name of the entry that says what the archive is.
const LABEL: &str = ".sup/release";
/// The name of the entry that lists the files.
const MANIFEST: &str = ".sup/manifest";
/// The name of the entry that has the signature.
const SIGNATURE: &str = ".sup/signature";
