//! `sup ring key`, as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::net::KeyId;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RingCommand {
    /// Make and change the key that encrypts what nodes say to each other
    #[command(subcommand, after_long_help = RING_KEY_HELP)]
    Key(RingKeyCommand),
}

/// How keys are handled, in the order in which it is done.
const RING_KEY_HELP: &str = "\
All nodes of a ring share a key. Who does not have it learns nothing of what they say, and changes nothing.

A new ring that is encrypted:
  sup ring key new FILE                    make a key; put FILE on each node, for the supervisor's user only
  sup run --ring-key-file FILE --peer ...  on each node (or SUP_RING_KEY in its environment)

Another key, while the ring runs (each of the three may be repeated until all nodes have done it):
  sup ring key new FILE
  sup ring key install FILE                all nodes can read what is sealed with it
  sup ring key use ID                      all nodes seal with it
  sup ring key remove OLD-ID               all nodes forget the old one
Put FILE in the place of the old one on each node, too: it is what a node starts with that has lost its data.

A first key, while the ring runs:
  sup ring key new FILE                    put FILE on each node, and there:
  sup ring key install --here FILE         (a key is never sent in clear text)
  sup ring key use ID                      once, on any node; then nobody takes clear text any more

Keys are kept in ring.keys in the data directory, for its owner only. They are in no log, no status and no command
line. A node that is down while the key is changed has to be given the new one by hand: start it with
--ring-key-file, or there: sup ring key install --here FILE, sup ring key use --here ID.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RingKeyCommand {
    /// Make a key: no node has it yet
    New(NewRingKeyArgs),
    /// Print a key of this node; the one in use if none is named
    Show(ShowRingKeyArgs),
    /// Have the nodes read what is sealed with a key
    Install(InstallRingKeyArgs),
    /// Have the nodes seal with a key what they send
    Use(RingKeyArgs),
    /// Have the nodes forget a key
    Remove(RingKeyArgs),
    /// Show which node has which keys
    List,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NewRingKeyArgs {
    /// A file that is not there yet, for its owner only; or - for standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowRingKeyArgs {
    /// Which one, by its id
    #[arg(value_name = "ID")]
    pub key: Option<KeyId>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct InstallRingKeyArgs {
    /// The file with the key, or - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// On this node only
    #[arg(long)]
    pub here: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RingKeyArgs {
    /// Which one, by its id
    #[arg(value_name = "ID")]
    pub key: KeyId,
    /// On this node only
    #[arg(long)]
    pub here: bool,
    /// Also if that cuts nodes off
    #[arg(long)]
    pub force: bool,
}
