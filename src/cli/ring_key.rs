//! `sup ring key`: the key that encrypts what nodes say to each other.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{InstallRingKeyArgs, NewRingKeyArgs, RingKeyArgs, ShowRingKeyArgs};
use super::failure::Outcome;
use super::out::{Out, Tone, member_tone};
use super::table::{Cell, Table};
use crate::api::client::Client;
use crate::api::shape::{KeyInstall, KeyOrder, KeyText, KeysChanged, NodeKeys, Scope};
use crate::api::{ExitStatus, Problem, ProblemKind};
use crate::net::{KeyId, RingKey};

/// Longest file that a key is read from, in bytes: one key, and what a person wrote beside it.
const FILE_BYTES: u64 = 64 * 1024;
/// Standard input or output.
const STANDARD: &str = "-";

/// What `sup ring key new` says to a program.
#[derive(Serialize)]
struct NewKey {
    id: KeyId,
    file: String,
}

pub(super) fn new(args: &NewRingKeyArgs, out: &mut Out<'_>) -> Outcome {
    let failed = |error: &io::Error| Problem::caused(ProblemKind::Internal, error);
    let key = RingKey::draw().map_err(|error| failed(&error))?;
    if args.file == Path::new(STANDARD) {
        out.line(key.text().as_str())?;
        return Ok(ExitStatus::Done);
    }
    let file = args.file.display().to_string();
    write(&args.file, &key).map_err(|error| {
        Problem::new(ProblemKind::Internal, format!("cannot write the key to {file}: {error}"))
            .next("name a file that is not there, in a directory that is")
    })?;
    let shape = NewKey { id: key.id(), file };
    out.result(&shape, |out| out.line(format_args!("key {} is in {}", shape.id, shape.file)))?;
    out.next(format_args!(
        "for a new ring: put it on each node, sup run --ring-key-file {0}; for one that runs: sup ring key install {0}",
        shape.file
    ))?;
    Ok(ExitStatus::Done)
}

fn write(path: &Path, key: &RingKey) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let text = Zeroizing::new(format!(
        "# Key {} of a ring. Whoever has it can do all that a node of the ring can: keep it secret.\n{}\n",
        key.id(),
        key.text().as_str()
    ));
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

pub(super) async fn show(client: &Client, out: &mut Out<'_>, args: &ShowRingKeyArgs) -> Outcome {
    let shown = client.show_key(args.key).await?;
    out.result(&shown, |out| out.line(shown.key.0.text().as_str()))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn install(client: &Client, out: &mut Out<'_>, args: &InstallRingKeyArgs) -> Outcome {
    let key = read(&args.file)?;
    let id = key.id();
    let changed = client.install_key(&KeyInstall { key: KeyText(key), scope: scope(args.here) }).await?;
    told(out, &changed, "installed")?;
    ended(out, &changed, &format!("sup ring key use {id}"))
}

pub(super) async fn use_it(client: &Client, out: &mut Out<'_>, args: &RingKeyArgs) -> Outcome {
    let changed = client.use_key(&order(args)).await?;
    told(out, &changed, "in use")?;
    let old = changed.nodes.iter().flat_map(|node| &node.keys).find(|key| **key != args.key);
    ended(out, &changed, &old.map_or(String::new(), |old| format!("sup ring key remove {old}")))
}

pub(super) async fn remove(client: &Client, out: &mut Out<'_>, args: &RingKeyArgs) -> Outcome {
    let changed = client.remove_key(&order(args)).await?;
    told(out, &changed, "removed")?;
    ended(out, &changed, "")
}

pub(super) async fn list(client: &Client, out: &mut Out<'_>) -> Outcome {
    let keys = client.ring_keys().await?;
    out.result(&keys, |out| {
        table(out, &keys.nodes)?;
        if keys.nodes.iter().all(|node| node.keys.is_empty()) {
            out.line(format_args!("the ring {} has no key: its traffic is in clear text", keys.ring))?;
            return out.next("sup ring key new FILE");
        }
        Ok(())
    })?;
    Ok(ExitStatus::Done)
}

/// The key of a file, or of standard input.
fn read(path: &Path) -> Result<RingKey, Problem> {
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new(STANDARD) {
        io::stdin().take(FILE_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text))
    };
    let shown = path.display();
    read.map_err(|error| Problem::new(ProblemKind::BadRequest, format!("cannot read the key from {shown}: {error}")))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(key), None) = (lines.next(), lines.next()) else {
        let detail = format!("{shown} does not have one key of a ring");
        return Err(Problem::new(ProblemKind::BadRequest, detail).next("make one: sup ring key new FILE"));
    };
    key.parse().map_err(|error| Problem::caused(ProblemKind::BadRequest, &error))
}

const fn scope(here: bool) -> Scope {
    if here { Scope::Here } else { Scope::Everywhere }
}

const fn order(args: &RingKeyArgs) -> KeyOrder {
    KeyOrder { key: args.key, scope: scope(args.here), force: args.force }
}

fn told(out: &mut Out<'_>, changed: &KeysChanged, what: &str) -> io::Result<()> {
    out.result(changed, |out| {
        table(out, &changed.nodes)?;
        let (all, done) = (changed.nodes.len(), changed.nodes.iter().filter(|node| node.problem.is_none()).count());
        out.line(format_args!("key {}: {what} on {done} of {all} nodes", changed.key))
    })
}

/// What a change that was not made everywhere comes to, and what is next after one that was.
fn ended(out: &mut Out<'_>, changed: &KeysChanged, next: &str) -> Outcome {
    if !changed.complete {
        out.next("see to the nodes that have not done it, and repeat the command: it does no harm twice")?;
        return Ok(ExitStatus::Failed);
    }
    if !next.is_empty() {
        out.next(next)?;
    }
    Ok(ExitStatus::Done)
}

fn table(out: &mut Out<'_>, nodes: &[NodeKeys]) -> io::Result<()> {
    let mut table = Table::new(["NODE", "ADDRESS", "STATE", "IN USE", "KEYS", "CLEAR TEXT", ""]);
    for node in nodes {
        let problem = node.problem.as_deref().unwrap_or_default();
        let known = node.problem.is_none() || !node.keys.is_empty();
        let keys = node.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let clear = match (known, node.takes_clear_text) {
            (false, _) => "",
            (true, true) => "taken",
            (true, false) => "refused",
        };
        table.row([
            node.node_id.short().into(),
            node.address.as_str().into(),
            Cell::toned(member_tone(node.state), node.state.as_str()),
            node.in_use
                .map_or_else(|| if known { "none".to_owned() } else { String::new() }, |key| key.to_string())
                .into(),
            keys.into(),
            clear.into(),
            Cell::toned(Tone::Bad, problem),
        ]);
    }
    table.print(out)
}
