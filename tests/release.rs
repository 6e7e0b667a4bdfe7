//! Releases as people make them and bring them: `sup plan pack`, `sup release key`, and what is refused.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use sup::release::{Limits, Requirement, SecretKey, Terms, Trust, TrustedKey, UnpackError, unpack};
use tempfile::TempDir;

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `sup` in a directory, knowing nothing of this machine's settings.
fn sup(dir: &Path, args: &[&str]) -> Answer {
    sup_from(dir, dir, args)
}

/// The same from another directory, with the settings of the first.
fn sup_from(dir: &Path, here: &Path, args: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sup"));
    command.args(args).current_dir(here).env_clear().env("HOME", dir).env("SUP_CONFIG", dir.join("sup.toml"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A directory with a plan in `web` and empty settings.
fn world() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("web/config")).unwrap();
    fs::write(dir.path().join("web/plan.toml"), "name = \"web\"\nversion = \"1.0\"\n[service]\nrun = \"sleep 9\"\n")
        .unwrap();
    fs::write(dir.path().join("web/config/web.conf"), "ip = {{sys.ip}}\n").unwrap();
    fs::write(dir.path().join("sup.toml"), "").unwrap();
    dir
}

/// Packs the plan; returns what was said, and the archive.
fn pack(dir: &Path, args: &[&str]) -> (Value, PathBuf) {
    let answer = sup(dir, &[&["--json", "plan", "pack", "web"], args].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let said: Value = serde_json::from_str(&answer.stdout).unwrap();
    let file = dir.join(said["file"].as_str().unwrap());
    (said, file)
}

/// Unpacks into a directory of its own, in which nothing must be left of what is refused.
fn unpacked(archive: &[u8], trust: &Trust) -> Result<String, UnpackError> {
    let dir = tempfile::tempdir().unwrap();
    let terms = Terms { expected: None, limits: Limits::default(), trust };
    let result = unpack(archive, &dir.path().join("plan"), terms);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), usize::from(result.is_ok()));
    result.map(|unpacked| unpacked.id.to_string())
}

/// An archive of what `tar` makes of a directory.
fn tar(dir: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").args(["-P", "-cf", "-", "-C"]).arg(dir).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut zstd = Command::new("zstd").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    zstd.stdin.take().unwrap().write_all(&output.stdout).unwrap();
    zstd.wait_with_output().unwrap().stdout
}

#[test]
fn a_plan_is_packed_into_the_same_file_from_anywhere() {
    let [one, two] = [world(), world()];
    let (said, archive) = pack(one.path(), &[]);
    let release = said["release"].as_str().unwrap();
    assert!(release.starts_with("web/1.0/") && release.len() == "web/1.0/".len() + 12, "{release}");
    assert_eq!(archive.file_name().unwrap().to_str().unwrap(), format!("{}.sup", release.replace('/', "-")));
    let (_, other) = pack(two.path(), &["-o", "there.sup"]);
    assert_eq!(fs::read(&archive).unwrap(), fs::read(&other).unwrap());
    assert_eq!(unpacked(&fs::read(&archive).unwrap(), &Trust::default()).unwrap(), release);
    let answer = sup(one.path(), &["plan", "pack", "web"]);
    assert!(answer.stdout.contains("next: sup update web.default"), "{}", answer.stdout);
    // From within the plan, too: the archive is not put into it.
    let within = sup_from(one.path(), &one.path().join("web"), &["plan", "pack"]);
    assert!(within.stdout.contains(release), "{}{}", within.stdout, within.stderr);
    let into = sup(one.path(), &["plan", "pack", "web", "-o", "web/x.sup"]);
    assert_eq!(into.code, 2, "{}", into.stderr);
    assert!(into.stderr.contains("is in the plan itself; name a file elsewhere"), "{}", into.stderr);
}

#[test]
fn a_plan_with_a_mistake_is_not_packed() {
    let dir = world();
    let plan = dir.path().join("web/plan.toml");
    let text = fs::read_to_string(&plan).unwrap();
    for version in ["../../etc", "1 0", "", "$(reboot)", ".1"] {
        fs::write(&plan, text.replace("1.0", version)).unwrap();
        let answer = sup(dir.path(), &["plan", "pack", "web"]);
        assert_eq!(answer.code, 4, "{version:?}: {}", answer.stderr);
        assert!(answer.stderr.contains("plan.toml:2:"), "{}", answer.stderr);
    }
    fs::write(&plan, text).unwrap();
    fs::write(dir.path().join("web/config/web.conf"), "{{#if}").unwrap();
    let answer = sup(dir.path(), &["plan", "pack", "web"]);
    assert_eq!(answer.code, 4, "{}", answer.stderr);
    assert!(answer.stderr.contains("web.conf:1"), "{}", answer.stderr);
    fs::write(dir.path().join("web/config/web.conf"), "").unwrap();
    symlink("/etc/passwd", dir.path().join("web/passwd")).unwrap();
    let answer = sup(dir.path(), &["plan", "pack", "web"]);
    assert!(answer.code != 0 && answer.stderr.contains("outside of the plan"), "{}", answer.stderr);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "web" || name == "sup.toml"), "{left:?}");
}

