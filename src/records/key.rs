//! Keys of records.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::limits::RECORD_KEY_BYTES;
use crate::base::{FileName, GroupId, NodeId, Seat, TokenId};

/// Most characters of a config revision in a key; what goes beyond is cut off.
const REVISION_CHARS: usize = 64;

/// What a record is about: a path whose first segment is the class, which says who may write it and how two
/// versions are ordered. Cheap to clone.
///
/// `owned/NODE/node`, `owned/NODE/service/GROUP`, `shared/config/GROUP/REVISION`, `shared/file/GROUP/NAME/REVISION`,
/// `shared/desired/GROUP`, `shared/options/GROUP`, `shared/release/GROUP`, `shared/order/GROUP`, `shared/departed/NODE`,
/// `shared/token/ID`, `fenced/seat/GROUP/SEAT`, `fenced/council/GROUP`, `fenced/rollout/GROUP`. A key of a kind that this
/// version does not know is carried along, so that a ring may run two versions of `sup` at once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Who may write a record, and how two versions of it are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Written by this node only.
    Owned(NodeId),
    /// Written by anyone; the later one by the hybrid logical clock wins.
    Shared,
    /// Written by whoever holds a term; the higher term wins, whatever the clocks say.
    Fenced,
}

/// What a key is about, as far as this version knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A node's own facts.
    Node(NodeId),
    /// The status of a node's member of a group.
    Service(GroupId, NodeId),
    /// One revision of a group's config.
    Config(GroupId, String),
    /// One revision of a file of a group.
    File(GroupId, FileName, String),
    /// What a group should be.
    Desired(GroupId),
    /// How changes of a group are to be rolled out.
    Options(GroupId),
    /// Which release a group should run.
    Release(GroupId),
    /// What a person wants of a group's rollout.
    Order(GroupId),
    /// A node that is gone for good.
    Departed(NodeId),
    /// What a token of the API stands for.
    Token(TokenId),
    /// How far a group's rollout is.
    Rollout(GroupId),
    /// Who holds a seat.
    Seat(GroupId, Seat),
    /// Who votes in a group.
    Council(GroupId),
    /// A kind of a newer version.
    Unknown,
}

/// A text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is longer than [`RECORD_KEY_BYTES`].
    #[error("a record's key has at most {RECORD_KEY_BYTES} bytes, not {0}")]
    TooLong(usize),
    /// It is not a path of a known class.
    #[error("a record's key is owned/NODE/..., shared/... or fenced/..., not {0:?}")]
    Class(String),
    /// A segment is empty, or has a control character.
    #[error("a record's key has no empty segments and no control characters: {0:?}")]
    Segment(String),
}

impl Key {
    /// A node's own facts.
    #[must_use]
    pub fn node(node: NodeId) -> Self {
        Self(format!("owned/{node}/node").into())
    }

    /// The status of `node`'s member of `group`.
    #[must_use]
    pub fn service(group: &GroupId, node: NodeId) -> Self {
        Self(format!("owned/{node}/service/{group}").into())
    }

    /// The revision `revision` of `group`'s config. Revisions are letters, digits, `-`, `_` and `.`: in the key,
    /// anything else that a person may have typed becomes `_`, and no record is found there.
    #[must_use]
    pub fn config(group: &GroupId, revision: &str) -> Self {
        Self(format!("shared/config/{group}/{}", plain(revision)).into())
    }

    /// The revision `revision` of the file `name` of `group`. Of revisions, see [`Self::config`].
    #[must_use]
    pub fn file(group: &GroupId, name: &FileName, revision: &str) -> Self {
        Self(format!("shared/file/{group}/{name}/{}", plain(revision)).into())
    }

    /// What `group` should be.
    #[must_use]
    pub fn desired(group: &GroupId) -> Self {
        Self(format!("shared/desired/{group}").into())
    }

    /// How changes of `group` are to be rolled out.
    #[must_use]
    pub fn options(group: &GroupId) -> Self {
        Self(format!("shared/options/{group}").into())
    }

    /// Which release `group` should run.
    #[must_use]
    pub fn release(group: &GroupId) -> Self {
        Self(format!("shared/release/{group}").into())
    }

    /// What a person wants of the rollout of `group`.
    #[must_use]
    pub fn order(group: &GroupId) -> Self {
        Self(format!("shared/order/{group}").into())
    }

    /// That `node` is gone for good.
    #[must_use]
    pub fn departed(node: NodeId) -> Self {
        Self(format!("shared/departed/{node}").into())
    }

