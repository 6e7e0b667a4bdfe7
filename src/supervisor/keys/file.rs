//! The file of keys in the data directory: one word and its value a line, for its owner's eyes only.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::net::{ClearText, KEYS_MAX, KeyId, KeySet, RingKey};
use crate::whole;

/// Largest file that is read, in bytes: some times what is ever written.
const FILE_BYTES: u64 = 64 * 1024;
/// How many keys that were removed are remembered. One a week makes a year and more.
const REMOVED_MAX: usize = 64;
/// The format of the file. A higher number is not read by this version.
const FORMAT: &str = "1";

/// A file of keys cannot be read or written. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It has something else than it should. What it has is not repeated.
    #[error("{}:{line}: {message}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// The line, from 1; 0 for all of it.
        line: usize,
        /// What is wrong.
        message: &'static str,
    },
}

impl KeyFileError {
    /// What writes it was ended.
    pub(super) fn interrupted(path: &Path) -> Self {
        Self::Write { path: path.to_owned(), source: io::ErrorKind::Interrupted.into() }
    }

    /// It has no key.
    pub(super) fn empty(path: &Path) -> Self {
        Self::Content { path: path.to_owned(), line: 0, message: "it has no key; make one: sup ring key new FILE" }
    }
}

/// What is kept of keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) keys: KeySet,
    /// Those that were removed last, the oldest first.
    pub(super) removed: Vec<KeyId>,
}

impl PartialEq for Kept {
    /// By what is written of it.
    fn eq(&self, other: &Self) -> bool {
        *self.text() == *other.text()
    }
}

impl Kept {
    /// Remembers that a key was removed.
    pub(super) fn forget(&mut self, id: KeyId) {
        self.removed.retain(|removed| *removed != id);
        self.removed.push(id);
        let over = self.removed.len().saturating_sub(REMOVED_MAX);
        self.removed.drain(..over);
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!(
            "# Keys of the ring. Whoever has them can do all that a node of it can: keep this file secret, and change it by\n\
             # `sup ring key` only.\nformat {FORMAT}\n"
        ));
        for id in self.keys.installed() {
            if let Some(key) = self.keys.key(id) {
                text.push_str("key ");
                text.push_str(&key.text());
                text.push('\n');
            }
        }
        if let Some(id) = self.keys.in_use() {
            text.push_str(&format!("use {id}\n"));
        }
        if !self.keys.takes_clear_text() {
            text.push_str("clear-text refused\n");
        }
        for id in &self.removed {
            text.push_str(&format!("removed {id}\n"));
        }
        text
    }

    fn parse(path: &Path, text: &str) -> Result<Self, KeyFileError> {
        let mut kept = Self::default();
        for (number, line) in lines(text) {
            let wrong = |message| KeyFileError::Content { path: path.to_owned(), line: number, message };
            let (word, value) = line.split_once(' ').ok_or_else(|| wrong("expected a word and its value"))?;
            let id = || value.parse::<KeyId>().map_err(|_| wrong("expected the id of a key"));
            match word {
                "format" if value == FORMAT => {}
                "format" => return Err(wrong("a newer version of sup wrote this file; use that one")),
                "key" => {
                    let key = value.parse().map_err(|_| wrong("expected a key of the ring"))?;
                    kept.keys = kept.keys.with(key).map_err(|_| wrong("too many keys"))?;
                }
                "use" => kept.keys = kept.keys.using(id()?).map_err(|_| wrong("no such key in this file"))?,
                "clear-text" if value == "refused" => kept.keys = kept.keys.clear_text(ClearText::Refused),
                "removed" => kept.forget(id()?),
                _ => return Err(wrong("there is no such word")),
            }
        }
        Ok(kept)
    }
}

/// The lines that say something, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let trimmed = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    trimmed.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// What is kept there. None: there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Kept>, KeyFileError> {
    match read_text(path) {
        Ok(text) => Kept::parse(path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyFileError::Read { path: path.to_owned(), source }),
    }
}

/// Writes all of it anew. The old file is there until the new one is on disk.
pub(super) fn write(path: &Path, kept: &Kept) -> Result<(), KeyFileError> {
    whole::write(path, kept.text().as_bytes(), 0o600)
        .map_err(|source| KeyFileError::Write { path: path.to_owned(), source })
}

/// The keys of a file that a person made: one a line.
pub(super) fn read_keys(path: &Path) -> Result<Vec<RingKey>, KeyFileError> {
    let text = read_text(path).map_err(|source| KeyFileError::Read { path: path.to_owned(), source })?;
    let wrong = |line, message| KeyFileError::Content { path: path.to_owned(), line, message };
    let keys: Vec<RingKey> = lines(&text)
        .map(|(line, text)| text.parse().map_err(|_| wrong(line, "expected a key of the ring")))
        .collect::<Result<_, _>>()?;
    match keys.len() {
        0 => Err(KeyFileError::empty(path)),
        1..=KEYS_MAX => Ok(keys),
        _ => Err(wrong(0, "it has more keys than a node can have")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::{Kept, REMOVED_MAX, read, read_keys, write};
    use crate::net::{KeyId, KeySet, RingKey};
    use crate::whole;

    fn key(n: u8) -> RingKey {
        RingKey::from_bytes([n; 32])
    }

    #[test]
    fn what_is_kept_reads_back_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.keys");
        assert!(read(&path).unwrap().is_none());
        let keys = KeySet::sealed(key(1)).with(key(2)).unwrap();
        for kept in [Kept::default(), Kept { keys, removed: vec![key(3).id()] }] {
            write(&path, &kept).unwrap();
            assert_eq!(read(&path).unwrap(), Some(kept));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_keys_are_the_old_or_the_new_ones_whatever_fails_while_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.keys");
        let old = Kept { keys: KeySet::sealed(key(1)), removed: Vec::new() };
        let new = Kept { keys: KeySet::sealed(key(2)), removed: vec![key(1).id()] };
        let text = |kept: &Kept| kept.text().as_bytes().to_vec();
        whole::faults::whole_at_every_step(&path, &text(&old), &text(&new), || write(&path, &new));
    }

    #[test]
    fn an_error_names_the_place_and_not_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring.keys");
        for text in ["key sup-ring:abab\n", "use abab\n", "format 2\n", "clear-text abab\n", "abab\n"] {
            fs::write(&path, format!("# ring\n{text}")).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("ring.keys:2:") && !error.contains("abab"), "{error}");
        }
        fs::write(&path, "abab").unwrap();
        let error = read_keys(&path).unwrap_err().to_string();
        assert!(error.contains("ring.keys:1:") && !error.contains("abab"), "{error}");
        fs::write(&path, "# nothing\n").unwrap();
        assert!(read_keys(&path).is_err());
    }

    #[test]
    fn so_many_removed_keys_are_remembered_and_the_oldest_goes_first() {
        let mut kept = Kept::default();
        for n in 0..=u8::try_from(REMOVED_MAX).unwrap() {
            kept.forget(KeyId::from_bytes([0, 0, 0, n]));
        }
        assert_eq!(kept.removed.len(), REMOVED_MAX);
        assert_eq!(kept.removed[0], KeyId::from_bytes([0, 0, 0, 1]));
    }
}
