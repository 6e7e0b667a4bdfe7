//! A map that forgets what was not used for long, and never grows beyond twice its limit.

use std::collections::HashMap;
use std::hash::Hash;

/// Two generations of entries: what is used moves to the younger one; when that is full, the older one is forgotten.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    limit: usize,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// An empty one, which holds at least the `limit` entries that were used last, and at most twice as many.
    pub(super) fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), limit }
    }

    /// The value of `key`, made if there is none.
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        let kept = if self.old.is_empty() { None } else { self.old.remove(&key) };
        self.young.entry(key).or_insert_with(|| kept.unwrap_or_else(make))
    }

    /// The value of `key`. Does not count as a use.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let mut recent = Recent::new(2);
        *recent.entry(0, || 0) += 1;
        for other in 1..100 {
            *recent.entry(other, || 0) += 1;
            *recent.entry(0, || 0) += 1;
            assert!(recent.young.len() + recent.old.len() <= 4);
        }
        assert_eq!(recent.get(&0), Some(&100));
        assert_eq!(recent.get(&1), None);
        assert_eq!(recent.get(&99), Some(&1));
    }
}
