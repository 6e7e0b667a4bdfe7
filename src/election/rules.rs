//! What decides a group's elections, beyond the topology and strategy that its members publish.

use std::time::Duration;

/// How a group is to be governed, as its plan and the settings of this node say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupRules {
    /// Members that must be alive before the first council is formed.
    pub min_members: usize,
    /// How many members vote, at most [`crate::base::limits::COUNCIL_MAX`].
    pub council_size: usize,
    /// For how long a voter may be silent before another member takes its place.
    pub replace_voter_after: Duration,
}
