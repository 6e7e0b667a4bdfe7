//! Nodes that a person names: departed, taken back; and councils of which too many are lost.

use super::Supervisor;
use crate::api::shape::{DepartRequest, Departed, Recovery};
use crate::api::{Problem, ProblemKind};
use crate::base::{GroupId, NodeId};
use crate::census::NodeView;
use crate::node::{Command, Force};

/// Fewest characters of an id that name a node.
const ID_CHARS_MIN: usize = 4;

pub(super) async fn depart(supervisor: &Supervisor, node: &str, request: DepartRequest) -> Result<Departed, Problem> {
    let (node, address) = find(supervisor, node).await?;
    let force = if request.force { Force::Yes } else { Force::No };
    let done = supervisor.execute(Command::Depart { node, force }).await?;
    Ok(Departed { node_id: node, address, changed: done.changed })
}

pub(super) async fn undepart(supervisor: &Supervisor, node: &str) -> Result<Departed, Problem> {
    let (node, address) = find(supervisor, node).await?;
    let done = supervisor.execute(Command::Undepart { node }).await?;
    Ok(Departed { node_id: node, address, changed: done.changed })
}

pub(super) async fn recover(supervisor: &Supervisor, group: &GroupId) -> Result<Recovery, Problem> {
    let before = supervisor.view(group).await?;
    supervisor.execute(Command::Recover { group: group.clone() }).await?;
    let council = before.council.as_ref();
    let voters = council.map(|council| council.voters.clone()).unwrap_or_default();
    let alive: Vec<NodeId> = supervisor
        .look(|node| {
            let alive = node.census().nodes().filter(|node| node.liveness == crate::census::Liveness::Alive);
            alive.map(|node| node.id).collect()
        })
        .await?;
    let lost = voters.into_iter().filter(|voter| !alive.contains(voter)).collect();
    let version = council.map(|council| council.version).unwrap_or_default();
    Ok(Recovery { group: group.clone(), lost, version })
}

/// The one node that is meant.
async fn find(supervisor: &Supervisor, text: &str) -> Result<(NodeId, String), Problem> {
    let nodes: Vec<NodeView> = supervisor.look(|node| node.census().nodes().cloned().collect()).await?;
    let mut meant = nodes.iter().filter(|node| is_meant(node, text));
    let (first, second) = (meant.next(), meant.next());
    match (first, second) {
        (Some(node), None) => Ok((node.id, node.address.to_string())),
        (Some(one), Some(other)) => {
            let detail = format!("{text:?} may be {} or {}", one.id.short(), other.id.short());
            Err(Problem::new(ProblemKind::BadRequest, detail).next("give more of the id: sup members --json"))
        }
        (None, _) => Err(Problem::new(ProblemKind::UnknownMember, format!("no node {text:?} is known here"))
            .next("see them all: sup members")),
    }
}

fn is_meant(node: &NodeView, text: &str) -> bool {
    let by_id = text.len() >= ID_CHARS_MIN && node.id.to_string().starts_with(&text.to_ascii_lowercase());
    by_id || node.address.to_string() == text || (!text.is_empty() && node.facts.hostname == text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::is_meant;
    use crate::base::NodeId;
    use crate::census::{Liveness, NodeView};
    use crate::records::value::NodeFacts;

    #[test]
    fn a_node_is_named_by_its_id_the_beginning_of_it_its_address_or_its_host_name() {
        let facts = Arc::new(NodeFacts { hostname: "db1".to_owned(), ..NodeFacts::default() });
        let address = ([10, 0, 0, 1], 9638).into();
        let node = NodeView { id: NodeId::from_u128(0xa1b2_c3d4 << 96), address, liveness: Liveness::Down, facts };
        for text in ["a1b2", "A1B2C3D4", "a1b2c3d4000000000000000000000000", "10.0.0.1:9638", "db1"] {
            assert!(is_meant(&node, text), "{text}");
        }
        for text in ["", "a1b", "b2c3", "10.0.0.1", "db", "a1b2c3d4x"] {
            assert!(!is_meant(&node, text), "{text}");
        }
        let nameless = NodeView { facts: Arc::default(), ..node };
        assert!(!is_meant(&nameless, ""));
    }
}
