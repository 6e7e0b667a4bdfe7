//! Foca in its cage: calls go in; packets, timers and notices come out, in order.

use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, OwnedNotification, PostcardCodec, State, Timer};
use rand::rngs::StdRng;

use super::identity::Identity;
use super::packet::Packet;
use super::profile::{Profile, SMALLEST_SCALE, rescale};

/// Most updates that may wait to be gossiped when members that were learned by an exchange join them.
const GOSSIPED_MAX: usize = 256;

/// What foca wants done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Send a packet.
    Send { to: Identity, bytes: Vec<u8> },
    /// Call back later.
    Later { after: Duration, timer: Timer<Identity> },
    /// Something happened.
    Notice(OwnedNotification<Identity>),
}

/// Foca refused a call. Whatever came from outside was bad; foca's state is as it was.
#[derive(Debug)]
pub(super) struct Refused;

/// Foca, and what it said since it was last asked.
pub(super) struct Swim {
    foca: Foca<Identity, PostcardCodec, StdRng, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<Identity>,
    profile: Profile,
    scale: usize,
    /// How many suspicions this life refuted. Foca does not tell, but writes it into each packet.
    incarnation: u16,
}

impl Swim {
    pub(super) fn new(me: Identity, profile: Profile, rng: StdRng) -> Self {
        let foca = Foca::new(me, profile.foca_config(SMALLEST_SCALE), rng, PostcardCodec);
        Self { foca, runtime: AccumulatingRuntime::new(), profile, scale: SMALLEST_SCALE, incarnation: 0 }
    }

    pub(super) fn incarnation(&self) -> u16 {
        self.incarnation
    }

    /// Takes a packet.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.foca.handle_data(bytes, &mut self.runtime).map_err(|_| Refused)
    }

    /// Calls foca back.
    pub(super) fn call_back(&mut self, timer: Timer<Identity>) -> Result<(), Refused> {
        self.foca.handle_timer(timer, &mut self.runtime).map_err(|_| Refused)
    }

    /// Applies what is known of members, and gossips what of it is new.
    pub(super) fn apply(&mut self, members: impl IntoIterator<Item = foca::Member<Identity>>) -> Result<(), Refused> {
        self.foca.apply_many(members.into_iter(), true, &mut self.runtime).map_err(|_| Refused)
    }

    /// Applies members that were learned by an exchange. They are gossiped only while little else is: in a storm of
    /// joins, and when a large partition heals, exchanges bring them to everybody anyway, while each update that waits
    /// makes every packet dearer, and hundreds of them would fill all packets for half a minute.
    pub(super) fn learn(&mut self, mut members: Vec<foca::Member<Identity>>) -> Result<(), Refused> {
        let room = GOSSIPED_MAX.saturating_sub(self.foca.updates_backlog());
        let quiet = members.split_off(room.min(members.len()));
        let loud = self.foca.apply_many(members.into_iter(), true, &mut self.runtime);
        let quiet = self.foca.apply_many(quiet.into_iter(), false, &mut self.runtime);
        loud.and(quiet).map_err(|_| Refused)
    }

    /// Begins another life.
    pub(super) fn become_identity(&mut self, me: Identity) -> Result<(), Refused> {
        self.foca.change_identity(me, &mut self.runtime).map_err(|_| Refused)
    }

    /// Tells a few members what is new, now.
    pub(super) fn gossip(&mut self) -> Result<(), Refused> {
        self.foca.gossip(&mut self.runtime).map_err(|_| Refused)
    }

    /// Declares this life over.
    pub(super) fn leave(&mut self) -> Result<(), Refused> {
        self.foca.leave_cluster(&mut self.runtime).map_err(|_| Refused)
    }

    /// What foca holds of this life of a member: its incarnation and state.
    pub(super) fn standing(&self, identity: &Identity) -> Option<(u16, State)> {
        let known = self.foca.iter_membership_state().find(|member| member.id() == identity)?;
        Some((known.incarnation(), known.state()))
    }

    /// The members that are suspect for foca, and at which incarnation.
    pub(super) fn suspects(&self) -> impl Iterator<Item = (Identity, u16)> {
        let suspects = self.foca.iter_members().filter(|member| member.state() == State::Suspect);
        suspects.map(|member| (*member.id(), member.incarnation()))
    }

    /// How many members foca holds, the dead included.
    pub(super) fn known(&self) -> usize {
        self.foca.iter_membership_state().count()
    }

    /// The members that are dead for foca.
    pub(super) fn down(&self) -> impl Iterator<Item = Identity> {
        self.foca.iter_membership_state().filter(|member| member.state() == State::Down).map(|member| *member.id())
    }

    /// Derives again what depends on the size of the ring, if that doubled or halved.
    pub(super) fn rescale(&mut self) -> Result<(), Refused> {
        let scale = rescale(self.scale, self.foca.num_members() + 1);
        if scale != self.scale {
            self.foca.set_config(self.profile.foca_config(scale)).map_err(|_| Refused)?;
            self.scale = scale;
        }
        Ok(())
    }

    /// The size of ring that timeouts are derived for.
    pub(super) fn scale(&self) -> usize {
        self.scale
    }

    /// What foca wants done since this was last asked.
    pub(super) fn effects(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(notice) = self.runtime.to_notify() {
            effects.push(Effect::Notice(notice));
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            effects.push(Effect::Later { after, timer });
        }
        while let Some((to, bytes)) = self.runtime.to_send() {
            if let Ok(header) = Packet::header_of(&bytes) {
                self.incarnation = header.src_incarnation;
            }
            effects.push(Effect::Send { to, bytes: bytes.to_vec() });
        }
        effects
    }
}
