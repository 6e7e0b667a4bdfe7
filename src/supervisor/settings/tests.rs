use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::source::FILE_BYTES;
use super::{Key, ListenHttp, Origin, Settings, SettingsError, Sources};
use crate::api::server::Openness;
use crate::plan::ElectionSpec;
use crate::records::value::Topology;

/// Settings of flags, variables and the text of a file, in a directory of their own.
fn resolve(flags: &[(Key, &str)], env: &[(&str, &str)], file: &str) -> Result<Settings, SettingsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sup.toml");
    fs::write(&path, file).unwrap();
    let env: BTreeMap<&str, &str> = env.iter().copied().chain([("HOME", "/home/x")]).collect();
    let lookup = |name: &str| env.get(name).map(OsString::from);
    let flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    Settings::resolve(&Sources { flags, env: &lookup, config: Some(path) })
}

fn error(flags: &[(Key, &str)], env: &[(&str, &str)], file: &str) -> String {
    resolve(flags, env, file).unwrap_err().to_string()
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    let file = "listen-gossip = \"127.0.0.2:1\"\nprofile = \"wan\"\nlog-format = \"json\"\n";
    let env = [("SUP_LISTEN_GOSSIP", "127.0.0.3:2"), ("SUP_PROFILE", "local")];
    let settings = resolve(&[(Key::ListenGossip, "127.0.0.4:3")], &env, file).unwrap();
    assert_eq!(settings.listen_gossip.to_string(), "127.0.0.4:3");
    assert_eq!(settings.profile.to_string(), "local");
    assert_eq!(settings.origin(Key::ListenGossip), &Origin::Flag("listen-gossip"));
    assert_eq!(settings.origin(Key::Profile), &Origin::Env("SUP_PROFILE"));
    assert!(matches!(settings.origin(Key::LogFormat), Origin::File { line: 3, column: 14, .. }));
    assert_eq!(settings.origin(Key::JoinTimeout), &Origin::Default);
}

#[test]
fn the_shipped_file_names_every_setting_at_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sup.toml");
    let text = fs::read_to_string(path).unwrap();
    let shipped = resolve(&[], &[], &text).unwrap();
    let default = resolve(&[], &[], "").unwrap();
    for key in Key::ALL {
        assert!(matches!(shipped.origin(*key), Origin::File { .. }), "{key} is missing");
    }
    assert_eq!(Settings { origins: BTreeMap::new(), ..shipped }, Settings { origins: BTreeMap::new(), ..default });
    let undocumented: Vec<_> = text.split("\n\n").filter(|part| !part.trim_start().starts_with('#')).collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_one() {
    let text = error(&[], &[], "profile = \"lan\"\n  data_dir = \"/x\"\n");
    assert!(text.contains("sup.toml:2:3:"), "{text}");
    assert!(text.contains("\"data_dir\"; did you mean \"data-dir\"?"), "{text}");
}

