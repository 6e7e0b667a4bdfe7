//! Whose releases a node takes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::sign::{KeyError, PublicKey};

/// Whether a release has to be signed by a trusted key. A signature that is wrong is always refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Requirement {
    /// It need not be.
    #[default]
    None,
    /// It has to be.
    Signature,
}

/// The keys that a node trusts, and what it asks of them.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: BTreeSet<PublicKey>,
    requirement: Requirement,
}

/// Who signed a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Signer {
    /// Nobody.
    Nobody,
    /// A key that this node trusts.
    Trusted {
        /// Which one.
        key: PublicKey,
    },
    /// A key that this node does not know.
    Unknown {
        /// Which one.
        key: PublicKey,
    },
}

/// A release is signed by nobody, or by nobody whom this node trusts, and has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// It has no signature.
    #[error("it is not signed, and this node takes signed releases only (require-signature)")]
    Unsigned,
    /// It is signed by a key that is not among the trusted ones.
    #[error("it is signed by {0}, which is none of this node's trusted-keys")]
    UnknownKey(PublicKey),
}

/// A trusted key, as a setting names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustedKey {
    /// The key itself.
    Key(PublicKey),
    /// A file of keys.
    File(PathBuf),
}

impl FromStr for TrustedKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("ed25519") {
            return text.parse().map(Self::Key).map_err(|error: super::sign::PublicKeyError| error.to_string());
        }
        match std::path::absolute(text) {
            Ok(path) => Ok(Self::File(path)),
            Err(_) => Err("expected a public key, ed25519:..., or a file of such keys".to_owned()),
        }
    }
}

impl Trust {
    /// Trust in these keys.
    ///
    /// # Errors
    /// A file of keys cannot be read.
    pub fn load(keys: &[TrustedKey], requirement: Requirement) -> Result<Self, KeyError> {
        let mut all = BTreeSet::new();
        for key in keys {
            match key {
                TrustedKey::Key(key) => drop(all.insert(*key)),
                TrustedKey::File(path) => all.extend(PublicKey::read(path)?),
            }
        }
        Ok(Self { keys: all, requirement })
    }

    /// Whose signature this is to this node.
    pub(super) fn signer(&self, key: Option<PublicKey>) -> Signer {
        match key {
            Some(key) if self.keys.contains(&key) => Signer::Trusted { key },
            Some(key) => Signer::Unknown { key },
            None => Signer::Nobody,
        }
    }

    /// Who signed, if a release that is signed by `key` is taken.
    pub(super) fn admit(&self, key: Option<PublicKey>) -> Result<Signer, TrustError> {
        let signer = self.signer(key);
        match (signer, self.requirement) {
            (Signer::Trusted { .. }, _) | (_, Requirement::None) => Ok(signer),
            (Signer::Unknown { key }, Requirement::Signature) => Err(TrustError::UnknownKey(key)),
            (Signer::Nobody, Requirement::Signature) => Err(TrustError::Unsigned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Requirement, Signer, Trust, TrustError, TrustedKey};
    use crate::release::SecretKey;

    #[test]
    fn a_node_that_asks_for_signatures_takes_those_of_trusted_keys_only() {
        let [known, stranger] = [(); 2].map(|()| SecretKey::draw().unwrap().public());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        std::fs::write(&file, format!("{known}\n")).unwrap();
        for named in [known.to_string(), file.display().to_string()] {
            let keys = [named.parse::<TrustedKey>().unwrap()];
            let strict = Trust::load(&keys, Requirement::Signature).unwrap();
            assert_eq!(strict.admit(Some(known)), Ok(Signer::Trusted { key: known }));
            assert_eq!(strict.admit(Some(stranger)), Err(TrustError::UnknownKey(stranger)));
            assert_eq!(strict.admit(None), Err(TrustError::Unsigned));
            let lax = Trust::load(&keys, Requirement::None).unwrap();
            assert_eq!(lax.admit(Some(known)), Ok(Signer::Trusted { key: known }));
            assert_eq!(lax.admit(Some(stranger)), Ok(Signer::Unknown { key: stranger }));
            assert_eq!(lax.admit(None), Ok(Signer::Nobody));
        }
        assert!(Trust::load(&[TrustedKey::File(dir.path().join("none"))], Requirement::None).is_err());
        assert!("ed25519:12".parse::<TrustedKey>().is_err());
        assert!("".parse::<TrustedKey>().is_err());
    }
}
