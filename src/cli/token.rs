//! `sup token`: who may ask a supervisor by HTTP.

use super::args::{NewTokenArgs, RevokeTokenArgs};
use super::failure::Outcome;
use super::out::{Out, Tone};
use super::table::{Cell, Table};
use crate::api::ExitStatus;
use crate::api::client::Client;
use crate::api::shape::{TokenInfo, TokenRequest};

pub(super) async fn new(client: &Client, out: &mut Out<'_>, args: &NewTokenArgs) -> Outcome {
    let expires_in_ms = args.expires.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let request = TokenRequest { role: args.role, name: args.name.clone(), expires_in_ms };
    let made = client.new_token(&request).await?;
    // The result is the token alone, so that it can be sent into a file.
    out.result(&made, |out| out.line(made.token.text().as_str()))?;
    let TokenInfo { id, role, .. } = &made.info;
    out.notice(format_args!("token {id} has the role {role} on all nodes of the ring; it is shown this once"))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn list(client: &Client, out: &mut Out<'_>) -> Outcome {
    let tokens = client.tokens().await?;
    out.result(&tokens, |out| {
        if tokens.tokens.is_empty() {
            out.line("the ring has no tokens")?;
            return out.next("sup token new --role read");
        }
        let mut table = Table::new(["ID", "ROLE", "NAME", "MADE", "EXPIRES"]);
        for token in &tokens.tokens {
            let expires = match token.expires_at {
                None => "never".into(),
                Some(at) if token.expired => Cell::toned(Tone::Bad, format!("{at} (it has)")),
                Some(at) => at.to_string().into(),
            };
            table.row([
                token.id.to_string().into(),
                token.role.as_str().into(),
                token.name.as_str().into(),
                token.created_at.to_string().into(),
                expires,
            ]);
        }
        table.print(out)
    })?;
    Ok(ExitStatus::Done)
}

pub(super) async fn revoke(client: &Client, out: &mut Out<'_>, args: &RevokeTokenArgs) -> Outcome {
    let revoked = client.revoke_token(args.token).await?;
    out.result(&revoked, |out| {
        out.line(format_args!("token {} is taken no more, on any node that hears of it", revoked.id))
    })?;
    Ok(ExitStatus::Done)
}
