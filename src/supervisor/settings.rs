//! The settings of a supervisor: flag beats environment beats file beats default, and each knows where it is from.

mod key;
mod source;
mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::api::server::Openness;
use crate::api::tls::ServerTlsFiles;
use crate::base::RingName;
use crate::base::limits::COUNCIL_MAX;
use crate::net::{RING_KEY_ENV, RingKey};
use crate::node::GroupRules;
use crate::plan::ElectionSpec;
use crate::records::value::Topology;
use crate::release::{Requirement, TrustedKey};
use crate::ring::Profile;

pub use key::{Arity, Key};
pub use source::{Environment, Origin, SettingsError, Sources};
pub use value::{Advertise, Encryption, GOSSIP_PORT, HTTP_PORT, ListenHttp, LogFormat, Peer, PeerError};

use source::Layers;
use value::{duration, listen_address};

/// Longest path of a unix socket, in bytes: the kernel's 108, less the end mark.
const SOCKET_PATH_BYTES: usize = 107;
/// Members that a group with a leader needs before it elects anybody, unless its plan or a setting says otherwise.
const LEADER_MIN_MEMBERS: usize = 3;
/// How many members of a group vote, unless its plan or a setting says otherwise.
const COUNCIL_SIZE: usize = 5;
/// For how long a voter may be silent before another takes its place, unless the plan says otherwise: longer than most
/// machines take to start again.
const REPLACE_VOTER_AFTER: Duration = Duration::from_secs(60);
/// The word for "found out at start".
const AUTO: &str = "auto";
/// The word for "there is none".
const NONE: &str = "none";
/// Most releases of a plan that can be kept without need: each takes the room of its files twice.
const RELEASES_KEPT_MAX: usize = 100;

/// All settings, checked. How to change one is in `config/sup.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address of gossip (UDP) and sync (TCP).
    pub listen_gossip: SocketAddr,
    /// Address that is told to others.
    pub advertise: Advertise,
    /// Where HTTP is served.
    pub listen_http: ListenHttp,
    /// What those on HTTP may do who do not say who they are.
    pub http_openness: Openness,
    /// What HTTP is served with; none: in clear text.
    pub tls: Option<ServerTlsFiles>,
    /// The local socket.
    pub socket: PathBuf,
    /// Where everything that must survive a restart is kept.
    pub data_dir: PathBuf,
    /// Nodes to join.
    pub peers: Vec<Peer>,
    /// Which ring this node belongs to.
    pub ring: RingName,
    /// Keys of the ring that the environment has.
    pub ring_keys: Vec<RingKey>,
    /// The file with keys of the ring.
    pub ring_key_file: Option<PathBuf>,
    /// Whether clear text is refused.
    pub encryption: Encryption,
    /// Which network the ring runs on.
    pub profile: Profile,
    /// How long to look for a peer before going on alone.
    pub join_timeout: Duration,
    /// How far ahead of this machine's clock another's may be.
    pub max_clock_skew: Duration,
    /// Where plans are looked up by name, besides `./plans` and `/etc/sup/plans`.
    pub plan_path: Vec<PathBuf>,
    /// How many releases that nobody runs are kept of each plan.
    pub keep_releases: usize,
    /// The keys whose signatures on releases are trusted.
    pub trusted_keys: Vec<TrustedKey>,
    /// Whether a release must be signed by one of them.
    pub require_signature: Requirement,
    /// The file of the key that releases are signed with that are packed here.
    pub signing_key: Option<PathBuf>,
    /// Members that must be alive before a group elects anybody; none: as the plan says.
    pub min_members: Option<usize>,
    /// How many members of a group vote; none: as the plan says.
    pub council_size: Option<usize>,
    /// What is logged: a level, or filters as of `RUST_LOG`.
    pub log_level: String,
    /// How it is written.
    pub log_format: LogFormat,
    origins: BTreeMap<Key, Origin>,
}