    /// What the token `id` of the API stands for.
    #[must_use]
    pub fn token(id: TokenId) -> Self {
        Self(format!("shared/token/{id}").into())
    }

    /// How far the rollout of `group` is.
    #[must_use]
    pub fn rollout(group: &GroupId) -> Self {
        Self(format!("fenced/rollout/{group}").into())
    }

    /// Who holds `seat` of `group`.
    #[must_use]
    pub fn seat(group: &GroupId, seat: &Seat) -> Self {
        Self(format!("fenced/seat/{group}/{seat}").into())
    }

    /// Who votes in `group`.
    #[must_use]
    pub fn council(group: &GroupId) -> Self {
        Self(format!("fenced/council/{group}").into())
    }

    /// The prefix of everything that `node` owns, for [`super::Records::with_prefix`].
    #[must_use]
    pub fn owned_prefix(node: NodeId) -> String {
        format!("owned/{node}/")
    }

    /// The prefix of all revisions of `group`'s config, for [`super::Records::with_prefix`].
    #[must_use]
    pub fn config_prefix(group: &GroupId) -> String {
        format!("shared/config/{group}/")
    }

    /// The prefix of all tokens, for [`super::Records::with_prefix`].
    pub const TOKEN_PREFIX: &str = "shared/token/";

    /// The text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who may write the record, and how its versions are ordered.
    #[must_use]
    pub fn class(&self) -> Class {
        let (class, rest) = self.0.split_once('/').unwrap_or((&self.0, ""));
        match class {
            "owned" => match rest.split('/').next().unwrap_or_default().parse() {
                Ok(node) => Class::Owned(node),
                // No key of this shape exists: `from_str` checks it, and the constructors write it.
                Err(_) => Class::Shared,
            },
            "fenced" => Class::Fenced,
            _ => Class::Shared,
        }
    }

    /// What the record is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        parse_kind(&self.0).unwrap_or(Kind::Unknown)
    }
}

fn plain(revision: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let mut revision: String = revision.chars().take(REVISION_CHARS).map(plain).collect();
    if revision.is_empty() {
        revision.push('_');
    }
    revision
}

