//! What somebody who asks a supervisor for something may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far somebody is trusted. Each role may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look, but at nothing that may hold a secret.
    Read,
    /// Change what runs already, and see what it runs with.
    Operate,
    /// Everything: code may be brought in, nodes sent away, keys and tokens made.
    Admin,
}

/// A text is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a role is read, operate or admin, not {0:?}")]
pub struct RoleError(String);

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|role| role.as_str() == text);
        named.ok_or_else(|| RoleError(text.chars().take(20).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn each_role_reads_back_as_it_prints_and_includes_those_before_it() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert!(Role::ALL.is_sorted() && "root".parse::<Role>().is_err());
    }
}