impl Settings {
    /// Puts the settings together.
    ///
    /// # Errors
    /// A source cannot be read, or says something that is no setting or no value of it. All of it is found before
    /// anything is started.
    pub fn resolve(sources: &Sources<'_>) -> Result<Self, SettingsError> {
        let layers = sources.read()?;
        let data_dir = layers.parsed(Key::DataDir, |text| match text {
            AUTO => default_data_dir(sources.env),
            path => absolute(path),
        })?;
        let socket = layers.parsed(Key::Socket, |text| {
            let path = if text == AUTO { data_dir.join("sup.sock") } else { absolute(text)? };
            socket_path(path)
        })?;
        let listen_gossip = layers.parsed(Key::ListenGossip, |text| listen_address(text, GOSSIP_PORT))?;
        let http_openness = match layers.parsed(Key::InsecureHttp, switch)? {
            true => Openness::Open,
            false => Openness::Guarded,
        };
        let listen_http = layers.parsed(Key::ListenHttp, |text| match text {
            "off" => Ok(ListenHttp::Off),
            AUTO => Ok(ListenHttp::On(default_http(listen_gossip.ip()))),
            text => listen_address(text, HTTP_PORT).map(ListenHttp::On),
        })?;
        let tls = tls(&layers)?;
        let trusted_keys = layers.all(Key::TrustedKeys, str::parse)?;
        let require_signature =
            layers.parsed(Key::RequireSignature, |text| requirement(switch(text)?, &trusted_keys))?;
        Ok(Self {
            listen_gossip,
            advertise: layers.parsed(Key::Advertise, str::parse)?,
            listen_http,
            http_openness,
            tls,
            socket,
            data_dir,
            peers: layers.all(Key::Peer, |text| text.parse::<Peer>().map_err(|error| error.to_string()))?,
            ring: layers.parsed(Key::Ring, str::parse)?,
            ring_keys: ring_keys(sources.env)?,
            ring_key_file: layers.parsed(Key::RingKeyFile, |text| match text {
                NONE => Ok(None),
                path => absolute(path).map(Some),
            })?,
            encryption: layers.parsed(Key::RequireEncryption, str::parse)?,
            profile: layers.parsed(Key::Profile, |text| text.parse::<Profile>().map_err(|error| error.to_string()))?,
            join_timeout: layers.parsed(Key::JoinTimeout, duration)?,
            max_clock_skew: layers.parsed(Key::MaxClockSkew, duration)?,
            plan_path: layers.all(Key::PlanPath, absolute)?,
            keep_releases: layers.parsed(Key::KeepReleases, |text| match text.parse() {
                Ok(count) if count <= RELEASES_KEPT_MAX => Ok(count),
                Ok(_) | Err(_) => Err(format!("expected a number from 0 to {RELEASES_KEPT_MAX}")),
            })?,
            trusted_keys,
            require_signature,
            signing_key: layers.parsed(Key::SigningKey, |text| match text {
                NONE => Ok(None),
                path => absolute(path).map(Some),
            })?,
            min_members: layers.parsed(Key::ElectionMinMembers, |text| match text {
                AUTO => Ok(None),
                text => positive(text).map(Some),
            })?,
            council_size: layers.parsed(Key::ElectionCouncilSize, |text| match text {
                AUTO => Ok(None),
                text => match positive(text)? {
                    size if size <= COUNCIL_MAX => Ok(Some(size)),
                    _ => Err(format!("a council has at most {COUNCIL_MAX} voters")),
                },
            })?,
            log_level: layers.parsed(Key::LogLevel, |text| Ok::<_, String>(text.to_owned()))?,
            log_format: layers.parsed(Key::LogFormat, str::parse)?,
            origins: layers.origins(),
        })
    }

    /// Where a setting is from.
    #[must_use]
    pub fn origin(&self, key: Key) -> &Origin {
        self.origins.get(&key).unwrap_or(&Origin::Default)
    }

