//! What an archive says of itself.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::{Hash, Name, ReleaseId, Version};
use crate::plan::Plan;

/// The format that is written, and the only one that is read.
pub(super) const FORMAT: u32 = 1;
/// Longest label, in bytes: three names and versions of the longest kind are far below.
pub(super) const LABEL_BYTES: u64 = 1024;

/// What an archive says of itself, before its list of files. That it is true shows once its `plan.toml` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Label {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Name>,
    name: Name,
    version: Version,
}

/// A text is not a label.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LabelError {
    /// A newer sup wrote it.
    Format(i64),
    /// It is not as it is written, for this reason.
    Content(String),
}

impl Label {
    pub(super) fn of(plan: &Plan) -> Self {
        let manifest = &plan.manifest;
        Self {
            format: FORMAT,
            origin: manifest.origin.clone(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
        }
    }

    /// The release of this label whose list of files has this hash.
    pub(super) fn with(self, manifest: Hash) -> ReleaseId {
        let Self { origin, name, version, .. } = self;
        ReleaseId { origin, name, version, manifest }
    }

    /// The text: TOML. None of the values needs an escape.
    pub(super) fn text(&self) -> String {
        let origin = self.origin.as_ref().map(|origin| format!("origin = \"{origin}\"\n")).unwrap_or_default();
        format!("format = {}\n{origin}name = \"{}\"\nversion = \"{}\"\n", self.format, self.name, self.version)
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        // The format first: of another one nothing else can be said.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| content(error.message()))?;
        match table.get("format").and_then(toml::Value::as_integer) {
            Some(format) if format == i64::from(FORMAT) => {}
            Some(format) => return Err(LabelError::Format(format)),
            None => return Err(content("it does not say its format")),
        }
        let label: Self = table.try_into().map_err(|error: toml::de::Error| content(error.message()))?;
        // One label has one text, so that one release has one archive.
        if label.text() == text { Ok(label) } else { Err(content("it is not as it is written")) }
    }
}

fn content(why: &str) -> LabelError {
    LabelError::Content(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{FORMAT, LABEL_BYTES, Label, LabelError};
    use crate::base::limits::{NAME_CHARS, VERSION_CHARS};

    fn label(origin: Option<&str>, version: &str) -> Label {
        let origin = origin.map(|origin| origin.parse().unwrap());
        Label { format: FORMAT, origin, name: "redis".parse().unwrap(), version: version.parse().unwrap() }
    }

    #[test]
    fn a_label_reads_back_as_it_was_written() {
        for label in [label(None, "7.2"), label(Some("core"), "1.0-rc_1+b~2")] {
            assert_eq!(label.text().parse(), Ok(label));
        }
    }

    #[test]
    fn the_longest_label_is_within_its_limit() {
        let label =
            Label { name: "n".repeat(NAME_CHARS).parse().unwrap(), ..label(Some("o"), &"v".repeat(VERSION_CHARS)) };
        assert!(label.text().len() as u64 <= LABEL_BYTES);
    }

    #[test]
    fn nonsense_is_no_label_and_says_why() {
        let good = label(None, "7.2").text();
        for (text, why) in [
            (good.replace("7.2", "../../7"), "a version is 1 to 64"),
            (good.replace("redis", "re dis"), "is not a name"),
            (good.replace("format", "# format"), "format"),
            (good.replace("name = \"redis\"\n", ""), "name"),
            (format!("{good}\n"), "not as it is written"),
            ("{".to_owned(), ""),
        ] {
            let Err(LabelError::Content(told)) = text.parse::<Label>() else { panic!("{text:?} was taken") };
            assert!(told.contains(why), "{told}");
        }
        assert_eq!(good.replace("format = 1", "format = 2").parse::<Label>(), Err(LabelError::Format(2)));
    }
}
