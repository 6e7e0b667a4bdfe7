//! Large news: offered by datagram, fetched by stream from one of those that offered it.

use super::engine::Records;
use super::key::Key;
use super::message::{RecordsRequest, RecordsResponse};
use super::repair::{ANSWER_WITHIN, PAGE_BYTES};
use super::spread::encoded_bytes;
use super::stamp::Stamp;
use crate::base::{Mono, NodeId, Now};

/// How many fetches may be under way; what is offered beyond is left to repair.
const FETCHES: usize = 64;

/// A fetch under way.
#[derive(Debug)]
pub(super) struct Fetch {
    from: NodeId,
    wanted: Vec<(Key, Stamp)>,
    pub(super) until: Mono,
}

impl Records {
    pub(super) fn consider_offers(&mut self, now: Now, from: NodeId, offers: Vec<(Key, Stamp)>) {
        let mut wanted = Vec::new();
        for (key, stamp) in offers {
            if self.refuse(now, &key, &stamp).is_some() || !self.lacks(&key, &stamp) {
                continue;
            }
            if self.has_written(&key) {
                // Its content does not matter.
                self.overrule(now, &key, stamp.time);
            } else if !self.is_fetching(&key, &stamp) {
                wanted.push((key, stamp));
            }
        }
        self.fetch(now, from, wanted);
    }

    fn lacks(&self, key: &Key, stamp: &Stamp) -> bool {
        !self.is_forgotten(key, stamp) && self.table.get(key).is_none_or(|have| have.stamp < *stamp)
    }

    fn is_fetching(&self, key: &Key, stamp: &Stamp) -> bool {
        let mut under_way = self.fetches.values().flat_map(|fetch| &fetch.wanted);
        under_way.any(|(wanted, at)| wanted == key && at >= stamp)
    }

    fn fetch(&mut self, now: Now, from: NodeId, wanted: Vec<(Key, Stamp)>) {
        if wanted.is_empty() || self.fetches.len() >= FETCHES {
            return;
        }
        let keys = wanted.iter().map(|(key, _)| key.clone()).collect();
        let request = self.ask(from, RecordsRequest::Fetch(keys));
        self.fetches.insert(request, Fetch { from, wanted, until: now.mono + ANSWER_WITHIN });
    }

    pub(super) fn answer_fetch(&self, keys: &[Key]) -> RecordsResponse {
        let mut room = PAGE_BYTES;
        let mut records = Vec::new();
        for record in keys.iter().filter_map(|key| self.table.get(key)) {
            let size = encoded_bytes(record);
            if size > room {
                break;
            }
            room -= size;
            records.push(record.clone());
        }
        RecordsResponse::Records(records)
    }

    pub(super) fn finish_fetch(&mut self, now: Now, fetch: Fetch, response: Option<RecordsResponse>) {
        // No answer, or one to another question: repair brings the rest.
        let Some(RecordsResponse::Records(records)) = response else { return };
        let before = fetch.wanted.len();
        for record in records {
            self.hear(now, fetch.from, record);
        }
        let missing: Vec<_> = fetch.wanted.into_iter().filter(|(key, stamp)| self.lacks(key, stamp)).collect();
        // An answer has room for a few large records only. One that brought nothing is not asked for again.
        if missing.len() < before {
            self.fetch(now, fetch.from, missing);
        }
    }
}
