//! What the nodes know of a token of the API: all but the token.

use serde::{Deserialize, Serialize};

use crate::base::{Hash, NodeId, Role, Wall};

/// Most characters of a token's name.
pub const TOKEN_NAME_CHARS: usize = 64;

/// What a token of the API stands for (key [`super::Key::token`]); deleted when it is revoked. It never changes
/// otherwise.
///
/// It has no defaults: a token of a role, or with a condition, that this version cannot read gives no access at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The hash of its secret. Who has it has no token.
    pub hash: Hash,
    /// What it allows.
    pub role: Role,
    /// What a person calls it; may be empty.
    pub name: String,
    /// When it was made.
    pub created: Wall,
    /// Until when it is good; none: until it is revoked.
    pub expires: Option<Wall>,
    /// The node that it was made on.
    pub by: NodeId,
}

impl TokenRecord {
    /// Whether it is good no more.
    #[must_use]
    pub fn has_expired(&self, now: Wall) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
