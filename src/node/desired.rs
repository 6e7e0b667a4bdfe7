//! What a group should be: up or down, which release, and how it gets there; and what a person wants of its rollout.
//! Each is a record of its own, so that what is said of one on one side of a cut does not undo what is said of another
//! on the other side.

use crate::base::{GroupId, Now, ReleaseRef};
use crate::records::Key;
use crate::records::value::{Desired, DesiredOptions, DesiredRelease, DesiredState, Order, OrderKind, RolloutOptions};

use super::{CommandError, Done, Node};

impl Node {
    pub(super) fn set_state(&mut self, now: Now, group: &GroupId, state: DesiredState) -> Result<Done, CommandError> {
        // Also if it is that already: it is asked for again.
        let desired = Desired { state, at: now.wall, by: Some(self.me) };
        self.try_put_value(now, Key::desired(group), &desired, 0)?;
        Ok(Done { changed: true, ..Done::default() })
    }

    pub(super) fn set_options(
        &mut self,
        now: Now,
        group: &GroupId,
        options: RolloutOptions,
    ) -> Result<Done, CommandError> {
        if self.census.group(group).options == Some(options) {
            return Ok(Done::default());
        }
        let options = DesiredOptions { options, at: now.wall, by: Some(self.me) };
        self.try_put_value(now, Key::options(group), &options, 0)?;
        Ok(Done { changed: true, ..Done::default() })
    }

    pub(super) fn set_release(&mut self, now: Now, group: &GroupId, release: ReleaseRef) -> Result<Done, CommandError> {
        let before = self.census.group(group).release.clone();
        let mut earlier = Vec::new();
        if let Some(before) = before {
            earlier.push(before.release);
            earlier.extend(before.earlier);
            earlier.retain(|known| known.manifest != release.manifest);
            earlier.truncate(DesiredRelease::EARLIER_MAX);
        }
        let desired = DesiredRelease { release, earlier, at: now.wall, by: Some(self.me) };
        self.try_put_value(now, Key::release(group), &desired, 0)?;
        Ok(Done { changed: true, ..Done::default() })
    }

    pub(super) fn order(&mut self, now: Now, group: &GroupId, what: OrderKind) -> Result<Done, CommandError> {
        let view = self.census.group(group);
        let Some((_, rollout)) = &view.rollout else {
            return Err(CommandError::NoRollout { group: group.clone() });
        };
        let order = Order { what, rollout: rollout.id, at: now.wall, by: Some(self.me) };
        self.try_put_value(now, Key::order(group), &order, 0)?;
        Ok(Done { changed: true, ..Done::default() })
    }
}
