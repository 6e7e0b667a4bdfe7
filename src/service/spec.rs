//! What was asked for: one TOML file per service, which a person may read and edit.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::{GroupId, GroupIdError, Hash, Name, NameError};
use crate::records::value::{DesiredState, Strategy, Topology};
use crate::whole;

/// Largest spec file that is read, in bytes.
const SPEC_BYTES: u64 = 64 * 1024;

/// Which service runs here, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The service's name, which is its plan's.
    pub service: Name,
    /// The group that it is a member of.
    #[serde(default = "default_group")]
    pub group: Name,
    /// The directory of its plan.
    pub plan: PathBuf,
    /// The release that is a copy of that directory, as it was when a person last started the service from it: what the
    /// service goes by until it is told to go by another release, and what it goes back to. None: the directory itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Hash>,
    /// How the group's members relate.
    #[serde(default, deserialize_with = "known_topology")]
    pub topology: Topology,
    /// How changes reach the group's members.
    #[serde(default, deserialize_with = "known_strategy")]
    pub strategy: Strategy,
    /// What it is bound to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<Bind>,
    /// Whether it waits for its binds.
    #[serde(default)]
    pub binding_mode: BindingMode,
    /// The directory that its `user.toml` is read from; none: `DATA/user/SERVICE/config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_from: Option<PathBuf>,
    /// Whether it should run.
    #[serde(default, deserialize_with = "known_desired")]
    pub desired: DesiredState,
}

fn default_group() -> Name {
    #[expect(clippy::unwrap_used, reason = "a literal that is a name; asserted by a test")]
    "default".parse().unwrap()
}

/// In a record an unknown word is a newer node's and reads as the default; in a file it is a person's slip.
fn known<'de, D: Deserializer<'de>, T: Copy>(deserializer: D, known: &[(&str, T)]) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        serde::de::Error::custom(format!("{text:?} is none of: {}", words.join(", ")))
    })
}

fn known_topology<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Topology, D::Error> {
    known(deserializer, &[("standalone", Topology::Standalone), ("leader", Topology::Leader)])
}

fn known_strategy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Strategy, D::Error> {
    known(deserializer, &[("none", Strategy::None), ("at-once", Strategy::AtOnce), ("rolling", Strategy::Rolling)])
}

fn known_desired<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DesiredState, D::Error> {
    known(deserializer, &[("up", DesiredState::Up), ("down", DesiredState::Down)])
}

/// Whether a service waits for its required binds before its first start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingMode {
    /// It waits until each has a member that is up.
    #[default]
    Strict,
    /// It starts at once; its templates cope.
    Relaxed,
}

/// A text is not a binding mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a binding mode is strict or relaxed, not {0:?}")]
pub struct BindingModeError(String);

impl FromStr for BindingMode {
    type Err = BindingModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "strict" => Ok(Self::Strict),
            "relaxed" => Ok(Self::Relaxed),
            other => Err(BindingModeError(other.chars().take(40).collect())),
        }
    }
}

/// A bind, `NAME:SERVICE.GROUP` (`backend:nginx.default`): the plan's name for what it needs, and who provides it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bind {
    /// The plan's name for it.
    pub name: Name,
    /// The group that provides it.
    pub group: GroupId,
}

/// A text is not a bind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// There is no colon.
    #[error("a bind is NAME:SERVICE.GROUP, such as backend:nginx.default, not {0:?}")]
    Shape(String),
    /// What is before the colon is not a name.
    #[error("the name of the bind {bind:?} is not a name")]
    Name {
        /// The whole text.
        bind: String,
        /// Why it is not.
        #[source]
        source: NameError,
    },
    /// What is after the colon is not a group.
    #[error("the group of the bind {bind:?} is not a service group")]
    Group {
        /// The whole text.
        bind: String,
        /// Why it is not.
        #[source]
        source: GroupIdError,
    },
}

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().take(200).collect::<String>();
        let (name, group) = text.split_once(':').ok_or_else(|| BindError::Shape(shown()))?;
        let name = name.parse().map_err(|source| BindError::Name { bind: shown(), source })?;
        let group = group.parse().map_err(|source| BindError::Group { bind: shown(), source })?;
        Ok(Self { name, group })
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.group)
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Bind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: BindError| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            serde::de::Error::custom(format!("{error}{cause}"))
        })
    }
}