#[test]
fn a_release_is_signed_by_a_flag_or_by_a_setting_and_taken_by_who_trusts_the_key() {
    let dir = world();
    let answer = sup(dir.path(), &["--json", "release", "key", "ci.key"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let said: Value = serde_json::from_str(&answer.stdout).unwrap();
    let public = said["public_key"].as_str().unwrap();
    let again = sup(dir.path(), &["release", "key", "ci.key"]);
    assert!(again.code != 0 && again.stderr.contains("ci.key"), "{}", again.stderr);
    let (flagged, by_flag) = pack(dir.path(), &["--sign", "ci.key", "-o", "flag.sup"]);
    assert_eq!(flagged["signed_by"], public);
    fs::write(dir.path().join("sup.toml"), "signing-key = \"ci.key\"\n").unwrap();
    let (_, by_setting) = pack(dir.path(), &["-o", "setting.sup"]);
    assert_eq!(fs::read(&by_flag).unwrap(), fs::read(&by_setting).unwrap());
    let trust = |key: &str| Trust::load(&[key.parse::<TrustedKey>().unwrap()], Requirement::Signature).unwrap();
    let archive = fs::read(&by_flag).unwrap();
    unpacked(&archive, &trust(public)).unwrap();
    let stranger = SecretKey::draw().unwrap().public().to_string();
    let error = unpacked(&archive, &trust(&stranger)).unwrap_err();
    assert!(error.to_string().contains("none of this node's trusted-keys"), "{error}");
    let missing = sup(dir.path(), &["plan", "pack", "web", "--sign", "no.key"]);
    assert_eq!(missing.code, 2, "{}", missing.stderr);
    assert!(missing.stderr.contains("no.key"), "{}", missing.stderr);
}

#[test]
fn an_archive_that_another_program_made_is_refused() {
    let dir = world();
    let web = dir.path().join("web");
    symlink("/etc/passwd", web.join("link")).unwrap();
    for (args, told) in [
        (&["plan.toml"][..], "it is damaged"),
        (&["link"], "is a symbolic link to \"/etc/passwd\"; a release has files only"),
        (&["../sup.toml"], "the path \"../sup.toml\" is refused"),
        (&["/etc/hostname"], "the path \"/etc/hostname\" is refused"),
        (&["/dev/null"], "is a character device; a release has files only"),
        (&["config"], "is a directory; a release has files only"),
    ] {
        let error = unpacked(&tar(&web, args), &Trust::default()).unwrap_err();
        assert!(error.to_string().contains(told), "{args:?}: {error}");
    }
    let (_, archive) = {
        fs::remove_file(web.join("link")).unwrap();
        pack(dir.path(), &[])
    };
    let archive = fs::read(archive).unwrap();
    assert!(matches!(unpacked(&archive[..archive.len() / 2], &Trust::default()), Err(UnpackError::Truncated { .. })));
    assert!(matches!(unpacked(&[&archive[..], b"more"].concat(), &Trust::default()), Err(UnpackError::Garbage)));
}

#[test]
#[ignore = "a measurement, of 50 MiB of which zstd makes a half"]
fn how_fast_a_release_is_packed_and_unpacked() {
    const MIB: usize = 50;
    let dir = world();
    let seed = sup::base::Hash::of(b"payload").as_bytes().repeat(MIB << 15);
    // Every other block is its own: what payload is like, neither noise nor zeros.
    let mut payload = seed[..MIB << 20].to_vec();
    for (at, block) in payload.chunks_mut(1024).enumerate().step_by(2) {
        let noise = (0..32_u32).flat_map(|part| *sup::base::Hash::of(format!("{at} {part}").as_bytes()).as_bytes());
        block.iter_mut().zip(noise).for_each(|(byte, noise)| *byte = noise);
    }
    fs::write(dir.path().join("web/payload"), payload).unwrap();
    let start = Instant::now();
    let out = dir.path().join("x.sup");
    let packed = sup::release::pack(&dir.path().join("web"), sup::release::Out::File(&out), None).unwrap();
    let pack = start.elapsed();
    let start = Instant::now();
    let trust = Trust::default();
    let terms = Terms { expected: Some(packed.id.manifest), limits: Limits::default(), trust: &trust };
    unpack(fs::File::open(&out).unwrap(), &dir.path().join("there"), terms).unwrap();
    let unpack = start.elapsed();
    println!("{MIB} MiB, packed {} bytes: pack {pack:.2?}, unpack {unpack:.2?}", packed.bytes);
}
