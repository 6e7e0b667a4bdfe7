//! What is refused, and that nothing is left of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Limits, Terms, Trust, UnpackError, Unpacked, unpack};
use crate::base::Hash;
use crate::plan::{CONTENT_BYTES, ContentError, PathError, Plan, PlanError};
use crate::release::pack::{Out, pack};
use crate::release::tar::{END, Entry, padding};
use crate::release::trust::{Requirement, Signer, TrustError, TrustedKey};
use crate::release::{LABEL, MANIFEST, PackError, SIGNATURE, SecretKey};

const PLAN_TOML: &str = "name = \"x\"\nversion = \"1.2\"\norigin = \"core\"\n[service]\nrun = \"exec sleep 9\"\n";
const RELEASE: &str = "format = 1\norigin = \"core\"\nname = \"x\"\nversion = \"1.2\"\n";

/// A plan's directory.
fn plan(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("plan.toml", PLAN_TOML)].iter().chain(files) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let mode = if name.starts_with("hooks/") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    dir
}

fn packed(dir: &Path, key: Option<&SecretKey>) -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    fs::read(pack(dir, Out::Dir(out.path()), key).unwrap().path).unwrap()
}

/// An archive that somebody makes by hand.
#[derive(Clone)]
struct Forged(Vec<u8>);

impl Forged {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// One with a label and a list of these files.
    fn listing(files: &[(&str, &str)]) -> Self {
        let line = |(path, text): &(&str, &str)| {
            let mode = if path.starts_with("hooks/") { "755" } else { "644" };
            format!("{path}\0{mode} {} {}\n", text.len(), Hash::of(text.as_bytes()))
        };
        Self::new().file(LABEL, RELEASE).file(MANIFEST, &files.iter().map(line).collect::<String>())
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        let mode = if path.starts_with("hooks/") { "755" } else { "644" };
        let header = Entry { path: path.to_owned(), mode, bytes: text.len() as u64 }.header().unwrap();
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(text.as_bytes());
        self.0.resize(self.0.len() + padding(text.len() as u64), 0);
        self
    }

    /// An entry that is not of a file.
    fn special(mut self, path: &str, kind: u8, target: &str) -> Self {
        let mut header = Entry { path: path.to_owned(), mode: "644", bytes: 0 }.header().unwrap();
        header[156] = kind;
        header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + END, 0);
        compressed(&self.0)
    }
}

fn compressed(content: &[u8]) -> Vec<u8> {
    // With its size known beforehand zstd needs little memory for little content: thousands of these are made.
    zstd::bulk::compress(content, 1).unwrap()
}

/// Unpacks into a directory of its own. Whatever is refused must leave that empty.
fn unpacked_on(archive: &[u8], expected: Option<Hash>, limit: u64, trust: &Trust) -> Result<Unpacked, UnpackError> {
    let dir = tempfile::tempdir().unwrap();
    let terms = Terms { expected, limits: Limits { bytes: limit }, trust };
    let result = unpack(archive, &dir.path().join("x"), terms);
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, usize::from(result.is_ok()), "something is left of {result:?}");
    result
}

fn unpacked(archive: &[u8]) -> Result<Unpacked, UnpackError> {
    unpacked_on(archive, None, 1 << 20, &Trust::default())
}

