//! Keys and signatures: Ed25519.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::Hash;

/// What is signed, before the hash: a signature that was made for anything else is none of a release.
const DOMAIN: &[u8] = b"sup release signature 1\0";
/// What a public key's text starts with.
const PUBLIC: &str = "ed25519:";
/// What a secret key's text starts with.
const SECRET: &str = "ed25519-secret:";
/// Largest file of keys, in bytes.
const KEY_FILE_BYTES: u64 = 64 * 1024;
/// Longest text of a signature in an archive, in bytes: the key, a blank, 128 digits, a line feed.
pub(super) const SIGNATURE_BYTES: u64 = 256;

/// A key to sign releases with. Whoever has it speaks for who made it.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// The key that tells what a [`SecretKey`] signed.
///
/// Printed as `ed25519:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// A key cannot be read or written. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written. One that is there already is never overwritten.
    #[error("cannot write the key {}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The system has no randomness to give.
    #[error("cannot draw a key: the system gives no random bytes")]
    Draw(#[source] io::Error),
    /// The file has no such key.
    #[error("{} has no {expected}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What it should have.
        expected: &'static str,
    },
}

/// A text is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a public key is {PUBLIC} and 64 hex digits, not {0:?}")]
pub struct PublicKeyError(String);

impl SecretKey {
    /// A new key, from the system's randomness.
    ///
    /// # Errors
    /// There is none.
    pub fn draw() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyError::Draw(error.into()))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads the key of a file that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// It cannot be read, or has no secret key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_file(path)?;
        let hex = lines(&text).next().and_then(|line| line.strip_prefix(SECRET));
        let seed = hex.and_then(|hex| hex.parse::<Hash>().ok());
        let wrong =
            || KeyError::Content { path: path.to_owned(), expected: "secret key; make one: sup release key FILE" };
        Ok(Self(SigningKey::from_bytes(seed.ok_or_else(wrong)?.as_bytes())))
    }

    /// Writes the key to a file of its own, which only its owner may read.
    ///
    /// # Errors
    /// It cannot be written, or there is a file of that name.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            writeln!(file, "# A key to sign releases with. Keep it secret. Its public key is {}", self.public())?;
            writeln!(file, "{SECRET}{}", Hash::from_bytes(self.0.to_bytes()))?;
            file.sync_all()
        };
        write().map_err(|source| KeyError::Write { path: path.to_owned(), source })
    }

    /// The key that tells what this one signed.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The text of a signature of the release with this hash: what an archive carries.
    pub(super) fn sign(&self, release: Hash) -> String {
        let signature = self.0.sign(&message(release));
        format!("{} {}\n", self.public(), hex(&signature.to_bytes()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public())
    }
}

impl PublicKey {
    /// The keys of a file, one a line; empty lines and those that start with `#` count for nothing.
    ///
    /// # Errors
    /// It cannot be read, or has something else than keys, or none.
    pub fn read(path: &Path) -> Result<Vec<Self>, KeyError> {
        let text = read_file(path)?;
        let keys: Result<Vec<Self>, _> = lines(&text).map(str::parse).collect();
        let wrong = || KeyError::Content { path: path.to_owned(), expected: "public keys, `ed25519:...`, one a line" };
        keys.ok().filter(|keys| !keys.is_empty()).ok_or_else(wrong)
    }

    /// The first hex digits: what people are shown where there is no room.
    #[must_use]
    pub fn short(self) -> String {
        format!("{PUBLIC}{}", Hash::from_bytes(self.0).short())
    }
}

/// Who signed the release with this hash, if the text is a signature of it. None: it is not, or not as it is written.
pub(super) fn verify(text: &str, release: Hash) -> Option<PublicKey> {
    let (key, signature) = text.strip_suffix('\n')?.split_once(' ')?;
    let key: PublicKey = key.parse().ok()?;
    let (low, high) = signature.split_at_checked(64)?;
    let (low, high) = (low.parse::<Hash>().ok()?, high.parse::<Hash>().ok()?);
    let signature = Signature::from_components(*low.as_bytes(), *high.as_bytes());
    // Strictly: no signature that some implementations take and others do not, no key that fits any message.
    VerifyingKey::from_bytes(&key.0).ok()?.verify_strict(&message(release), &signature).ok()?;
    Some(key)
}

fn message(release: Hash) -> Vec<u8> {
    [DOMAIN, release.as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_file(path: &Path) -> Result<String, KeyError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(KEY_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
    Ok(text)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{PUBLIC}{}", Hash::from_bytes(self.0)))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PublicKeyError(text.chars().take(80).collect());
        let bytes: Hash = text.strip_prefix(PUBLIC).and_then(|hex| hex.parse().ok()).ok_or_else(error)?;
        // Not every 32 bytes are a key.
        VerifyingKey::from_bytes(bytes.as_bytes()).map_err(|_| error())?;
        Ok(Self(*bytes.as_bytes()))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{KeyError, PublicKey, SIGNATURE_BYTES, SecretKey, verify};
    use crate::base::Hash;

    #[test]
    fn a_signature_is_known_for_its_key_and_no_other_release() {
        let key = SecretKey::draw().unwrap();
        let [release, other] = [b"a", b"b"].map(|text| Hash::of(text));
        let text = key.sign(release);
        assert!(text.len() as u64 <= SIGNATURE_BYTES);
        assert_eq!(verify(&text, release), Some(key.public()));
        assert_eq!(verify(&text, other), None);
        let stranger = SecretKey::draw().unwrap().public();
        assert_eq!(verify(&text.replace(&key.public().to_string(), &stranger.to_string()), release), None);
    }

    #[test]
    fn a_signature_with_any_character_changed_is_none() {
        let release = Hash::of(b"a");
        let text = SecretKey::draw().unwrap().sign(release);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(verify(std::str::from_utf8(&bytes).unwrap(), release), None, "{at}");
            assert_eq!(verify(&text[..at], release), None, "{at}");
        }
    }

    #[test]
    fn a_key_reads_back_from_a_file_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = SecretKey::draw().unwrap();
        key.write(&path).unwrap();
        assert_eq!(SecretKey::read(&path).unwrap().public(), key.public());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(key.write(&path), Err(KeyError::Write { .. })), "a key was overwritten");
        assert!(matches!(PublicKey::read(&path), Err(KeyError::Content { .. })), "a secret was taken for public");
        assert!(!format!("{key:?}").contains("secret:"));
    }

    #[test]
    fn a_file_of_public_keys_has_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let [one, two] = [(); 2].map(|()| SecretKey::draw().unwrap().public());
        std::fs::write(&path, format!("# ci\n{one}\n\n  {two}\n")).unwrap();
        assert_eq!(PublicKey::read(&path).unwrap(), [one, two]);
        for wrong in ["", "# nothing\n", "ed25519:12\n", "ssh-ed25519 AAAA\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(matches!(PublicKey::read(&path), Err(KeyError::Content { .. })), "{wrong:?}");
        }
        assert!(matches!(PublicKey::read(&dir.path().join("none")), Err(KeyError::Read { .. })));
    }
}