#[test]
fn a_wrong_value_names_its_source() {
    for (flags, env, file, words) in [
        (&[(Key::Profile, "fast")][..], &[][..], "", "--profile: profile cannot be \"fast\""),
        (&[], &[("SUP_JOIN_TIMEOUT", "10")], "", "SUP_JOIN_TIMEOUT: join-timeout cannot be \"10\": expected a number"),
        (&[], &[], "election-council-size = 8", "sup.toml:1:25: election-council-size cannot be \"8\": a council has"),
        (&[], &[], "election-min-members = 0", "a number from 1"),
        (&[], &[], "peer = \"a\"", "sup.toml:1:8: peer is an array of strings"),
        (&[], &[], "insecure-http = \"yes\"", "insecure-http is true or false"),
        (&[], &[], "profile = ", "sup.toml:1:"),
        (&[(Key::KeepReleases, "101")], &[], "", "--keep-releases: keep-releases cannot be \"101\": expected a number"),
        (
            &[],
            &[],
            "trusted-keys = [\"ed25519:12\"]",
            "sup.toml:1:16: trusted-keys cannot be \"ed25519:12\": a public key",
        ),
        (&[], &[], "require-signature = true", "no release could ever be taken: name those who may sign"),
        (&[(Key::Peer, "a b")], &[], "", "--peer: peer cannot be \"a b\""),
    ] {
        let text = error(flags, env, file);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn the_file_is_read_at_its_size_limit_and_refused_one_beyond() {
    let limit = usize::try_from(FILE_BYTES).unwrap();
    assert!(resolve(&[], &[], &format!("#{}", "x".repeat(limit - 1))).is_ok());
    assert!(matches!(resolve(&[], &[], &format!("#{}", "x".repeat(limit))), Err(SettingsError::Read { .. })));
}

#[test]
fn a_named_file_that_is_not_there_is_an_error() {
    let config = Some(PathBuf::from("/nonexistent/sup.toml"));
    let sources = Sources { flags: Vec::new(), env: &|_| None, config };
    assert!(matches!(Settings::resolve(&sources), Err(SettingsError::Read { .. })));
}

#[test]
fn http_beyond_this_machine_is_guarded_unless_it_is_said_to_be_open() {
    let http = (Key::ListenHttp, "0.0.0.0:80");
    let settings = resolve(&[http], &[], "").unwrap();
    assert_eq!(settings.listen_http, ListenHttp::On("0.0.0.0:80".parse().unwrap()));
    assert_eq!(settings.http_openness, Openness::Guarded);
    assert_eq!(resolve(&[http, (Key::InsecureHttp, "true")], &[], "").unwrap().http_openness, Openness::Open);
    assert_eq!(resolve(&[(Key::ListenHttp, "off")], &[], "").unwrap().listen_http, ListenHttp::Off);
}

#[test]
fn a_certificate_has_a_key_and_an_authority_of_clients_has_a_certificate() {
    let (cert, key, ca) = ((Key::TlsCert, "/c"), (Key::TlsKey, "/k"), (Key::TlsClientCa, "/a"));
    let tls = resolve(&[cert, key, ca], &[], "").unwrap().tls.unwrap();
    assert_eq!((tls.certificate, tls.key), ("/c".into(), "/k".into()));
    assert_eq!(tls.client_authority, Some("/a".into()));
    assert_eq!(resolve(&[], &[], "").unwrap().tls, None);
    for (flags, words) in [(&[cert][..], "tls-key"), (&[key], "tls-cert"), (&[ca], "tls-cert")] {
        let text = error(flags, &[], "");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn supervisors_on_loopback_addresses_of_their_own_do_not_share_an_http_address() {
    let http = |gossip| resolve(&[(Key::ListenGossip, gossip)], &[], "").unwrap().listen_http;
    assert_eq!(http("127.0.0.3"), ListenHttp::On("127.0.0.3:9631".parse().unwrap()));
    assert_eq!(http("10.0.0.1"), ListenHttp::On("127.0.0.1:9631".parse().unwrap()));
}

#[test]
fn the_socket_lies_in_the_data_directory_and_its_path_has_a_limit() {
    // 107 bytes: "/" + name + "/sup.sock".
    let fits = format!("/{}", "d".repeat(97));
    let settings = resolve(&[(Key::DataDir, &fits)], &[], "").unwrap();
    assert_eq!(settings.socket, Path::new(&fits).join("sup.sock"));
    let text = error(&[(Key::DataDir, &format!("{fits}d"))], &[], "");
    assert!(text.contains("name a shorter one by --socket"), "{text}");
}

#[test]
fn many_values_are_split_in_a_variable_and_repeated_as_flags() {
    let env = [("SUP_PEER", "a, b:1"), ("SUP_PLAN_PATH", "/x:/y z")];
    let settings = resolve(&[], &env, "").unwrap();
    assert_eq!(settings.peers.len(), 2);
    assert_eq!(settings.plan_path, [PathBuf::from("/x"), PathBuf::from("/y z")]);
    let settings = resolve(&[(Key::Peer, "c"), (Key::Peer, "d")], &env, "").unwrap();
    assert_eq!(settings.peers.iter().map(|peer| peer.host.as_str()).collect::<Vec<_>>(), ["c", "d"]);
}

#[test]
fn a_group_with_a_leader_waits_for_three_unless_its_plan_or_a_setting_says_otherwise() {
    let default = resolve(&[], &[], "").unwrap();
    let set = resolve(&[(Key::ElectionMinMembers, "1"), (Key::ElectionCouncilSize, "3")], &[], "").unwrap();
    let silent = ElectionSpec::default();
    let plan = ElectionSpec { min_members: Some(2), council_size: Some(7), ..ElectionSpec::default() };
    let rules = |settings: &Settings, topology, plan| {
        let rules = settings.election_rules(topology, plan);
        (rules.min_members, rules.council_size)
    };
    assert_eq!(rules(&default, Topology::Leader, &silent), (3, 5));
    assert_eq!(rules(&default, Topology::Standalone, &silent), (1, 5));
    assert_eq!(rules(&default, Topology::Leader, &plan), (2, 7));
    assert_eq!(rules(&set, Topology::Leader, &plan), (1, 3));
}
