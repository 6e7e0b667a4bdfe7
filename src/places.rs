//! Places for whoever connects: so many in all, and so many for one address, so that nobody can shut the others out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The places of one port.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    most_of_one: usize,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One place. Dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Places {
    /// This many places, of which one address may have `most_of_one`.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, taken: Mutex::default() })
    }

    /// A place for `peer`; none if all are taken, or it has as many as one may have.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        // One peer, whether it comes by IPv4 or by IPv4 within IPv6.
        let peer = peer.to_canonical();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = taken.values().sum();
        let own = taken.get(&peer).copied().unwrap_or_default();
        if total >= self.most || own >= self.most_of_one {
            return None;
        }
        taken.insert(peer, own + 1);
        Some(Place { places: Arc::clone(self), peer })
    }

    /// Whether nobody has one.
    pub(crate) fn are_free(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Places;

    #[test]
    fn nobody_can_take_all_places_and_a_place_that_is_freed_can_be_taken_again() {
        let (hog, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let places = Places::new(3, 2);
        let first = places.take(hog).unwrap();
        let second = places.take("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(places.take(hog).is_none(), "one address has more than its share");
        let third = places.take(other).unwrap();
        assert!(places.take(other).is_none(), "there are more than three");
        drop(first);
        let again = places.take(hog).unwrap();
        drop((second, third, again));
        assert!(places.are_free());
    }
}
