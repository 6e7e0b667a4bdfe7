//! Archives of releases: nothing is written outside of the directory, nor more than is allowed, and a refused one
//! leaves nothing behind.
//!
//! The first byte says what the rest is: an archive, the tar in one, or a script of its files.

#![no_main]

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sup::base::Hash;
use sup::release::{Limits, Terms, Trust, unpack};
use sup_fuzz::Script;

/// How much an archive may unpack to.
const LIMIT: u64 = 64 * 1024;
/// Most files of a script.
const FILES_MAX: usize = 12;
/// The size of a tar's block.
const BLOCK: usize = 512;

fuzz_target!(|input: &[u8]| {
    let mut script = Script::new(input);
    match script.byte().map(|kind| kind % 4) {
        Some(0) => check(script.rest()),
        Some(1) => check(&compressed(script.rest())),
        Some(_) => check(&compressed(&tar(script))),
        None => {}
    }
});

fn compressed(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 1).expect("it is in memory")
}

/// Where it is unpacked: in memory, if there is such a place.
fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let shm = Path::new("/dev/shm");
        if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() }
    })
}

fn check(archive: &[u8]) {
    let above = tempfile::tempdir_in(scratch()).expect("a directory");
    let base = above.path().join("base");
    fs::create_dir(&base).expect("a directory");
    fs::write(above.path().join("canary"), b"sings").expect("a file");
    let trust = Trust::default();
    let terms = Terms { expected: None, limits: Limits { bytes: LIMIT }, trust: &trust };
    let unpacked = unpack(archive, &base.join("dir"), terms);
    assert_eq!(names(above.path()), ["base", "canary"]);
    assert_eq!(fs::read(above.path().join("canary")).expect("it is there"), b"sings");
    let Ok(unpacked) = unpacked else {
        // Said in full, whatever is in it.
        assert_eq!(names(&base), Vec::<String>::new(), "nothing is left");
        return;
    };
    assert_eq!(names(&base), ["dir"]);
    let mut files = Vec::new();
    list(&base.join("dir"), &mut files);
    assert_eq!(files.len(), unpacked.content.files().len());
    let mut total = 0;
    for listed in unpacked.content.files() {
        assert!(listed.path.components().all(|part| matches!(part, Component::Normal(_))), "{:?}", listed.path);
        let there = fs::read(base.join("dir").join(&listed.path)).expect("it is there");
        assert_eq!((there.len() as u64, Hash::of(&there)), (listed.bytes, listed.hash));
        total += listed.bytes;
    }
    assert!(total <= LIMIT);
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// All files, none of which is anything else than a file.
fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("it is there").file_type();
        assert!(kind.is_dir() || kind.is_file(), "{path:?} is a {kind:?}");
        if kind.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

/// An archive whose parts fit each other: the list is that of the files, and the headers add up. What is in them is
/// the script's.
fn tar(mut script: Script<'_>) -> Vec<u8> {
    let mut files: Vec<(&[u8], &[u8], u8)> = Vec::new();
    let flags = script.byte().unwrap_or_default();
    if flags & 1 != 0 {
        files.push((b"plan.toml", b"name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n", 0));
    }
    while files.len() < FILES_MAX && !script.rest().is_empty() {
        files.push((script.piece(), script.piece(), script.byte().unwrap_or_default()));
    }
    if flags & 2 != 0 {
        files.sort_by_key(|(path, ..)| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>());
    }
    let mut manifest = Vec::new();
    for (path, content, kind) in &files {
        manifest.extend_from_slice(path);
        let mode = if kind & 1 == 0 { "644" } else { "755" };
        manifest.extend_from_slice(format!("\0{mode} {} {}\n", content.len(), Hash::of(content)).as_bytes());
    }
    let mut tar = Vec::new();
    entry(&mut tar, b".sup/release", b"format = 1\nname = \"x\"\nversion = \"1\"\n", 0);
    entry(&mut tar, b".sup/manifest", &manifest, 0);
    for (path, content, kind) in files {
        entry(&mut tar, path, content, kind);
    }
    tar.extend_from_slice(&[0; 2 * BLOCK]);
    tar
}

fn entry(tar: &mut Vec<u8>, path: &[u8], content: &[u8], kind: u8) {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &path[..path.len().min(100)]);
    put(100, if kind & 1 == 0 { b"0000644" } else { b"0000755" });
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{:011o}", content.len()).as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    // Links and directories, now and then.
    put(
        156,
        match kind >> 1 & 15 {
            1 => b"2",
            2 => b"1",
            3 => b"5",
            _ => b"0",
        },
    );
    if kind & 64 != 0 {
        put(157, b"../../canary");
    }
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}
