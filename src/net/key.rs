//! Keys of the ring, and which of them a node has.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::base::Hash;

/// What a key's text starts with.
const PREFIX: &str = "sup-ring:";
/// The environment variable with the ring's key, or several. What a supervisor starts does not inherit it.
pub const RING_KEY_ENV: &str = "SUP_RING_KEY";
/// How many keys a node can have at once: the one in use, the one before, the next one, and room for mistakes.
pub const KEYS_MAX: usize = 8;

/// What datagrams, streams and ids are derived for. A key is never used as it is: what is learned of one use says
/// nothing about another.
const FOR_DATAGRAMS: &str = "sup 2026-11 ring key: datagrams";
const FOR_STREAMS: &str = "sup 2026-11 ring key: streams";
const FOR_ID: &str = "sup 2026-11 ring key: id";

/// A secret that all nodes of a ring share. Whoever has it can do all that a node can.
///
/// Printed by [`text`](Self::text) alone: `sup-ring:` and 64 hex digits. Its memory is cleared when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RingKey(Zeroizing<[u8; 32]>);

/// What a key is called: the first 8 hex digits of a hash of it. It says nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

/// A text is not a key. It is not repeated: it may be one with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of the ring is {PREFIX} and 64 hex digits; make one: sup ring key new")]
pub struct RingKeyError;

/// A text is not the id of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of a key is 8 hex digits, as `sup ring key list` shows it, not {0:?}")]
pub struct KeyIdError(String);

impl RingKey {
    /// A new key, from the system's randomness.
    ///
    /// # Errors
    /// There is none.
    pub fn draw() -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// The key made of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, to be handed to another node under a seal.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = self.derive(FOR_ID);
        KeyId([hash[0], hash[1], hash[2], hash[3]])
    }

    /// The key itself, for a person or a file.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", Hash::from_bytes(*self.0)))
    }

    fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, self.0.as_slice()))
    }
}

impl FromStr for RingKey {
    type Err = RingKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.trim().strip_prefix(PREFIX).ok_or(RingKeyError)?;
        let hash: Hash = hex.parse().map_err(|_| RingKeyError)?;
        Ok(Self::from_bytes(*hash.as_bytes()))
    }
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingKey({})", self.id())
    }
}

impl KeyId {
    /// The id made of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:08x}", u32::from_be_bytes(self.0)))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u32::from_str_radix(text, 16) {
            Ok(bits) if is_hex => Ok(Self(bits.to_be_bytes())),
            // What was typed may be the key itself.
            Ok(_) | Err(_) if text.starts_with(PREFIX) => Err(KeyIdError("a key".to_owned())),
            Ok(_) | Err(_) => Err(KeyIdError(text.chars().take(12).collect())),
        }
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 4]>::deserialize(deserializer).map(Self)
        }
    }
}

/// Whether what arrives in clear text is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClearText {
    /// It is: the ring has no key, or is on its way from clear text to its first key.
    Taken,
    /// It is refused.
    Refused,
}

/// A key, ready to be used.
#[derive(Clone)]
pub(super) struct Installed {
    pub(super) key: RingKey,
    pub(super) id: KeyId,
    pub(super) datagrams: XChaCha20Poly1305,
    pub(super) streams: Zeroizing<[u8; 32]>,
}

impl Installed {
    fn new(key: RingKey) -> Self {
        let datagrams = XChaCha20Poly1305::new(key.derive(FOR_DATAGRAMS).as_slice().into());
        Self { id: key.id(), datagrams, streams: key.derive(FOR_STREAMS), key }
    }
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

/// The keys of a node: any of them opens what arrives, one of them seals what leaves.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// At most [`KEYS_MAX`], each once.
    installed: Vec<Arc<Installed>>,
    /// Always among those installed. None: what leaves is in clear text.
    in_use: Option<Arc<Installed>>,
    clear: ClearText,
}

/// A set of keys cannot be changed like that. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It has no room.
    #[error("{KEYS_MAX} keys are installed, and no more can be; remove one: sup ring key remove ID")]
    Full,
    /// There is no such key.
    #[error("key {0} is not installed")]
    NotInstalled(KeyId),
    /// What leaves is sealed with it.
    #[error("key {0} is in use; use another one first: sup ring key use ID")]
    InUse(KeyId),
}

impl Default for KeySet {
    fn default() -> Self {
        Self::clear()
    }
}

impl KeySet {
    /// No key: the ring talks in clear text.
    #[must_use]
    pub const fn clear() -> Self {
        Self { installed: Vec::new(), in_use: None, clear: ClearText::Taken }
    }

    /// One key, and nothing in clear text.
    #[must_use]
    pub fn sealed(key: RingKey) -> Self {
        let key = Arc::new(Installed::new(key));
        Self { installed: vec![Arc::clone(&key)], in_use: Some(key), clear: ClearText::Refused }
    }

    /// The same, with another key. One that is installed already changes nothing.
    ///
    /// # Errors
    /// [`KeySetError::Full`].
    pub fn with(mut self, key: RingKey) -> Result<Self, KeySetError> {
        if self.find(key.id()).is_some() {
            return Ok(self);
        }
        if self.installed.len() >= KEYS_MAX {
            return Err(KeySetError::Full);
        }
        self.installed.push(Arc::new(Installed::new(key)));
        Ok(self)
    }

