//! `sup depart`, `sup undepart`.

use super::args::{DepartArgs, UndepartArgs};
use super::failure::Outcome;
use super::out::Out;
use crate::api::ExitStatus;
use crate::api::client::Client;
use crate::api::shape::DepartRequest;

pub(super) async fn depart(client: &Client, out: &mut Out<'_>, args: &DepartArgs) -> Outcome {
    let departed = client.depart(&args.node, DepartRequest { force: args.force }).await?;
    let (short, address) = (departed.node_id.short(), &departed.address);
    out.result(&departed, |out| {
        if !departed.changed {
            return out.line(format_args!("{short} ({address}) had departed before"));
        }
        out.line(format_args!("{short} ({address}) is gone for good"))?;
        out.line("its records are forgotten, it counts for no quorum, and others take its place in councils")?;
        out.line("should it come back, it is not let in, and says so in its log and `sup status`")
    })?;
    out.next(format_args!("sup members; to take it back: sup undepart {short}"))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn undepart(client: &Client, out: &mut Out<'_>, args: &UndepartArgs) -> Outcome {
    let departed = client.undepart(&args.node).await?;
    let (short, address) = (departed.node_id.short(), &departed.address);
    out.result(&departed, |out| {
        if departed.changed {
            out.line(format_args!("{short} ({address}) is let in again, if it comes; it is looked for"))
        } else {
            out.line(format_args!("{short} ({address}) had not departed"))
        }
    })?;
    out.next("sup members")?;
    Ok(ExitStatus::Done)
}
