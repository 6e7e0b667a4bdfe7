//! Where settings come from: flags, the environment, the file, the defaults.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::key::{Arity, Key};
use crate::net::RingKeyError;

/// The file that is read when none is named, if it is there.
pub(super) const SYSTEM_FILE: &str = "/etc/sup/sup.toml";
/// The variable that names the file.
const CONFIG_ENV: &str = "SUP_CONFIG";
/// Largest file that is read, in bytes.
pub(super) const FILE_BYTES: u64 = 256 * 1024;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What settings are put together from.
pub struct Sources<'a> {
    /// Flags of the command line, as typed; one that takes many values is repeated.
    pub flags: Vec<(Key, String)>,
    /// The environment.
    pub env: Environment<'a>,
    /// The file that `--config` names; none for `SUP_CONFIG`, or else `/etc/sup/sup.toml` if it is there.
    pub config: Option<PathBuf>,
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("flags", &self.flags).field("config", &self.config).finish_non_exhaustive()
    }
}

/// Where a setting is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// An environment variable.
    Env(&'static str),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// The settings are not usable. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML, or a value in it has the wrong type.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The file has a key that is no setting.
    #[error(
        "{}:{line}:{column}: there is no setting {key:?}{}", path.display(),
        nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The key.
        key: String,
        /// The setting that may have been meant.
        nearest: Option<&'static str>,
    },
    /// A value is not one of this setting.
    #[error("{origin}: {key} cannot be {value:?}: {message}")]
    Value {
        /// Where it is from.
        origin: Origin,
        /// Which setting.
        key: Key,
        /// The value.
        value: String,
        /// Why not.
        message: String,
    },
    /// What should be a key of the ring is none.
    #[error("the environment variable {name} has something that is no key")]
    RingKey {
        /// The variable.
        name: &'static str,
        /// What a key looks like.
        #[source]
        source: RingKeyError,
    },
    /// A variable is not text.
    #[error("the environment variable {name} is not valid UTF-8")]
    NotText {
        /// Which one.
        name: &'static str,
    },
}

/// The values of one setting, and where they are from.
type Said = (Vec<String>, Origin);

/// For each setting, the values of the strongest source that has any.
pub(super) struct Layers {
    values: BTreeMap<Key, Said>,
}

impl Sources<'_> {
    pub(super) fn read(&self) -> Result<Layers, SettingsError> {
        let mut values: BTreeMap<Key, Said> = Key::ALL
            .iter()
            .map(|key| (*key, (key.default_values().iter().map(|&text| text.to_owned()).collect(), Origin::Default)))
            .collect();
        if let Some(path) = self.file() {
            values.extend(read_file(&path)?);
        }
        for key in Key::ALL {
            if let Some(value) = (self.env)(key.env()).filter(|value| !value.is_empty()) {
                let text = value.into_string().map_err(|_| SettingsError::NotText { name: key.env() })?;
                values.insert(*key, (split(*key, &text), Origin::Env(key.env())));
            }
        }
        let mut flags: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        for (key, value) in &self.flags {
            let values = flags.entry(*key).or_default();
            match key.arity() {
                Arity::Many => values.push(value.clone()),
                // As with most programs, the last one counts.
                Arity::One | Arity::Switch => *values = vec![value.clone()],
            }
        }
        values.extend(flags.into_iter().map(|(key, values)| (key, (values, Origin::Flag(key.name())))));
        Ok(Layers { values })
    }

    fn file(&self) -> Option<PathBuf> {
        let named = self.config.clone().or_else(|| (self.env)(CONFIG_ENV).filter(|p| !p.is_empty()).map(PathBuf::from));
        named.or_else(|| Some(PathBuf::from(SYSTEM_FILE)).filter(|path| path.exists()))
    }
}

/// The values of a variable.
fn split(key: Key, text: &str) -> Vec<String> {
    let separators: &[char] = match key {
        Key::PlanPath => &[':'],
        _ => &[',', ' ', '\n', '\t'],
    };
    match key.arity() {
        Arity::Many => text.split(separators).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        Arity::One | Arity::Switch => vec![text.to_owned()],
    }
}

fn read_file(path: &Path) -> Result<Vec<(Key, Said)>, SettingsError> {
    let read = |source| SettingsError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(read)?.len();
    if bytes > FILE_BYTES {
        let too_large = format!("it has {bytes} bytes, and at most {FILE_BYTES} are read");
        return Err(read(io::Error::new(io::ErrorKind::FileTooLarge, too_large)));
    }
    let text = fs::read_to_string(path).map_err(read)?;
    let content = |offset: usize, message: String| {
        let (line, column) = position(&text, offset);
        SettingsError::Content { path: path.to_owned(), line, column, message }
    };
    let table = DeTable::parse(&text)
        .map_err(|error| content(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let mut values = Vec::new();
    for (name, value) in table.get_ref() {
        let (line, column) = position(&text, name.span().start);
        let Some(key) = Key::named(name.get_ref()) else {
            let key = name.get_ref().chars().take(80).collect::<String>();
            let nearest = Key::nearest(&key);
            return Err(SettingsError::UnknownKey { path: path.to_owned(), line, column, key, nearest });
        };
        let texts = texts(key, value.get_ref()).map_err(|message| content(value.span().start, message))?;
        let (line, column) = position(&text, value.span().start);
        values.push((key, (texts, Origin::File { path: path.to_owned(), line, column })));
    }
    Ok(values)
}

/// The values of a key of the file. A number where a text is expected is taken as its digits.
fn texts(key: Key, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let single = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    match (key.arity(), value) {
        (Arity::Many, DeValue::Array(items)) => items
            .iter()
            .map(|item| single(item.get_ref()).ok_or_else(|| format!("{key} is an array of strings")))
            .collect(),
        (Arity::Many, _) => Err(format!("{key} is an array of strings")),
        (Arity::One, value) => single(value).map(|text| vec![text]).ok_or_else(|| format!("{key} is a string")),
        (Arity::Switch, DeValue::Boolean(switch)) => Ok(vec![switch.to_string()]),
        (Arity::Switch, _) => Err(format!("{key} is true or false")),
    }
}

impl Layers {
    fn get(&self, key: Key) -> (&[String], &Origin) {
        self.values.get(&key).map_or((&[], &Origin::Default), |(values, origin)| (values, origin))
    }

    /// The one value of a setting.
    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        key: Key,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SettingsError> {
        let (values, origin) = self.get(key);
        let text = values.first().map_or("", String::as_str);
        parse(text).map_err(|error| value_error(key, text, origin, &error))
    }

    /// All values of a setting.
    pub(super) fn all<T, E: fmt::Display>(
        &self,
        key: Key,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, SettingsError> {
        let (values, origin) = self.get(key);
        values.iter().map(|text| parse(text).map_err(|error| value_error(key, text, origin, &error))).collect()
    }

    pub(super) fn origins(self) -> BTreeMap<Key, Origin> {
        self.values.into_iter().map(|(key, (_, origin))| (key, origin)).collect()
    }
}

fn value_error(key: Key, value: &str, origin: &Origin, message: &dyn fmt::Display) -> SettingsError {
    let value = value.chars().take(120).collect();
    SettingsError::Value { origin: origin.clone(), key, value, message: message.to_string() }
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