/// A spec file could not be loaded. The file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum LoadSpecError {
    /// It could not be read; trying again may help.
    #[error("cannot read the spec {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It says something that no spec says.
    #[error("{}:{line}:{column}: {message}; edit or remove the file, then start the service again", path.display())]
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
    /// Its name is not that of the service that it describes.
    #[error("{} describes the service {service}: rename it to {service}.toml", path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The service in it.
        service: Name,
    },
    /// It is larger than any spec.
    #[error("the spec {} has {bytes} bytes, more than {SPEC_BYTES}: this is not a spec", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

/// A spec file could not be saved. The old file, if there was one, is in place.
#[derive(Debug, thiserror::Error)]
#[error("cannot save the spec {}", path.display())]
pub struct SaveSpecError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl ServiceSpec {
    /// A spec with everything at its default.
    #[must_use]
    pub fn new(service: Name, plan: PathBuf) -> Self {
        Self {
            service,
            group: default_group(),
            plan,
            snapshot: None,
            topology: Topology::Standalone,
            strategy: Strategy::None,
            binds: Vec::new(),
            binding_mode: BindingMode::Strict,
            config_from: None,
            desired: DesiredState::Up,
        }
    }

    /// The service group.
    #[must_use]
    pub fn group_id(&self) -> GroupId {
        GroupId::new(self.service.clone(), self.group.clone())
    }

    /// Where the spec of a service is kept.
    #[must_use]
    pub fn path(data_dir: &Path, service: &Name) -> PathBuf {
        data_dir.join("specs").join(format!("{service}.toml"))
    }

