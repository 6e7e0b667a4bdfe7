//! Two processes with one id.
//!
//! A copied data directory, or a node that was started twice: both would kill one another for ever. The newer process
//! stays, the older has to stop, loudly. But talk of a newer life is no proof that it lives: a node that lost its
//! store, or whose clock was set back, is older than its own past, and the ring tells it so. So whoever hears of a
//! newer life of itself greets it at its address: if something answers as that life, this process is usurped; if
//! nothing does, it was the past, and this node begins a life beyond it.

use std::net::SocketAddr;

use super::action::{DownHow, RingEvent};
use super::alarm::Alarm;
use super::identity::Identity;
use super::machine::{Cause, Ring, Standing};
use super::message::{ActiveMember, RingDatagram};
use super::view::Entry;
use crate::base::Mono;

impl Ring {
    /// Takes a greeting.
    pub(super) fn handle_hello(&mut self, now: Mono, from: SocketAddr, other: Identity) {
        if other.id == self.me.id {
            self.meet_namesake(other);
            return;
        }
        if self.turn_away(now, from, other.id) || self.correct_older(from, other) {
            return;
        }
        // Whoever is new here is greeted in return; greeting everybody would never end.
        if self.learn(now, &[ActiveMember { identity: other, incarnation: 0 }]) > 0 {
            self.send(other.address, RingDatagram::Hello { me: self.me });
        }
        self.hear(now, &other);
    }

    /// Something alive has our id.
    pub(super) fn meet_namesake(&mut self, other: Identity) {
        if other.is_newer_than(&self.me) {
            if self.standing == Standing::Member {
                self.standing = Standing::Usurped;
                self.alarms.clear();
                self.opinions.clear();
                self.event(RingEvent::Usurped { address: other.address, generation: other.generation });
            }
        } else if other != self.me && other.address != self.me.address {
            // It is older than we are, and has to hear of it. From our own address it is our own past, still on its way.
            self.send(other.address, RingDatagram::Hello { me: self.me });
        }
    }

    /// Tells the sender of something if a newer life of it is known. Such a sender must not reach foca, which would
    /// tell it that it is dead: it would begin a new life without learning why.
    pub(super) fn correct_older(&mut self, from: SocketAddr, sender: Identity) -> bool {
        let newer = self.view.get(sender.id).map(Entry::identity).filter(|known| known.is_newer_than(&sender));
        if let Some(than_you) = newer {
            self.send(from, RingDatagram::Newer { than_you });
        }
        newer.is_some()
    }

    /// There is talk of a newer life of this node: asks whether it lives.
    pub(super) fn doubt(&mut self, now: Mono, other: Identity) {
        let asked = self.doubted == Some(other);
        if asked || !other.is_newer_than(&self.me) || self.standing != Standing::Member {
            return;
        }
        if other.address == self.me.address {
            self.outlive(now, other);
        } else {
            self.doubted = Some(other);
            self.send(other.address, RingDatagram::Hello { me: self.me });
            self.alarms.set(now + self.pace.ack_timeout * 4, Alarm::Doubt { other });
        }
    }

    /// The newer life did not answer: it is this node's own past. Goes on beyond it.
    pub(super) fn outlive(&mut self, now: Mono, other: Identity) {
        self.doubted = None;
        if !other.is_newer_than(&self.me) || self.standing != Standing::Member {
            return;
        }
        let me = Identity { generation: other.generation.saturating_add(1), ..self.me };
        let result = self.swim.become_identity(me);
        self.new_life(now, me);
        self.take_up(now, result, Cause::Dead(DownHow::Told));
    }
}