fn parse_kind(text: &str) -> Option<Kind> {
    let (class, rest) = text.split_once('/')?;
    let (first, rest) = rest.split_once('/')?;
    Some(match (class, first) {
        ("owned", node) => {
            let node = node.parse().ok()?;
            match rest.split_once('/') {
                None if rest == "node" => Kind::Node(node),
                Some(("service", group)) => Kind::Service(group.parse().ok()?, node),
                None | Some(_) => Kind::Unknown,
            }
        }
        ("shared", "config") => {
            let (group, revision) = rest.split_once('/')?;
            if revision.contains('/') {
                return None;
            }
            Kind::Config(group.parse().ok()?, revision.to_owned())
        }
        ("shared", "file") => {
            let (group, rest) = rest.split_once('/')?;
            let (name, revision) = rest.split_once('/')?;
            if revision.contains('/') {
                return None;
            }
            Kind::File(group.parse().ok()?, name.parse().ok()?, revision.to_owned())
        }
        ("shared", "desired") => Kind::Desired(rest.parse().ok()?),
        ("shared", "options") => Kind::Options(rest.parse().ok()?),
        ("shared", "release") => Kind::Release(rest.parse().ok()?),
        ("shared", "departed") => {
            let node: NodeId = rest.parse().ok()?;
            // In capital letters it would be a second record about one node, which nobody who knows the first would find.
            if rest.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return None;
            }
            Kind::Departed(node)
        }
        ("shared", "token") => Kind::Token(rest.parse().ok()?),
        ("shared", "order") => Kind::Order(rest.parse().ok()?),
        ("fenced", "rollout") => Kind::Rollout(rest.parse().ok()?),
        ("fenced", "seat") => {
            let (group, seat) = rest.split_once('/')?;
            Kind::Seat(group.parse().ok()?, seat.parse().ok()?)
        }
        ("fenced", "council") => Kind::Council(rest.parse().ok()?),
        (_, _) => Kind::Unknown,
    })
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > RECORD_KEY_BYTES {
            return Err(KeyError::TooLong(text.len()));
        }
        let excerpt = || text.chars().take(80).collect();
        if text.chars().any(char::is_control) || text.split('/').any(str::is_empty) {
            return Err(KeyError::Segment(excerpt()));
        }
        let class_is_known = match text.split_once('/') {
            Some(("shared" | "fenced", _)) => true,
            // Lower-case digits only: one node's key has one spelling.
            Some(("owned", rest)) => rest.split_once('/').is_some_and(|(node, _)| {
                node.parse::<NodeId>().is_ok() && !node.bytes().any(|b| b.is_ascii_uppercase())
            }),
            None | Some(_) => false,
        };
        if class_is_known { Ok(Self(text.into())) } else { Err(KeyError::Class(excerpt())) }
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Key, Kind};
    use crate::base::limits::RECORD_KEY_BYTES;
    use crate::base::{FileName, GroupId, NodeId, Seat, TokenId};

    #[test]
    fn every_key_reads_back_as_what_it_was_made_of() {
        let node = NodeId::from_u128(0xab);
        let group: GroupId = "redis.default".parse().unwrap();
        let name: FileName = "users.acl".parse().unwrap();
        let token = TokenId::from_bytes([1, 2, 3, 4, 5, 6]);
        let lock: Seat = "lock/backup".parse().unwrap();
        let cases = [
            (Key::node(node), Kind::Node(node), Class::Owned(node)),
            (Key::service(&group, node), Kind::Service(group.clone(), node), Class::Owned(node)),
            (Key::config(&group, "3-1a2b3c4d"), Kind::Config(group.clone(), "3-1a2b3c4d".into()), Class::Shared),
            (Key::file(&group, &name, "1-a"), Kind::File(group.clone(), name.clone(), "1-a".into()), Class::Shared),
            (Key::desired(&group), Kind::Desired(group.clone()), Class::Shared),
            (Key::options(&group), Kind::Options(group.clone()), Class::Shared),
            (Key::release(&group), Kind::Release(group.clone()), Class::Shared),
            (Key::order(&group), Kind::Order(group.clone()), Class::Shared),
            (Key::departed(node), Kind::Departed(node), Class::Shared),
            (Key::token(token), Kind::Token(token), Class::Shared),
            (Key::rollout(&group), Kind::Rollout(group.clone()), Class::Fenced),
            (Key::seat(&group, &Seat::Leader), Kind::Seat(group.clone(), Seat::Leader), Class::Fenced),
            (Key::seat(&group, &lock), Kind::Seat(group.clone(), lock), Class::Fenced),
            (Key::council(&group), Kind::Council(group.clone()), Class::Fenced),
        ];
        for (key, kind, class) in cases {
            assert_eq!(key.as_str().parse::<Key>().unwrap(), key);
            assert_eq!((key.kind(), key.class()), (kind, class), "{key}");
        }
    }

    #[test]
    fn a_key_of_a_kind_not_yet_invented_is_carried_along() {
        let upper = format!("shared/departed/{}", "A".repeat(32));
        for text in [
            &upper,
            "shared/blob/abc",
            "fenced/moon/redis.default",
            "shared/desired/not a group",
            "shared/config/x",
            "shared/file/redis.default/../1-a",
        ] {
            assert_eq!(text.parse::<Key>().unwrap().kind(), Kind::Unknown);
        }
    }

    #[test]
    fn a_key_is_taken_at_the_limit_and_refused_one_beyond() {
        let prefix = "shared/";
        let fill = "k".repeat(RECORD_KEY_BYTES - prefix.len());
        assert!(format!("{prefix}{fill}").parse::<Key>().is_ok());
        assert!(format!("{prefix}{fill}k").parse::<Key>().is_err());
    }

    #[test]
    fn what_has_no_class_or_is_no_path_is_no_key() {
        let upper = format!("owned/{}/node", "A".repeat(32));
        for text in
            ["", "shared", "shared/", "shared//x", "other/x", "owned/12/node", "shared/a\nb", "/shared/x", &upper]
        {
            assert!(text.parse::<Key>().is_err(), "{text:?} was taken for a key");
        }
    }

    #[test]
    fn a_revision_that_a_person_typed_cannot_leave_its_place_in_the_key() {
        let group: GroupId = "redis.default".parse().unwrap();
        let key = Key::config(&group, "../\n desired");
        assert_eq!(key.as_str(), "shared/config/redis.default/..___desired");
        assert!(Key::config(&group, "").as_str().parse::<Key>().is_ok());
        assert!(Key::config(&group, &"é/".repeat(4000)).as_str().parse::<Key>().is_ok());
    }
}
