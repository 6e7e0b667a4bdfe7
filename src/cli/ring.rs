//! `sup members`.

use super::failure::Outcome;
use super::out::{Out, Tone, member_tone};
use super::table::{Cell, Table};
use crate::api::ExitStatus;
use crate::api::client::Client;
use crate::api::shape::{MemberState, Members, Node};

pub(super) async fn members(client: &Client, out: &mut Out<'_>) -> Outcome {
    let members = client.members().await?;
    let node = client.node().await?;
    out.result(&members, |out| print(&members, &node, out))?;
    for stranger in &node.strangers {
        out.notice(format_args!("not of this ring: {stranger}"))?;
    }
    Ok(ExitStatus::Done)
}

fn print(members: &Members, node: &Node, out: &mut Out<'_>) -> std::io::Result<()> {
    let mut table = Table::new(["NODE", "ADDRESS", "STATE", "HOST", "VERSION", ""]);
    for member in &members.members {
        let here = if member.node_id == node.node_id { "this node" } else { "" };
        table.row([
            member.node_id.short().into(),
            member.address.as_str().into(),
            Cell::toned(member_tone(member.state), member.state.as_str()),
            member.hostname.as_str().into(),
            member.version.as_str().into(),
            Cell::toned(Tone::Faint, here),
        ]);
    }
    table.print(out)?;
    let alive = members.members.iter().filter(|member| member.state == MemberState::Alive).count();
    let ring = if node.encrypted { "" } else { "; the ring talks in clear text" };
    out.line(format_args!("{alive} of {} alive{ring}", members.members.len()))
}
