use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{ASKED_MAX, ASKED_PER_SOURCE_MAX, CHOICE_MAX, Kind, Picker, SLOW, SPARED, SourceId};
use crate::blob::ChunkSet;

const CHUNKS: usize = 100;
const AT: Duration = Duration::from_secs(100);

fn picker() -> Picker {
    Picker::new(ChunkSet::none(CHUNKS), StdRng::seed_from_u64(1))
}

fn set(chunks: impl IntoIterator<Item = usize>) -> ChunkSet {
    let mut set = ChunkSet::none(CHUNKS);
    chunks.into_iter().for_each(|chunk| set.insert(chunk));
    set
}

fn asked(picker: &mut Picker, source: SourceId, now: Duration) -> Vec<usize> {
    picker.ask(source, now).map(|ask| ask.among.iter().collect()).unwrap_or_default()
}

#[test]
fn an_origin_is_asked_only_for_what_no_peer_has() {
    let mut picker = picker();
    let origin = picker.add(ChunkSet::all(CHUNKS));
    let _peer = picker.add(set(0..95));
    let ask = picker.ask(origin, AT).unwrap();
    assert_eq!(ask.of, Kind::Origin);
    assert!(ask.among.iter().all(|chunk| chunk >= 95), "{ask:?}");
}

#[test]
fn an_origin_may_choose_among_some_and_two_origins_not_among_the_same() {
    let mut picker = picker();
    let origins = [picker.add(ChunkSet::all(CHUNKS)), picker.add(ChunkSet::all(CHUNKS))];
    let first = asked(&mut picker, origins[0], AT);
    let second = asked(&mut picker, origins[1], AT);
    assert_eq!((first.len(), second.len()), (CHOICE_MAX, CHOICE_MAX));
    assert!(first.iter().all(|chunk| !second.contains(chunk)));
}

#[test]
fn of_peers_the_rarest_chunk_is_asked_and_none_twice() {
    let mut picker = picker();
    let peer = picker.add(set([1, 2, 3]));
    let other = picker.add(set([1, 2]));
    assert_eq!(asked(&mut picker, peer, AT), [3]);
    let mut rest = [asked(&mut picker, peer, AT), asked(&mut picker, other, AT)].concat();
    rest.sort_unstable();
    assert_eq!(rest, [1, 2]);
    assert_eq!(asked(&mut picker, other, AT), [0; 0]);
}

#[test]
fn what_an_origin_may_be_about_to_send_is_asked_of_a_peer_only_if_there_is_nothing_else() {
    let mut picker = picker();
    let origin = picker.add(ChunkSet::all(CHUNKS));
    let perhaps = asked(&mut picker, origin, AT);
    let other = (0..CHUNKS).find(|chunk| !perhaps.contains(chunk)).unwrap();
    let peer = picker.add(set([perhaps[0], other]));
    assert_eq!(asked(&mut picker, peer, AT), [other]);
    assert_eq!(asked(&mut picker, peer, AT), [perhaps[0]]);
}

#[test]
fn what_an_origin_declines_to_send_again_is_asked_of_another_at_once_and_of_it_only_later() {
    let mut picker = picker();
    let origin = picker.add(ChunkSet::all(CHUNKS));
    let declined = asked(&mut picker, origin, AT);
    picker.declined(origin, AT);
    assert_eq!(asked(&mut picker, origin, AT + SPARED - Duration::from_millis(1)), [0; 0]);
    let receiver = picker.add(set([declined[0]]));
    assert_eq!(asked(&mut picker, receiver, AT), [declined[0]]);
    assert_eq!(picker.spared(origin, AT), Some(SPARED));
    assert_eq!(picker.spared(origin, AT + SPARED), None);
    assert!(!asked(&mut picker, origin, AT + SPARED).is_empty());
}

#[test]
fn what_a_slow_or_lost_source_owes_is_asked_of_another() {
    let mut picker = picker();
    let slow = picker.add(set([5]));
    let other = picker.add(set([5]));
    assert_eq!(asked(&mut picker, slow, AT), [5]);
    assert_eq!(asked(&mut picker, other, AT + SLOW - Duration::from_millis(1)), [0; 0]);
    assert_eq!(asked(&mut picker, other, AT + SLOW), [5]);
    picker.remove(other);
    let third = picker.add(set([5]));
    assert_eq!(asked(&mut picker, third, AT + SLOW), [5]);
}

#[test]
fn a_peer_that_is_slow_does_not_keep_us_from_the_origin() {
    let mut picker = picker();
    let peer = picker.add(set(1..CHUNKS));
    let origin = picker.add(ChunkSet::all(CHUNKS));
    assert!(!asked(&mut picker, peer, AT).is_empty());
    assert_eq!(asked(&mut picker, origin, AT), [0]);
    picker.answered(origin, AT);
    picker.took(0);
    assert_eq!(asked(&mut picker, origin, AT), [0; 0]);
    assert_eq!(asked(&mut picker, origin, AT + SLOW).len(), CHOICE_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Sources that have what they say, answer in any order, and come and go.
    #[test]
    fn every_chunk_that_somebody_has_is_got_once_and_the_limits_hold(
        holdings in proptest::collection::vec(proptest::collection::btree_set(0..CHUNKS, 0..CHUNKS), 1..12),
        steps in proptest::collection::vec((0..12_usize, 0..10_u8), 0..200),
        seed: u64,
    ) {
        let mut picker = Picker::new(ChunkSet::none(CHUNKS), StdRng::seed_from_u64(seed));
        let mut sources: BTreeMap<usize, SourceId> = BTreeMap::new();
        let mut owed: BTreeMap<usize, Vec<ChunkSet>> = BTreeMap::new();
        let mut got = ChunkSet::none(CHUNKS);
        let everyone = (0..holdings.len()).flat_map(|source| [(source, 5); 2]).cycle().take(holdings.len() * CHUNKS * 4);
        for (source, what) in steps.into_iter().chain(everyone) {
            if picker.is_done() {
                break;
            }
            let Some(holding) = holdings.get(source) else { continue };
            let id = *sources.entry(source).or_insert_with(|| picker.add(set(holding.iter().copied())));
            if what == 0 {
                picker.remove(id);
                sources.remove(&source);
                owed.remove(&source);
                continue;
            }
            let waiting = owed.entry(source).or_default();
            if let Some(ask) = picker.ask(id, AT) {
                prop_assert!(ask.among.iter().all(|chunk| holding.contains(&chunk) && !got.contains(chunk)));
                waiting.push(ask.among);
                prop_assert!(waiting.len() <= ASKED_PER_SOURCE_MAX);
            } else if !waiting.is_empty() {
                // One that came from elsewhere meanwhile may be sent all the same.
                let chunk = waiting.remove(0).iter().next().unwrap();
                prop_assert!(picker.expects(id, chunk));
                picker.answered(id, AT);
                picker.took(chunk);
                got.insert(chunk);
            }
            prop_assert!(owed.values().map(Vec::len).sum::<usize>() <= ASKED_MAX);
        }
        let there: ChunkSet = set(holdings.iter().flatten().copied());
        prop_assert_eq!(&got, &there);
        prop_assert_eq!(picker.is_done(), there.is_all());
    }
}
