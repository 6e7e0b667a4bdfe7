//! The flags of a supervisor. Their meaning, defaults and other sources are
//! [`supervisor::Settings`](crate::supervisor::Settings)'.

use clap::Args;

use super::args::Globals;
use crate::api::{Problem, ProblemKind};
use crate::supervisor::{Key, Settings, Sources};

/// What a supervisor is told. Each has a variable (`--listen-http`: `SUP_LISTEN_HTTP`) and a key in the file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Supervisor options (each has a variable SUP_... and a key in sup.toml)")]
pub(super) struct SupervisorArgs {
    /// A node to join; may be repeated [port: 9638]
    #[arg(long = "peer", value_name = "HOST[:PORT]")]
    pub peers: Vec<String>,
    /// The ring's name: nodes of different names never become one ring [default: default]
    #[arg(long, value_name = "NAME")]
    pub ring: Option<String>,
    /// File with the ring's key, or several, one a line (or the key itself in SUP_RING_KEY)
    #[arg(long, value_name = "FILE")]
    pub ring_key_file: Option<String>,
    /// Refuse clear text: true, false, or auto: once a key is in use [default: auto]
    #[arg(long, value_name = "WHETHER", hide_short_help = true)]
    pub require_encryption: Option<String>,
    /// Address of gossip (UDP) and sync (TCP) [default: 0.0.0.0:9638]
    #[arg(long, value_name = "IP[:PORT]")]
    pub listen_gossip: Option<String>,
    /// Address that is told to others [default: found out]
    #[arg(long, value_name = "IP[:PORT]")]
    pub advertise: Option<String>,
    /// Address of HTTP, or off [default: 127.0.0.1:9631]
    #[arg(long, value_name = "IP[:PORT]")]
    pub listen_http: Option<String>,
    /// Ask nobody on HTTP for a token
    #[arg(long)]
    pub insecure_http: bool,
    /// Certificate to serve HTTP with, in PEM [default: none, clear text]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub tls_cert: Option<String>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub tls_key: Option<String>,
    /// Authority whose certificates are taken in place of a token
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub tls_client_ca: Option<String>,
    /// Network of the ring: local, lan or wan [default: lan]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// How long to look for a peer before going on alone [default: 10s]
    #[arg(long, value_name = "TIME")]
    pub join_timeout: Option<String>,
    /// How far ahead another node's clock may be [default: 5m]
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    pub max_clock_skew: Option<String>,
    /// Directory of plans; may be repeated
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub plan_path: Vec<String>,
    /// How many releases that nobody runs are kept of each plan [default: 3]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub keep_releases: Option<String>,
    /// A key whose signatures on releases are trusted, or a file of them; may be repeated
    #[arg(long, value_name = "KEY|FILE", hide_short_help = true)]
    pub trusted_keys: Vec<String>,
    /// Take no release that is not signed by a trusted key
    #[arg(long, hide_short_help = true)]
    pub require_signature: bool,
    /// File of the key to sign releases with
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub signing_key: Option<String>,
    /// Members that must be alive before the first election [default: 3 where there is a leader]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub election_min_members: Option<String>,
    /// How many members of a group vote [default: 5]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub election_council_size: Option<String>,
    /// What is logged: error, warn, info, debug, trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How it is logged: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// The process with whose end this one is to end: `sup dev` must leave nothing behind, even if it is killed
    #[arg(long, value_name = "PID", hide = true)]
    pub die_with: Option<u32>,
}

impl SupervisorArgs {
    /// The flags that were typed.
    pub(super) fn flags(&self) -> Vec<(Key, String)> {
        let insecure_http = self.insecure_http.then(|| "true".to_owned());
        let require_signature = self.require_signature.then(|| "true".to_owned());
        let single = [
            (Key::ListenGossip, &self.listen_gossip),
            (Key::Advertise, &self.advertise),
            (Key::ListenHttp, &self.listen_http),
            (Key::InsecureHttp, &insecure_http),
            (Key::TlsCert, &self.tls_cert),
            (Key::TlsKey, &self.tls_key),
            (Key::TlsClientCa, &self.tls_client_ca),
            (Key::Ring, &self.ring),
            (Key::RingKeyFile, &self.ring_key_file),
            (Key::RequireEncryption, &self.require_encryption),
            (Key::Profile, &self.profile),
            (Key::JoinTimeout, &self.join_timeout),
            (Key::MaxClockSkew, &self.max_clock_skew),
            (Key::KeepReleases, &self.keep_releases),
            (Key::RequireSignature, &require_signature),
            (Key::SigningKey, &self.signing_key),
            (Key::ElectionMinMembers, &self.election_min_members),
            (Key::ElectionCouncilSize, &self.election_council_size),
            (Key::LogLevel, &self.log_level),
            (Key::LogFormat, &self.log_format),
        ];
        let many = [(Key::Peer, &self.peers), (Key::PlanPath, &self.plan_path), (Key::TrustedKeys, &self.trusted_keys)];
        let single = single.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
        let many = many.into_iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value.clone())));
        single.chain(many).collect()
    }
}

/// All settings, from flags, environment, file and defaults.
pub(super) fn resolve(globals: &Globals, supervisor: &SupervisorArgs) -> Result<Settings, Problem> {
    let mut flags = supervisor.flags();
    flags.extend(globals.socket.clone().map(|socket| (Key::Socket, socket)));
    flags.extend(globals.data_dir.clone().map(|dir| (Key::DataDir, dir)));
    let env = |name: &str| std::env::var_os(name);
    Settings::resolve(&Sources { flags, env: &env, config: globals.config.clone() }).map_err(|error| {
        Problem::caused(ProblemKind::BadRequest, &error).next("every setting is explained in config/sup.toml")
    })
}
