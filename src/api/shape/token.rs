//! Tokens of the API.

use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::api::token::Token;
use crate::base::{NodeId, Role, TokenId};

/// `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is to allow.
    pub role: Role,
    /// What a person calls it.
    #[serde(default)]
    pub name: String,
    /// For how long it is to be good; none: until it is revoked.
    #[serde(default)]
    pub expires_in_ms: Option<u64>,
}

/// A token that was made: the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// The token itself.
    pub token: Token,
    /// What is known of it from now on.
    #[serde(flatten)]
    pub info: TokenInfo,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// What it is called.
    pub id: TokenId,
    /// What it allows.
    pub role: Role,
    /// What a person calls it; may be empty.
    pub name: String,
    /// When it was made.
    pub created_at: Time,
    /// Until when it is good; none: until it is revoked.
    pub expires_at: Option<Time>,
    /// Whether that has passed.
    pub expired: bool,
    /// The node that it was made on.
    pub by: NodeId,
}

/// `GET /v1/tokens`: the tokens of the ring, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Each of them.
    pub tokens: Vec<TokenInfo>,
}

/// `DELETE /v1/tokens/ID`: it gives no access any more, here at once, elsewhere as soon as that is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Which.
    pub id: TokenId,
}