fn refusal(archive: &[u8]) -> String {
    let error = unpacked(archive).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn trust(keys: &[&SecretKey], requirement: Requirement) -> Trust {
    let keys: Vec<TrustedKey> = keys.iter().map(|key| TrustedKey::Key(key.public())).collect();
    Trust::load(&keys, requirement).unwrap()
}

#[test]
fn a_plan_is_the_same_plan_once_packed_and_unpacked() {
    let source =
        plan(&[("default.toml", "a = 1\n"), ("config/sub/x.conf", "{{cfg.a}}"), ("hooks/init", "#!/bin/sh\n")]);
    fs::write(source.path().join(".hidden"), "not of the plan").unwrap();
    let archive = packed(source.path(), None);
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("x");
    let trust = Trust::default();
    let terms = Terms { expected: None, limits: Limits::default(), trust: &trust };
    let unpacked = unpack(&archive[..], &place, terms).unwrap();
    let [before, after] = [source.path(), &place].map(|dir| Plan::load(dir).unwrap());
    assert_eq!(unpacked.id.to_string(), format!("core/x/1.2/{}", before.release));
    assert_eq!((after.release, &after.content), (before.release, &unpacked.content));
    assert_eq!(unpacked.signer, Signer::Nobody);
    let mode = |name: &str| fs::metadata(place.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(["hooks/init", "default.toml", "hooks"].map(mode), [0o555, 0o444, 0o755]);
    assert!(matches!(unpack(&archive[..], &place, terms), Err(UnpackError::Write { .. })), "it was overwritten");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn the_same_files_make_the_same_archive() {
    let files = [("config/b.conf", "b"), ("hooks/init", "#!/bin/sh\n"), ("data/blob", "xyz")];
    let [one, two] = [plan(&files), plan(&files)];
    // Neither when they were written, nor in which order, nor what else their mode says, makes a difference.
    fs::set_permissions(two.path().join("data/blob"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::File::open(two.path().join("plan.toml")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(packed(one.path(), None), packed(two.path(), None));
    let key = SecretKey::draw().unwrap();
    assert_eq!(packed(one.path(), Some(&key)), packed(two.path(), Some(&key)));
    assert_ne!(packed(one.path(), Some(&key)), packed(one.path(), None));
}

#[test]
fn a_link_within_a_plan_is_packed_as_the_file_that_it_leads_to() {
    let source = plan(&[("data/a", "content")]);
    symlink("a", source.path().join("data/b")).unwrap();
    let unpacked = unpacked(&packed(source.path(), None)).unwrap();
    let [a, b] = [0, 1].map(|at| unpacked.content.files()[at].clone());
    assert_eq!((a.hash, b.path), (b.hash, PathBuf::from("data/b")));
    symlink("/etc/passwd", source.path().join("data/c")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = pack(source.path(), Out::Dir(out.path()), None).unwrap_err();
    assert!(matches!(error, PackError::Plan(PlanError::Outside { .. })), "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_packed_leaves_no_archive() {
    let out = tempfile::tempdir().unwrap();
    let refuse = |dir: &Path| pack(dir, Out::Dir(out.path()), None).unwrap_err();
    let wrong = plan(&[("config/x", "{{#if")]);
    assert!(matches!(refuse(wrong.path()), PackError::Check(_)));
    fs::write(wrong.path().join("plan.toml"), PLAN_TOML.replace("1.2", "../2")).unwrap();
    let error = refuse(wrong.path()).to_string();
    assert!(error.contains("`version` is 1 to 64 of") && error.contains("plan.toml:2:"), "{error}");
    let odd = plan(&[("data/a\nb", "")]);
    assert!(matches!(refuse(odd.path()), PackError::Path { source: PathError::NotText, .. }));
    assert!(matches!(refuse(&out.path().join("none")), PackError::Plan(PlanError::NotAPlan(_))));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    let good = plan(&[]);
    let inside = pack(good.path(), Out::File(&good.path().join("x.sup")), None);
    assert!(matches!(inside, Err(PackError::InsidePlan(_))));
    let nowhere = pack(good.path(), Out::File(&out.path().join("no/x.sup")), None);
    assert!(matches!(nowhere, Err(PackError::Write { .. })));
}

#[test]
fn an_archive_that_ends_anywhere_too_early_is_refused() {
    let source = plan(&[("config/a.conf", "hello"), ("hooks/init", "#!/bin/sh\necho\n")]);
    let archive = packed(source.path(), Some(&SecretKey::draw().unwrap()));
    for end in 0..archive.len() {
        let error = unpacked(&archive[..end]).unwrap_err();
        match error {
            UnpackError::Truncated { .. } => assert!(end >= 4),
            UnpackError::NotAnArchive => assert!(end < 4),
            other => panic!("{end} of {}: {other}", archive.len()),
        }
    }
    unpacked(&archive).unwrap();
}

#[test]
fn an_archive_with_any_byte_changed_is_refused_or_the_same() {
    let source = plan(&[("config/a.conf", "hello"), ("hooks/init", "#!/bin/sh\necho\n")]);
    let archive = packed(source.path(), Some(&SecretKey::draw().unwrap()));
    let whole = unpacked(&archive).unwrap();
    for at in 0..archive.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = archive.clone();
            changed[at] ^= flip;
            if let Ok(unpacked) = unpacked(&changed) {
                assert_eq!(unpacked, whole, "byte {at}");
            }
        }
    }
}

#[test]
fn a_tar_with_any_byte_changed_is_refused() {
    let source = plan(&[("config/a.conf", "hello")]);
    let tar = zstd::decode_all(&packed(source.path(), Some(&SecretKey::draw().unwrap()))[..]).unwrap();
    unpacked(&compressed(&tar)).unwrap();
    for at in 0..tar.len() {
        let mut changed = tar.clone();
        changed[at] ^= 1;
        assert!(unpacked(&compressed(&changed)).is_err(), "byte {at}");
    }
}

#[test]
fn what_comes_after_the_end_is_refused() {
    let archive = packed(plan(&[]).path(), None);
    assert!(matches!(unpacked(&[&archive[..], b"x"].concat()), Err(UnpackError::Garbage)));
    assert!(matches!(unpacked(&[&archive[..], &archive].concat()), Err(UnpackError::Garbage)));
    let mut tar = zstd::decode_all(&archive[..]).unwrap();
    tar.push(0);
    assert!(matches!(unpacked(&compressed(&tar)), Err(UnpackError::Garbage)));
}

#[test]
fn what_is_no_release_is_told_so() {
    assert!(matches!(unpacked(b""), Err(UnpackError::NotAnArchive)));
    assert!(matches!(unpacked(b"PK\x03\x04 a zip"), Err(UnpackError::NotAnArchive)));
    assert!(refusal(&compressed(&[b'x'; 2048])).contains("is not as it is written"));
    let other = Forged::new().file("README", "a tar of another program").end();
    assert_eq!(refusal(&other), "it is no release archive: \"README\" comes where .sup/release should be");
    assert_eq!(refusal(&Forged::new().end()), "it is no release archive: it has no .sup/release");
    assert_eq!(refusal(&Forged::listing(&[]).end()), "it is no release archive: it has no files");
}

#[test]
fn a_release_of_a_newer_format_is_told_apart_from_nonsense() {
    let newer = Forged::new().file(LABEL, "format = 2\nwhatever = [1]\n").end();
    assert!(matches!(unpacked(&newer), Err(UnpackError::Format(2))));
    let odd = Forged::new().file(LABEL, &RELEASE.replace("1.2", "1/../../2")).end();
    let told = refusal(&odd);
    assert!(told.contains("a version is 1 to 64 of") && told.contains("1/../../2"), "{told}");
}

#[test]
fn a_version_that_is_nonsense_in_the_plan_itself_is_refused() {
    let toml = PLAN_TOML.replace("1.2", "$(reboot)");
    let told = refusal(&Forged::listing(&[("plan.toml", &toml)]).file("plan.toml", &toml).end());
    assert!(told.contains("its plan is not valid: plan.toml:2:") && told.contains("$(reboot)"), "{told}");
}

#[test]
fn a_plan_that_is_another_one_than_the_archive_says_is_refused() {
    let toml = PLAN_TOML.replace("1.2", "1.3");
    let told = refusal(&Forged::listing(&[("plan.toml", &toml)]).file("plan.toml", &toml).end());
    assert!(told.starts_with("it says that it is core/x/1.2/") && told.contains("core/x/1.3/"), "{told}");
}

#[test]
fn a_file_that_is_not_what_the_list_says_is_refused_by_name() {
    let list = [("a", "one"), ("plan.toml", PLAN_TOML)];
    let forged = || Forged::listing(&list);
    let good = forged().file("a", "one").file("plan.toml", PLAN_TOML);
    unpacked(&good.clone().end()).unwrap();
    for (archive, told) in [
        (forged().file("a", "two").file("plan.toml", PLAN_TOML), "\"a\" was tampered with"),
        (forged().file("a", "four").file("plan.toml", PLAN_TOML), "\"a\" has 4 bytes; its list of files says 3 bytes"),
        (forged().file("plan.toml", PLAN_TOML), "\"a\" is in its list of files, and missing"),
        (forged().file("a", "one"), "\"plan.toml\" is in its list of files, and missing"),
        (forged().file("plan.toml", PLAN_TOML).file("a", "one"), "\"a\" is in its list of files, and missing"),
        (forged().file("a", "one").file("a", "one"), "\"a\" comes twice"),
        (good.clone().file("a", "one"), "\"a\" comes twice"),
        (good.clone().file("b", "more"), "\"b\" is not in its list of files"),
        (forged().file("b", "more"), "\"b\" is not in its list of files"),
        (good.file(SIGNATURE, "late"), "\".sup/signature\" is not in its list of files"),
    ] {
        let refusal = refusal(&archive.end());
        assert!(refusal.starts_with(told), "{refusal}");
    }
    let executable = Forged::listing(&[("hooks/init", "x"), ("plan.toml", PLAN_TOML)]).file("hooks/init", "x");
    let mut plain = executable.0;
    let at = plain.len() - 1024;
    let header = Entry { path: "hooks/init".to_owned(), mode: "644", bytes: 1 }.header().unwrap();
    plain[at..at + 512].copy_from_slice(&header);
    let told = refusal(&Forged(plain).file("plan.toml", PLAN_TOML).end());
    assert_eq!(told, "\"hooks/init\" has the mode 644; its list of files says 755");
}

#[test]
fn a_path_that_leaves_the_directory_is_refused_in_the_list_and_in_the_archive() {
    for (path, why) in [
        ("../x", "it has a `..`"),
        ("a/../../x", "it has a `..`"),
        ("/etc/passwd", "it is absolute"),
        ("a//x", "a part of it is empty or `.`"),
        (".ssh/authorized_keys", "a part of it starts with `.` or ends with `~`, which is no part of a plan"),
    ] {
        let list = [(path, "x"), ("plan.toml", PLAN_TOML)];
        let listed = refusal(&Forged::listing(&list).file(path, "x").end());
        assert_eq!(listed, format!("its list of files is not valid: it lists a file {path:?}: {why}"));
        let unlisted = Forged::listing(&list[1..]).file("plan.toml", PLAN_TOML).file(path, "x").end();
        assert_eq!(refusal(&unlisted), format!("the path {path:?} is refused: {why}"));
        assert_eq!(refusal(&Forged::new().file(path, "x").end()), format!("the path {path:?} is refused: {why}"));
    }
}

#[test]
fn a_path_with_a_zero_byte_is_refused() {
    let told = refusal(&Forged::listing(&[("a\0b", "x"), ("plan.toml", PLAN_TOML)]).end());
    assert!(told.contains("line 1 of its list of files is not"), "{told}");
}

#[test]
fn links_devices_and_whatever_else_is_no_file_are_refused() {
    let list = [("a", ""), ("plan.toml", PLAN_TOML)];
    for (kind, target, told) in [
        (b'1', "/etc/shadow", "a hard link to \"/etc/shadow\""),
        (b'2', "../../etc/shadow", "a symbolic link to \"../../etc/shadow\""),
        (b'2', "plan.toml", "a symbolic link to \"plan.toml\""),
        (b'3', "", "a character device"),
        (b'4', "", "a block device"),
        (b'5', "", "a directory"),
        (b'6', "", "a fifo"),
        (b'x', "", "an extended header"),
        (b'L', "", "an extended header"),
    ] {
        let archive = Forged::listing(&list).special("a", kind, target).file("plan.toml", PLAN_TOML).end();
        assert_eq!(refusal(&archive), format!("\"a\" is {told}; a release has files only"));
    }
}

#[test]
fn more_than_the_limit_is_refused_before_anything_is_written() {
    let big = "x".repeat(10_000);
    let source = plan(&[("data/big", &big)]);
    let archive = packed(source.path(), None);
    let bytes = 10_000 + PLAN_TOML.len() as u64;
    let on = |limit| unpacked_on(&archive, None, limit, &Trust::default());
    on(bytes).unwrap();
    let error = on(bytes - 1).unwrap_err();
    assert!(matches!(error, UnpackError::TooLarge { bytes: told, limit } if told == bytes && limit == bytes - 1));
}

#[test]
fn a_bomb_does_not_go_off() {
    // A few kilobytes that announce 4 GiB, or that go on for 64 MiB though they announced three bytes.
    let hash = Hash::of(b"");
    let list = format!("a\0644 4294967296 {hash}\nplan.toml\0644 3 {hash}\n");
    let announced = Forged::new().file(LABEL, RELEASE).file(MANIFEST, &list).end();
    assert!(matches!(unpacked(&announced), Err(UnpackError::TooLarge { bytes: 4_294_967_299, .. })));
    let mut silent = Forged::listing(&[("plan.toml", PLAN_TOML)]).file("plan.toml", PLAN_TOML).0;
    silent.resize(silent.len() + (64 << 20), 0);
    let bomb = compressed(&silent);
    assert!(bomb.len() < 16 * 1024, "it is {} bytes", bomb.len());
    assert!(matches!(unpacked(&bomb), Err(UnpackError::Garbage)));
    let label = Forged::new().file(LABEL, &" ".repeat(2 << 20)).end();
    assert!(matches!(unpacked(&label), Err(UnpackError::EntryTooLarge { limit: 1024, .. })));
    let manifest = Forged::new().file(LABEL, RELEASE).file(MANIFEST, &" ".repeat(CONTENT_BYTES + 1)).end();
    assert!(matches!(unpacked(&manifest), Err(UnpackError::EntryTooLarge { .. })));
}

#[test]
fn an_archive_that_asks_for_much_memory_is_refused() {
    let tar = zstd::decode_all(&packed(plan(&[]).path(), None)[..]).unwrap();
    let with_window = |log: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&tar).unwrap();
        encoder.finish().unwrap()
    };
    unpacked(&with_window(23)).unwrap();
    assert!(matches!(unpacked(&with_window(24)), Err(UnpackError::Damaged { .. })));
}

#[test]
fn a_list_with_a_file_twice_or_below_another_is_refused() {
    let toml = ("plan.toml", PLAN_TOML);
    for (list, told) in [
        (vec![("a", "x"), ("a", "x"), toml], "it lists \"a\" twice"),
        (vec![toml, ("a", "x")], "it lists \"a\" out of order"),
        (vec![("a", "x"), ("a/b", "x"), toml], "it lists \"a/b\" below a file"),
    ] {
        let refusal = refusal(&Forged::listing(&list).end());
        assert_eq!(refusal, format!("its list of files is not valid: {told}"));
    }
    let broken = Forged::new().file(LABEL, RELEASE).file(MANIFEST, "plan.toml 644 1 00\n").end();
    assert!(matches!(unpacked(&broken), Err(UnpackError::List(ContentError::Line { line: 1 }))));
}

#[test]
fn a_release_that_is_another_than_the_expected_one_is_refused() {
    let source = plan(&[]);
    let archive = packed(source.path(), None);
    let found = unpacked(&archive).unwrap().id.manifest;
    unpacked_on(&archive, Some(found), 1 << 20, &Trust::default()).unwrap();
    let expected = Hash::of(b"another");
    let error = unpacked_on(&archive, Some(expected), 1 << 20, &Trust::default()).unwrap_err();
    assert!(matches!(error, UnpackError::OtherRelease { expected: e, found: f } if (e, f) == (expected, found)));
}

#[test]
fn a_node_that_asks_for_signatures_takes_no_other_releases() {
    let source = plan(&[]);
    let [ci, stranger] = [(); 2].map(|()| SecretKey::draw().unwrap());
    let strict = trust(&[&ci], Requirement::Signature);
    let on = |key: Option<&SecretKey>| unpacked_on(&packed(source.path(), key), None, 1 << 20, &strict);
    assert_eq!(on(Some(&ci)).unwrap().signer, Signer::Trusted { key: ci.public() });
    assert!(matches!(on(None), Err(UnpackError::Trust(TrustError::Unsigned))));
    let error = on(Some(&stranger)).unwrap_err();
    assert!(matches!(error, UnpackError::Trust(TrustError::UnknownKey(key)) if key == stranger.public()));
    let lax = unpacked(&packed(source.path(), Some(&stranger))).unwrap();
    assert_eq!(lax.signer, Signer::Unknown { key: stranger.public() });
}

#[test]
fn a_wrong_signature_is_refused_even_by_a_node_that_asks_for_none() {
    let key = SecretKey::draw().unwrap();
    let list = [("plan.toml", PLAN_TOML)];
    let of_another = key.sign(Hash::of(b"another release"));
    for signature in [of_another.as_str(), "", "nonsense\n", &format!("{} \n", key.public())] {
        let archive = Forged::listing(&list).file(SIGNATURE, signature).file("plan.toml", PLAN_TOML).end();
        assert!(matches!(unpacked(&archive), Err(UnpackError::Signature)), "{signature:?}");
    }
    let long = Forged::listing(&list).file(SIGNATURE, &"x".repeat(257)).end();
    assert!(matches!(unpacked(&long), Err(UnpackError::EntryTooLarge { limit: 256, .. })));
}
