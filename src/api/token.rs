//! Tokens, with which programs and people beyond the local socket say who they are.
//!
//! A token is `sup_ID_SECRET`. The secret is 256 bits of the system's randomness, so one fast hash of it keeps it safe:
//! slow hashes (argon2, bcrypt) are for passwords, which can be guessed, and would let anybody who sends nonsense keep
//! a supervisor busy. What nodes keep and tell each other is that hash, and it is compared in constant time.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::base::{Hash, Role, TokenId, Wall};
use crate::records::value::TokenRecord;

/// What a token starts with.
const PREFIX: &str = "sup_";
/// How long a token's text is, in bytes: the prefix, 12 digits, an underscore, 64 digits.
pub const TOKEN_BYTES: usize = 4 + 12 + 1 + 64;
/// What the hash is derived for: that of a ring's key or of a file can never pass for it.
const FOR_HASH: &str = "sup 2026-11 api token: hash";

/// A token. Printed by [`text`](Self::text) alone; its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Token {
    id: TokenId,
    secret: Zeroizing<[u8; 32]>,
}

/// A text is not a token. It is not repeated: it may be one with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is {PREFIX}, 12 hex digits, _ and 64 hex digits; make one: sup token new --role ROLE")]
pub struct TokenError;

/// A token gives no access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// There is no such token, or its secret is another one. Which of the two, nobody is told.
    #[error("the token is not known here: it was revoked, or never made in this ring")]
    Unknown,
    /// It was good until some time ago.
    #[error("the token has expired")]
    Expired,
}

impl Token {
    /// A new token, from the system's randomness.
    ///
    /// # Errors
    /// There is none.
    pub fn draw() -> io::Result<Self> {
        let (mut id, mut secret) = ([0; 6], Zeroizing::new([0; 32]));
        getrandom::fill(&mut id)?;
        getrandom::fill(secret.as_mut_slice())?;
        Ok(Self { id: TokenId::from_bytes(id), secret })
    }

    /// The token made of these.
    #[must_use]
    pub fn from_parts(id: TokenId, secret: [u8; 32]) -> Self {
        Self { id, secret: Zeroizing::new(secret) }
    }

    /// What it is called.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// The token itself, for its owner.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}_{}", self.id, Hash::from_bytes(*self.secret)))
    }

    /// What is kept of its secret.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::from_bytes(blake3::derive_key(FOR_HASH, self.secret.as_slice()))
    }

    /// What it allows, by what is known of the token of its id.
    ///
    /// # Errors
    /// Nothing.
    pub fn judge(&self, known: Option<&TokenRecord>, now: Wall) -> Result<Role, TokenRefusal> {
        let known = known.ok_or(TokenRefusal::Unknown)?;
        // This type's equality takes as long wherever the two differ.
        let hash = |hash: Hash| blake3::Hash::from_bytes(*hash.as_bytes());
        if hash(self.hash()) != hash(known.hash) {
            return Err(TokenRefusal::Unknown);
        }
        if known.has_expired(now) { Err(TokenRefusal::Expired) } else { Ok(known.role) }
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != TOKEN_BYTES {
            return Err(TokenError);
        }
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(TokenError)?;
        let secret: Hash = secret.parse().map_err(|_| TokenError)?;
        Ok(Self::from_parts(id.parse().map_err(|_| TokenError)?, *secret.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && blake3::Hash::from_bytes(*self.secret) == blake3::Hash::from_bytes(*other.secret)
    }
}

impl Eq for Token {}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{TOKEN_BYTES, Token, TokenRefusal};
    use crate::base::{NodeId, Role, TokenId, Wall};
    use crate::records::value::TokenRecord;

    fn token(n: u8) -> Token {
        Token::from_parts(TokenId::from_bytes([n; 6]), [n; 32])
    }

    fn record(token: &Token, expires: Option<Wall>) -> TokenRecord {
        let (name, by) = (String::new(), NodeId::from_u128(1));
        TokenRecord { hash: token.hash(), role: Role::Operate, name, created: Wall(0), expires, by }
    }

    #[test]
    fn a_token_reads_back_as_its_text_and_prints_its_id_alone() {
        let drawn = Token::draw().unwrap();
        assert_eq!(drawn.text().len(), TOKEN_BYTES);
        assert_eq!(drawn.text().parse(), Ok(drawn.clone()));
        assert_ne!(drawn, Token::draw().unwrap());
        assert_eq!(format!("{:?}", token(0xab)), "Token(abababababab)");
    }

    #[test]
    fn what_is_malformed_too_short_or_too_long_is_no_token_and_is_not_repeated() {
        let good = token(1).text().to_string();
        for text in [
            String::new(),
            "sup_".to_owned(),
            good[..TOKEN_BYTES - 1].to_owned(),
            format!("{good}0"),
            good.replace("sup_", "SUP_"),
            good.replace('1', "A"),
            format!("{}_{}", &good[..TOKEN_BYTES - 5], &good[TOKEN_BYTES - 4..]),
            "ü".repeat(TOKEN_BYTES),
            "sup_".repeat(100_000),
        ] {
            let error = text.parse::<Token>().unwrap_err().to_string();
            assert!(text.len() < 5 || !error.contains(&text), "{error}");
        }
    }

    #[test]
    fn a_token_allows_what_it_was_made_for_until_it_expires() {
        let known = record(&token(1), Some(Wall(100)));
        assert_eq!(token(1).judge(Some(&known), Wall(99)), Ok(Role::Operate));
        assert_eq!(token(1).judge(Some(&known), Wall(100)), Err(TokenRefusal::Expired));
        assert_eq!(token(1).judge(Some(&record(&token(1), None)), Wall(u64::MAX)), Ok(Role::Operate));
    }

    #[test]
    fn a_token_that_is_revoked_or_has_another_secret_allows_nothing_and_does_not_say_which() {
        let known = record(&token(1), Some(Wall(0)));
        let guessed = Token::from_parts(token(1).id(), [2; 32]);
        assert_eq!(guessed.judge(Some(&known), Wall(1)), Err(TokenRefusal::Unknown), "not even that it has expired");
        assert_eq!(token(1).judge(None, Wall(1)), Err(TokenRefusal::Unknown));
    }

    #[test]
    fn what_is_kept_of_a_token_is_not_the_token() {
        let kept = serde_json::to_string(&record(&token(7), None)).unwrap();
        let text = token(7).text();
        assert!(!kept.contains(text.rsplit('_').next().unwrap()), "{kept}");
    }
}