    /// Loads every spec of a data directory, by file name. One that is bad does not keep the others from loading.
    ///
    /// # Errors
    /// When the directory is there and cannot be read.
    pub fn load_all(data_dir: &Path) -> io::Result<Vec<Result<Self, LoadSpecError>>> {
        let dir = data_dir.join("specs");
        // What a crash left half-written. It is no spec by its name, so that it does no harm where it cannot be removed.
        whole::clear(&dir).ok();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths.iter().map(|path| Self::load(path)).collect())
    }

    /// Loads one spec file.
    ///
    /// # Errors
    /// When it cannot be read or is no spec of the service that it is named after.
    pub fn load(path: &Path) -> Result<Self, LoadSpecError> {
        let read = |source| LoadSpecError::Read { path: path.to_owned(), source };
        let bytes = fs::metadata(path).map_err(read)?.len();
        if bytes > SPEC_BYTES {
            return Err(LoadSpecError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = fs::read_to_string(path).map_err(read)?;
        let spec: Self = toml::from_str(&text).map_err(|error| {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            LoadSpecError::Content { path: path.to_owned(), line, column, message: error.message().to_owned() }
        })?;
        if path.file_stem().is_none_or(|stem| stem != spec.service.as_str()) {
            return Err(LoadSpecError::Misnamed { path: path.to_owned(), service: spec.service });
        }
        Ok(spec)
    }

    /// Saves the spec where [`Self::path`] says. It is on the disk in whole, or not at all.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is in place then.
    pub fn save(&self, data_dir: &Path) -> Result<(), SaveSpecError> {
        let path = Self::path(data_dir, &self.service);
        self.save_to(&path).map_err(|source| SaveSpecError { path, source })
    }

    fn save_to(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let text = toml::to_string_pretty(self).map_err(io::Error::other)?;
        whole::write(path, text.as_bytes(), 0o600)
    }

    /// Removes the spec of a service. That there is none is fine.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(data_dir: &Path, service: &Name) -> io::Result<()> {
        whole::remove(&Self::path(data_dir, service))
    }
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Bind, BindingMode, LoadSpecError, SPEC_BYTES, ServiceSpec, default_group};
    use crate::records::value::{DesiredState, Topology};

    fn spec() -> ServiceSpec {
        ServiceSpec {
            topology: Topology::Leader,
            binds: vec!["backend:nginx.default".parse().unwrap()],
            binding_mode: BindingMode::Relaxed,
            desired: DesiredState::Down,
            ..ServiceSpec::new("redis".parse().unwrap(), "/plans/redis".into())
        }
    }

    #[test]
    fn a_spec_reads_back_as_it_was_saved_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        spec().save(dir.path()).unwrap();
        let path = ServiceSpec::path(dir.path(), &spec().service);
        assert_eq!(ServiceSpec::load(&path).unwrap(), spec());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "a temporary file was left: {names:?}");
    }

    #[test]
    fn a_spec_is_the_old_one_or_the_new_one_whatever_fails_while_it_is_saved() {
        let dir = tempfile::tempdir().unwrap();
        let (new, path) = (spec(), ServiceSpec::path(dir.path(), &spec().service));
        new.save(dir.path()).unwrap();
        let text = fs::read(&path).unwrap();
        let old = b"service = \"redis\"\nplan = \"before\"\n";
        crate::whole::faults::whole_at_every_step(&path, old, &text, || new.save(dir.path()));
    }

    #[test]
    fn the_shortest_spec_is_a_service_and_a_plan() {
        let spec: ServiceSpec = toml::from_str("service = \"demo\"\nplan = \"demo\"").unwrap();
        assert_eq!(spec, ServiceSpec::new("demo".parse().unwrap(), "demo".into()));
        assert_eq!(spec.group, default_group());
    }

    #[test]
    fn a_bad_spec_is_reported_with_its_place_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("specs")).unwrap();
        let path = dir.path().join("specs/redis.toml");
        for (text, place, words) in [
            ("service = \"redis\"\nplan = \"p\"\ntopologie = \"leader\"\n", ":3:1:", "topologie"),
            ("service = \"redis\"\nplan = ", ":2:", "edit or remove"),
            ("service = \"redis\"\nplan = \"p\"\ntopology = \"leadr\"\n", ":3:", "standalone, leader"),
            ("service = \"redis\"\nplan = \"p\"\nbinds = [\"web\"]\n", ":3:", "NAME:SERVICE.GROUP"),
            (
                "service = \"redis\"\nplan = \"p\"\nbinds = [\"web:nginx\"]\n",
                ":3:",
                "SERVICE.GROUP, such as redis.default",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let loaded = ServiceSpec::load_all(dir.path()).unwrap();
            let [Err(error)] = loaded.as_slice() else { panic!("{loaded:?}") };
            let message = error.to_string();
            assert!(message.contains(place) && message.contains(words), "{message}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_bad_spec_does_not_keep_the_others_from_loading() {
        let dir = tempfile::tempdir().unwrap();
        spec().save(dir.path()).unwrap();
        fs::write(dir.path().join("specs/a.toml"), "???").unwrap();
        let loaded = ServiceSpec::load_all(dir.path()).unwrap();
        assert!(loaded[0].is_err());
        assert_eq!(loaded[1].as_ref().unwrap(), &spec());
    }

    #[test]
    fn a_spec_under_another_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        spec().save(dir.path()).unwrap();
        let other = dir.path().join("specs/other.toml");
        fs::rename(ServiceSpec::path(dir.path(), &spec().service), &other).unwrap();
        assert!(matches!(ServiceSpec::load(&other), Err(LoadSpecError::Misnamed { .. })));
    }

    #[test]
    fn a_spec_is_read_at_its_size_limit_and_refused_one_beyond() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("redis.toml");
        let mut text = "service = \"redis\"\nplan = \"p\"\n#".to_owned();
        text.push_str(&"x".repeat(usize::try_from(SPEC_BYTES).unwrap() - text.len()));
        fs::write(&path, &text).unwrap();
        ServiceSpec::load(&path).unwrap();
        text.push('x');
        fs::write(&path, &text).unwrap();
        assert!(matches!(ServiceSpec::load(&path), Err(LoadSpecError::TooLarge { .. })));
    }

    #[test]
    fn a_removed_spec_is_gone_and_removing_it_again_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        spec().save(dir.path()).unwrap();
        ServiceSpec::remove(dir.path(), &spec().service).unwrap();
        ServiceSpec::remove(dir.path(), &spec().service).unwrap();
        assert!(ServiceSpec::load_all(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_bind_says_which_part_is_wrong() {
        assert_eq!("db:redis.default".parse::<Bind>().unwrap().to_string(), "db:redis.default");
        for (text, words) in [("db", "NAME:SERVICE.GROUP"), ("D:redis.default", "the name"), ("db:redis", "the group")]
        {
            let error = text.parse::<Bind>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
