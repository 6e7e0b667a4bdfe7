//! What a token of the API is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The environment variable with the token that commands use. What a supervisor starts does not inherit it.
pub const TOKEN_ENV: &str = "SUP_TOKEN";
/// How many hex digits an id has.
const DIGITS: usize = 12;

/// The name of a token: 12 hex digits. It is no secret, and says nothing about the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; DIGITS / 2]);

/// A text is not the id of a token. It is not repeated: it may be the token itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a token is {DIGITS} hex digits, as `sup token list` shows it")]
pub struct TokenIdError;

impl TokenId {
    /// The id made of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; DIGITS / 2]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.pad(&text)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    /// Lower-case digits only: one token has one record.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != DIGITS || !text.bytes().all(is_hex) {
            return Err(TokenIdError);
        }
        let mut bytes = [0; DIGITS / 2];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| TokenIdError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for TokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::TokenId;

    #[test]
    fn an_id_reads_back_as_it_prints() {
        let id = TokenId::from_bytes([0, 1, 0xab, 0xff, 5, 6]);
        assert_eq!(id.to_string(), "0001abff0506");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_not_12_lower_case_hex_digits_is_no_id_and_is_not_repeated() {
        for text in ["", "0001abff050", "0001abff05060", "0001ABFF0506", "0001abff050g", "üüüüüü", "+001abff0506"]
        {
            let error = text.parse::<TokenId>().unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