    /// What decides the elections of a group whose plan says this of them. A setting beats the plan: the operator of a
    /// small ring knows how many members there will be.
    #[must_use]
    pub fn election_rules(&self, topology: Topology, plan: &ElectionSpec) -> GroupRules {
        let by_topology = match topology {
            Topology::Leader => LEADER_MIN_MEMBERS,
            Topology::Standalone => 1,
        };
        GroupRules {
            min_members: self.min_members.or(plan.min_members).unwrap_or(by_topology),
            council_size: self.council_size.or(plan.council_size).unwrap_or(COUNCIL_SIZE),
            replace_voter_after: plan.replace_voter_after.unwrap_or(REPLACE_VOTER_AFTER),
        }
    }

    /// Where plans are looked up by name, in order.
    #[must_use]
    pub fn plan_search(&self) -> Vec<PathBuf> {
        let fixed = [PathBuf::from("plans"), PathBuf::from("/etc/sup/plans")];
        fixed.into_iter().chain(self.plan_path.iter().cloned()).collect()
    }
}

/// The data directory: the system's for root, else the user's own.
fn default_data_dir(env: Environment<'_>) -> Result<PathBuf, String> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/sup"));
    }
    let state = env("XDG_STATE_HOME").filter(|path| Path::new(path).is_absolute()).map(PathBuf::from);
    let home = || env("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    match state.or_else(home) {
        Some(dir) => Ok(dir.join("sup")),
        None => Err("neither XDG_STATE_HOME nor HOME is set; name a directory".to_owned()),
    }
}

/// Keys that the environment has. They are no setting like the others: they must not be in a file that others may read,
/// nor on a command line, which everybody may see; and an error does not repeat them.
fn ring_keys(env: Environment<'_>) -> Result<Vec<RingKey>, SettingsError> {
    let Some(text) = env(RING_KEY_ENV) else { return Ok(Vec::new()) };
    let text = Zeroizing::new(text.into_string().map_err(|_| SettingsError::NotText { name: RING_KEY_ENV })?);
    let parts = text.split([',', ' ', '\n', '\t']).filter(|part| !part.is_empty());
    parts
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|source| SettingsError::RingKey { name: RING_KEY_ENV, source })
}

/// HTTP is for this machine; a supervisor that gossips on a loopback address of its own serves it there, so that
/// several can share a machine.
fn default_http(gossip: IpAddr) -> SocketAddr {
    let ip = if gossip.is_loopback() { gossip } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    SocketAddr::new(ip, HTTP_PORT)
}

/// Certificate and key, which belong together, and the authority of clients, which is nothing without them.
fn tls(layers: &Layers) -> Result<Option<ServerTlsFiles>, SettingsError> {
    let file = |text: &str| match text {
        NONE => Ok(None),
        path => absolute(path).map(Some),
    };
    let certificate = layers.parsed(Key::TlsCert, file)?;
    let key = layers.parsed(Key::TlsKey, |text| match (file(text)?, &certificate) {
        (Some(_), None) => Err("it is the key of a certificate: name that by tls-cert".to_owned()),
        (None, Some(_)) => Err("tls-cert is nothing without its key: name that by tls-key".to_owned()),
        (key, _) => Ok(key),
    })?;
    let client_authority = layers.parsed(Key::TlsClientCa, |text| match (file(text)?, &certificate) {
        (Some(_), None) => Err("clients show certificates in TLS only: name one for the server by tls-cert".to_owned()),
        (authority, _) => Ok(authority),
    })?;
    Ok(certificate.zip(key).map(|(certificate, key)| ServerTlsFiles { certificate, key, client_authority }))
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("expected a path".to_owned());
    }
    std::path::absolute(text).map_err(|error| error.to_string())
}

fn socket_path(path: PathBuf) -> Result<PathBuf, String> {
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES {
        let shown = path.display();
        return Err(format!(
            "{shown} has {bytes} bytes, and a socket's path at most {SOCKET_PATH_BYTES}: name a shorter one by --socket"
        ));
    }
    Ok(path)
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn requirement(signature: bool, trusted: &[TrustedKey]) -> Result<Requirement, String> {
    match (signature, trusted) {
        (true, []) => Err("no release could ever be taken: name those who may sign by trusted-keys".to_owned()),
        (true, _) => Ok(Requirement::Signature),
        (false, _) => Ok(Requirement::None),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number from 1".to_owned())
}

#[cfg(test)]
mod tests;
