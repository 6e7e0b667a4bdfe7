//! What the fuzz targets share: an input that is read as a script, a ring in memory, and properties of values.

pub mod ring;
pub mod script;
#[cfg(test)]
mod seeds;

pub use script::Script;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sup::plan::Plan;

/// A plan called `x`, with these files beside its `plan.toml`.
pub fn plan(files: &[(&str, &str)]) -> Plan {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    write("plan.toml", "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n");
    files.iter().for_each(|(name, text)| write(name, text));
    Plan::load(dir.path()).expect("a plan")
}

/// What is read as a `T` can be written and read again, and is the same then.
pub fn reads_back<T: Serialize + DeserializeOwned>(json: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(json).ok()?;
    let written = serde_json::to_string(&value).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).expect("it can be written again"), written);
    Some(value)
}

/// That a text which was taken for a name is one part of a path, and stays where it is put.
pub fn stays_inside(name: &str) {
    let base = std::path::Path::new("/base/dir");
    let path = base.join(name);
    assert_eq!(path.parent(), Some(base), "{name:?}");
    assert_eq!(path.file_name(), Some(name.as_ref()), "{name:?}");
    assert!(!name.contains(['/', '\0', '\n']) && !name.starts_with('.'), "{name:?}");
}
