//! The keys of the ring on this node: where they are kept, how they are changed, and what others may ask of them.
//!
//! | file | subject |
//! | --- | --- |
//! | `file` | the file in the data directory |
//! | `talk` | what nodes say to each other about keys |
//!
//! A change is on disk before it is in force. The file counts, once there is one: a key in the environment or in
//! `ring-key-file` is installed if it is not, and used only where none is in use; one that was removed stays removed,
//! lest a machine that restarts with yesterday's settings brings back a key that was given up for a reason.

mod file;
mod talk;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::settings::{Encryption, Settings};
use crate::base::NodeId;
use crate::net::{ClearText, Gate, Inbound, KeyId, KeySetError, RING_KEY_ENV, RingKey, StreamSeal, Versions};

pub use file::KeyFileError;
pub(super) use talk::{KeyAnswer, KeyRequest, decode, encode};

use file::Kept;

/// Where the keys are, in the data directory.
const FILE: &str = "ring.keys";
/// Requests of other nodes that wait for their turn, which takes one write to the disk.
pub(super) const REQUESTS: usize = 16;
/// Overrides the highest version of the wire, for tests of rings with nodes of different versions.
const WIRE_ENV: &str = "SUP_TEST_WIRE_VERSION";

/// The keys cannot be had, or not be changed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file of keys cannot be read or written.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The file that `ring-key-file` names.
    #[error("cannot take the ring's key from ring-key-file")]
    Configured(#[source] KeyFileError),
    /// The change makes no sense.
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// Encryption is required, and there is no key.
    #[error(
        "require-encryption is true, and there is no key of the ring: name one by --ring-key-file, or make one: sup ring \
         key new FILE"
    )]
    NoKey,
    /// The system has no randomness to give.
    #[error("the system gives no random bytes")]
    Random(#[source] std::io::Error),
}

/// Changes the keys of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct KeyKeeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    me: NodeId,
    path: PathBuf,
    encryption: Encryption,
    gate: Arc<Gate>,
    /// One change at a time.
    kept: Mutex<Kept>,
}

/// A change of one node's keys.
#[derive(Debug, Clone)]
pub(super) enum KeyChange {
    /// Have this key, and open with it what arrives.
    Install(RingKey),
    /// Seal with this key what leaves.
    Use(KeyId),
    /// Take no clear text any more.
    Close,
    /// Forget this key.
    Remove(KeyId),
}

/// The versions of the wire that this process speaks.
fn versions() -> Versions {
    let max = std::env::var(WIRE_ENV).ok().and_then(|text| text.parse().ok());
    Versions { max: max.unwrap_or(Versions::default().max), ..Versions::default() }
}

/// Whether clear text is taken, by what is kept and what is set.
fn clear_text(kept: &Kept, encryption: Encryption) -> ClearText {
    match encryption {
        Encryption::Required => ClearText::Refused,
        Encryption::Optional => ClearText::Taken,
        Encryption::Auto if kept.keys.takes_clear_text() => ClearText::Taken,
        Encryption::Auto => ClearText::Refused,
    }
}

impl KeyKeeper {
    /// Puts together what the data directory and the settings have, keeps it, and makes the gate that goes by it.
    pub(super) fn open(settings: &Settings, me: NodeId) -> Result<Self, KeysError> {
        let path = settings.data_dir.join(FILE);
        let mut configured = settings.ring_keys.clone();
        if let Some(file) = &settings.ring_key_file {
            configured.extend(file::read_keys(file).map_err(KeysError::Configured)?);
        }
        let stored = file::read(&path)?;
        let kept = with_configured(stored.clone(), configured)?;
        if stored.as_ref() != Some(&kept) && (stored.is_some() || kept.keys.installed().len() > 0) {
            file::write(&path, &kept)?;
        }
        if settings.encryption == Encryption::Required && kept.keys.in_use().is_none() {
            return Err(KeysError::NoKey);
        }
        let keys = kept.keys.clone().clear_text(clear_text(&kept, settings.encryption));
        let gate = Gate::new(settings.ring.clone(), versions(), keys).map_err(KeysError::Random)?;
        let encryption = settings.encryption;
        Ok(Self(Arc::new(Inner { me, path, encryption, gate: Arc::new(gate), kept: Mutex::new(kept) })))
    }

