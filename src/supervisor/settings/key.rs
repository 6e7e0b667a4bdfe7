//! The names of the settings. One name makes the flag, the variable and the key of the file.

use std::fmt;

/// How many values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// One.
    One,
    /// Any number: a flag that may be repeated, a variable with commas, an array in the file.
    Many,
    /// `true` or `false`; the flag stands for `true` and takes no value.
    Switch,
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Address of gossip (UDP) and sync (TCP).
    ListenGossip,
    /// Address that is told to others.
    Advertise,
    /// Address of the HTTP interface.
    ListenHttp,
    /// Whether HTTP asks nobody for a token.
    InsecureHttp,
    /// The certificate that HTTP is served with.
    TlsCert,
    /// The key of that certificate.
    TlsKey,
    /// The authority whose certificates are taken in place of a token.
    TlsClientCa,
    /// Path of the local socket.
    Socket,
    /// Where everything that must survive a restart is kept.
    DataDir,
    /// Nodes to join.
    Peer,
    /// Which ring the node belongs to.
    Ring,
    /// The file with the ring's keys.
    RingKeyFile,
    /// Whether clear text is refused.
    RequireEncryption,
    /// Which network the ring runs on.
    Profile,
    /// How long to look for a peer before going on alone.
    JoinTimeout,
    /// How far ahead of this machine's clock another's may be.
    MaxClockSkew,
    /// Where plans are looked up by name, besides `./plans` and `/etc/sup/plans`.
    PlanPath,
    /// How many releases that nobody runs are kept of each plan.
    KeepReleases,
    /// The keys whose signatures on releases are trusted.
    TrustedKeys,
    /// Whether a release must be signed by a trusted key.
    RequireSignature,
    /// The key that releases are signed with that are packed here.
    SigningKey,
    /// Members that must be alive before a group elects anybody.
    ElectionMinMembers,
    /// How many members of a group vote.
    ElectionCouncilSize,
    /// What is logged.
    LogLevel,
    /// How it is written.
    LogFormat,
}

/// Everything that is fixed about a setting.
struct Definition {
    name: &'static str,
    env: &'static str,
    default: &'static [&'static str],
    arity: Arity,
}

impl Key {
    /// All of them, in the order in which they are documented.
    pub const ALL: &[Self] = &[
        Self::ListenGossip,
        Self::Advertise,
        Self::ListenHttp,
        Self::InsecureHttp,
        Self::TlsCert,
        Self::TlsKey,
        Self::TlsClientCa,
        Self::Socket,
        Self::DataDir,
        Self::Peer,
        Self::Ring,
        Self::RingKeyFile,
        Self::RequireEncryption,
        Self::Profile,
        Self::JoinTimeout,
        Self::MaxClockSkew,
        Self::PlanPath,
        Self::KeepReleases,
        Self::TrustedKeys,
        Self::RequireSignature,
        Self::SigningKey,
        Self::ElectionMinMembers,
        Self::ElectionCouncilSize,
        Self::LogLevel,
        Self::LogFormat,
    ];

    const fn definition(self) -> Definition {
        const fn one(name: &'static str, env: &'static str, default: &'static [&'static str]) -> Definition {
            Definition { name, env, default, arity: Arity::One }
        }
        match self {
            Self::ListenGossip => one("listen-gossip", "SUP_LISTEN_GOSSIP", &["0.0.0.0:9638"]),
            Self::Advertise => one("advertise", "SUP_ADVERTISE", &["auto"]),
            Self::ListenHttp => one("listen-http", "SUP_LISTEN_HTTP", &["auto"]),
            Self::InsecureHttp => Definition {
                name: "insecure-http",
                env: "SUP_INSECURE_HTTP",
                default: &["false"],
                arity: Arity::Switch,
            },
            Self::TlsCert => one("tls-cert", "SUP_TLS_CERT", &["none"]),
            Self::TlsKey => one("tls-key", "SUP_TLS_KEY", &["none"]),
            Self::TlsClientCa => one("tls-client-ca", "SUP_TLS_CLIENT_CA", &["none"]),
            Self::Socket => one("socket", "SUP_SOCKET", &["auto"]),
            Self::DataDir => one("data-dir", "SUP_DATA_DIR", &["auto"]),
            Self::Peer => Definition { name: "peer", env: "SUP_PEER", default: &[], arity: Arity::Many },
            Self::Ring => one("ring", "SUP_RING", &["default"]),
            Self::RingKeyFile => one("ring-key-file", "SUP_RING_KEY_FILE", &["none"]),
            Self::RequireEncryption => one("require-encryption", "SUP_REQUIRE_ENCRYPTION", &["auto"]),
            Self::Profile => one("profile", "SUP_PROFILE", &["lan"]),
            Self::JoinTimeout => one("join-timeout", "SUP_JOIN_TIMEOUT", &["10s"]),
            Self::MaxClockSkew => one("max-clock-skew", "SUP_MAX_CLOCK_SKEW", &["5m"]),
            Self::PlanPath => Definition { name: "plan-path", env: "SUP_PLAN_PATH", default: &[], arity: Arity::Many },
            Self::KeepReleases => one("keep-releases", "SUP_KEEP_RELEASES", &["3"]),
            Self::TrustedKeys => {
                Definition { name: "trusted-keys", env: "SUP_TRUSTED_KEYS", default: &[], arity: Arity::Many }
            }
            Self::RequireSignature => Definition {
                name: "require-signature",
                env: "SUP_REQUIRE_SIGNATURE",
                default: &["false"],
                arity: Arity::Switch,
            },
            Self::SigningKey => one("signing-key", "SUP_SIGNING_KEY", &["none"]),
            Self::ElectionMinMembers => one("election-min-members", "SUP_ELECTION_MIN_MEMBERS", &["auto"]),
            Self::ElectionCouncilSize => one("election-council-size", "SUP_ELECTION_COUNCIL_SIZE", &["auto"]),
            Self::LogLevel => one("log-level", "SUP_LOG_LEVEL", &["info"]),
            Self::LogFormat => one("log-format", "SUP_LOG_FORMAT", &["text"]),
        }
    }

    /// Its name in the file; with `--` before it, the flag.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// The environment variable.
    #[must_use]
    pub const fn env(self) -> &'static str {
        self.definition().env
    }

    /// What it is when nobody says anything.
    #[must_use]
    pub const fn default_values(self) -> &'static [&'static str] {
        self.definition().default
    }

    /// How many values it takes.
    #[must_use]
    pub const fn arity(self) -> Arity {
        self.definition().arity
    }

    /// The setting of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// The name that `name` was most likely meant to be.
    #[must_use]
    pub fn nearest(name: &str) -> Option<&'static str> {
        Self::ALL
            .iter()
            .map(|key| (strsim::jaro_winkler(name, key.name()), key.name()))
            .filter(|(similarity, _)| *similarity > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn flag_variable_and_file_share_one_name() {
        for key in Key::ALL {
            let expected = format!("SUP_{}", key.name().to_uppercase().replace('-', "_"));
            assert_eq!(key.env(), expected);
            assert_eq!(Key::named(key.name()), Some(*key));
        }
    }

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        assert_eq!(Key::nearest("listen-gosip"), Some("listen-gossip"));
        assert_eq!(Key::nearest("data_dir"), Some("data-dir"));
        assert_eq!(Key::nearest("xyzzy"), None);
    }
}
