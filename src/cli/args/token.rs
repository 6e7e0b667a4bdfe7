//! `sup token`, as it is typed.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::base::{Role, TokenId};
use crate::plan::period;

/// What tokens are good for.
pub(super) const TOKEN_HELP: &str = "\
A token lets whoever has it in by HTTP, on every node of the ring:
  read      look at the ring, groups, services, rollouts and metrics; no config, no logs, no output of hooks
  operate   see those, too; change config and files, stop, restart, steer rollouts
  admin     everything: load services and releases, send nodes away, end supervisors, make keys and tokens

It is shown once, by `sup token new`; nodes keep a hash of it.
  curl -H \"Authorization: Bearer $SUP_TOKEN\" http://HOST:9631/v1/groups
  SUP_TOKEN=... sup --server https://HOST:9631 status      (or --token-file FILE; never on the command line)

The local socket takes no token: it is for root and the supervisor's own user. Who may look at what is decided by who
asks, and by nothing else; a ring whose traffic is not encrypted can be made to know a token by whoever reaches it.";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TokenCommand {
    /// Make a token, and show it this once
    New(NewTokenArgs),
    /// Show which tokens there are
    List,
    /// Have all nodes take a token no more
    Revoke(RevokeTokenArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NewTokenArgs {
    /// What it is to allow: read, operate or admin
    #[arg(long, value_name = "ROLE")]
    pub role: Role,
    /// What it is for, or whose it is
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub name: String,
    /// For how long it is to be good, such as 720h [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = period::parse)]
    pub expires: Option<Duration>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeTokenArgs {
    /// Which one, by its id
    #[arg(value_name = "ID")]
    pub token: TokenId,
}
