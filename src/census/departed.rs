//! The nodes that a person said are gone for good.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::NodeId;
use crate::records::value::{Departure, NodeFacts};

use super::index::Census;
use super::view::{Liveness, NodeView};

impl Census {
    /// What was said of a node that is gone for good; none of one that is not.
    #[must_use]
    pub fn departure(&self, id: NodeId) -> Option<&Departure> {
        self.departed.get(&id)
    }

    /// All nodes that are gone for good.
    #[must_use]
    pub fn departed(&self) -> BTreeSet<NodeId> {
        self.departed.keys().copied().collect()
    }

    pub(super) fn set_departure(&mut self, id: NodeId, departure: Option<Departure>) {
        match departure {
            Some(departure) => {
                let shown = self.nodes.get(&id).map(|node| (node.address, Arc::clone(&node.facts)));
                let told = departure.address.map(|address| {
                    let facts = NodeFacts { hostname: departure.hostname.clone(), ..NodeFacts::default() };
                    (address, Arc::new(facts))
                });
                self.departed.insert(id, departure);
                if let Some((address, facts)) = shown.or(told) {
                    self.nodes.insert(id, NodeView { id, address, liveness: Liveness::Departed, facts });
                }
            }
            None => {
                if self.departed.remove(&id).is_none() {
                    return;
                }
                // Whoever knows better says so: the ring.
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.liveness = Liveness::Down;
                }
            }
        }
        self.touch_node(id);
    }
}