    /// The same, sealing with this key. What arrives in clear text is treated as before.
    ///
    /// # Errors
    /// [`KeySetError::NotInstalled`].
    pub fn using(mut self, id: KeyId) -> Result<Self, KeySetError> {
        self.in_use = Some(Arc::clone(self.find(id).ok_or(KeySetError::NotInstalled(id))?));
        Ok(self)
    }

    /// The same, without this key.
    ///
    /// # Errors
    /// [`KeySetError::NotInstalled`], [`KeySetError::InUse`].
    pub fn without(mut self, id: KeyId) -> Result<Self, KeySetError> {
        if self.in_use() == Some(id) {
            return Err(KeySetError::InUse(id));
        }
        self.find(id).ok_or(KeySetError::NotInstalled(id))?;
        self.installed.retain(|installed| installed.id != id);
        Ok(self)
    }

    /// The same, with clear text taken or refused.
    #[must_use]
    pub fn clear_text(mut self, clear: ClearText) -> Self {
        self.clear = clear;
        self
    }

    /// Whether what arrives in clear text is taken.
    #[must_use]
    pub const fn takes_clear_text(&self) -> bool {
        matches!(self.clear, ClearText::Taken)
    }

    /// The keys that are installed.
    pub fn installed(&self) -> impl ExactSizeIterator<Item = KeyId> {
        self.installed.iter().map(|installed| installed.id)
    }

    /// The key that seals what leaves.
    #[must_use]
    pub fn in_use(&self) -> Option<KeyId> {
        self.in_use.as_ref().map(|installed| installed.id)
    }

    /// One of the keys.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&RingKey> {
        self.find(id).map(|installed| &installed.key)
    }

    pub(super) fn find(&self, id: KeyId) -> Option<&Arc<Installed>> {
        self.installed.iter().find(|installed| installed.id == id)
    }

    pub(super) const fn sealing(&self) -> Option<&Arc<Installed>> {
        self.in_use.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::{ClearText, KEYS_MAX, KeyId, KeySet, KeySetError, RingKey};

    fn key(n: u8) -> RingKey {
        RingKey::from_bytes([n; 32])
    }

    #[test]
    fn a_key_reads_back_as_its_text_and_is_not_in_what_is_printed_of_it() {
        let drawn = RingKey::draw().unwrap();
        assert_eq!(drawn.text().parse::<RingKey>().as_ref(), Ok(&drawn));
        let hex = drawn.text()["sup-ring:".len()..].to_owned();
        let set = KeySet::sealed(drawn.clone());
        for shown in [format!("{drawn:?}"), format!("{set:?}"), drawn.id().to_string()] {
            assert!(!shown.contains(&hex[..8]) && !hex.contains(&shown), "{shown}");
        }
        assert_ne!(drawn, RingKey::draw().unwrap());
    }

    #[test]
    fn an_error_does_not_repeat_what_may_be_a_key() {
        let text = key(0xab).text();
        let error = format!("{}0", *text).parse::<RingKey>().unwrap_err().to_string();
        assert!(!error.contains("abab"), "{error}");
        let error = text.parse::<KeyId>().unwrap_err().to_string();
        assert!(!error.contains("abab"), "{error}");
    }

    #[test]
    fn an_id_reads_back_as_it_prints() {
        let id = key(1).id();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1", "+1234567", "123456789", "0000000g"] {
            assert!(text.parse::<KeyId>().is_err(), "{text:?} was taken for an id");
        }
    }

    #[test]
    fn so_many_keys_are_installed_and_not_one_more() {
        let last = u8::try_from(KEYS_MAX).unwrap();
        let full = (1..last).try_fold(KeySet::sealed(key(0)), |set, n| set.with(key(n))).unwrap();
        assert_eq!(full.installed().len(), KEYS_MAX);
        assert_eq!(full.clone().with(key(0)).unwrap().installed().len(), KEYS_MAX);
        assert_eq!(full.with(key(last)).unwrap_err(), KeySetError::Full);
    }

    #[test]
    fn the_key_in_use_stays_until_another_one_is_used() {
        let (old, new) = (key(1), key(2));
        let set = KeySet::sealed(old.clone()).with(new.clone()).unwrap();
        assert_eq!(set.clone().without(old.id()).unwrap_err(), KeySetError::InUse(old.id()));
        let set = set.using(new.id()).unwrap().without(old.id()).unwrap();
        assert_eq!(set.installed().collect::<Vec<_>>(), [new.id()]);
        assert_eq!(set.clone().using(old.id()).unwrap_err(), KeySetError::NotInstalled(old.id()));
        assert_eq!(set.without(old.id()).unwrap_err(), KeySetError::NotInstalled(old.id()));
    }

    #[test]
    fn clear_text_is_taken_without_a_key_and_refused_with_one_unless_told_otherwise() {
        assert!(KeySet::clear().takes_clear_text());
        assert!(!KeySet::sealed(key(1)).takes_clear_text());
        assert!(KeySet::sealed(key(1)).clear_text(ClearText::Taken).takes_clear_text());
        // A key that is installed and not in use changes nothing yet.
        assert!(KeySet::clear().with(key(1)).unwrap().takes_clear_text());
    }
}