    /// The gate that goes by these keys.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.0.gate
    }

    /// How it stands.
    pub(super) fn standing(&self) -> KeyAnswer {
        KeyAnswer::of(self.0.me, &self.0.gate.keys())
    }

    /// Makes a change. It is on disk when this returns.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(super) async fn change(&self, change: KeyChange) -> Result<KeyAnswer, KeysError> {
        let mut kept = self.0.kept.lock().await;
        let changed = changed(kept.clone(), &change)?;
        if changed != *kept {
            let (path, next) = (self.0.path.clone(), changed.clone());
            let written = spawn_blocking(move || file::write(&path, &next)).await;
            written.map_err(|_| KeyFileError::interrupted(&self.0.path))??;
            let clear = clear_text(&changed, self.0.encryption);
            self.0.gate.set_keys(changed.keys.clone().clear_text(clear));
            *kept = changed;
            match change {
                KeyChange::Install(key) => info!(key = %key.id(), "key of the ring installed"),
                KeyChange::Use(key) => info!(%key, "key of the ring in use"),
                KeyChange::Close => info!("clear text is refused from now on"),
                KeyChange::Remove(key) => info!(%key, "key of the ring removed"),
            }
        }
        Ok(self.standing())
    }

    /// Answers what other nodes ask, until none can any more.
    pub(super) async fn serve(self, mut requests: mpsc::Receiver<Inbound>) {
        while let Some(Inbound { from, seal, request, reply }) = requests.recv().await {
            // Who is not known to have a key may neither ask nor change anything.
            let StreamSeal::Key(_) = seal else { continue };
            let Some(request) = talk::decode::<KeyRequest>(&request) else { continue };
            let answer = match request.change() {
                None => self.standing(),
                Some(change) => match self.change(change).await {
                    Ok(answer) => answer,
                    Err(error) => {
                        let problem = super::error::chain(&error);
                        warn!(%from, problem, "the keys could not be changed as another node asked");
                        KeyAnswer { problem: Some(problem), ..self.standing() }
                    }
                },
            };
            if let Some(answer) = talk::encode(&answer) {
                // Who asked may have gone meanwhile.
                reply.send(answer).ok();
            }
        }
    }
}

fn changed(mut kept: Kept, change: &KeyChange) -> Result<Kept, KeySetError> {
    match change {
        KeyChange::Install(key) => {
            kept.keys = kept.keys.with(key.clone())?;
            kept.removed.retain(|removed| *removed != key.id());
        }
        KeyChange::Use(id) => kept.keys = kept.keys.using(*id)?,
        // Without a key in use it would be a node that nobody hears.
        KeyChange::Close if kept.keys.in_use().is_some() => kept.keys = kept.keys.clear_text(ClearText::Refused),
        KeyChange::Close => {}
        KeyChange::Remove(id) => {
            kept.keys = kept.keys.without(*id)?;
            kept.forget(*id);
        }
    }
    Ok(kept)
}

/// What is kept, with the keys of the settings.
fn with_configured(stored: Option<Kept>, configured: Vec<RingKey>) -> Result<Kept, KeySetError> {
    let is_first = stored.is_none();
    let mut kept = stored.unwrap_or_default();
    let mut usable = None;
    for key in configured {
        let id = key.id();
        if kept.removed.contains(&id) {
            warn!(
                key = %id,
                "{RING_KEY_ENV} or ring-key-file has a key that was removed from this node: it is not taken; to take it \
                 back: sup ring key install"
            );
            continue;
        }
        if !kept.keys.installed().any(|installed| installed == id) && kept.keys.in_use().is_some() {
            warn!(
                key = %id,
                "{RING_KEY_ENV} or ring-key-file has another key than the one in use: it is installed; to use it: sup ring \
                 key use {id}"
            );
        }
        kept.keys = kept.keys.with(key)?;
        usable.get_or_insert(id);
    }
    if let (None, Some(id)) = (kept.keys.in_use(), usable) {
        kept.keys = kept.keys.using(id)?;
        if is_first {
            kept.keys = kept.keys.clear_text(ClearText::Refused);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
