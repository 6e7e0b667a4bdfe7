use super::{Kept, KeyChange, changed, with_configured};
use crate::net::{ClearText, KeySet, RingKey};

fn key(n: u8) -> RingKey {
    RingKey::from_bytes([n; 32])
}

fn kept(keys: KeySet) -> Option<Kept> {
    Some(Kept { keys, removed: Vec::new() })
}

#[test]
fn the_first_key_of_the_settings_is_used_and_clear_text_refused() {
    let kept = with_configured(None, vec![key(1), key(2)]).unwrap();
    assert_eq!(kept.keys.in_use(), Some(key(1).id()));
    assert_eq!(kept.keys.installed().len(), 2);
    assert!(!kept.keys.takes_clear_text());
    assert!(with_configured(None, Vec::new()).unwrap().keys.takes_clear_text());
}

#[test]
fn a_key_of_the_settings_does_not_take_the_place_of_the_one_in_use() {
    let kept = with_configured(kept(KeySet::sealed(key(1))), vec![key(2)]).unwrap();
    assert_eq!(kept.keys.in_use(), Some(key(1).id()));
    assert!(kept.keys.key(key(2).id()).is_some());
}

#[test]
fn a_key_that_was_removed_does_not_come_back_by_itself_but_by_being_installed() {
    let rotated = KeySet::sealed(key(1)).with(key(2)).unwrap().using(key(2).id()).unwrap();
    let removed = changed(kept(rotated).unwrap(), &KeyChange::Remove(key(1).id())).unwrap();
    let restarted = with_configured(Some(removed), vec![key(1)]).unwrap();
    assert!(restarted.keys.key(key(1).id()).is_none());
    let installed = changed(restarted, &KeyChange::Install(key(1))).unwrap();
    assert!(with_configured(Some(installed), vec![key(1)]).unwrap().keys.key(key(1).id()).is_some());
}

#[test]
fn a_ring_on_its_way_to_its_first_key_takes_clear_text_until_it_is_closed() {
    let under_way = changed(Kept::default(), &KeyChange::Install(key(1))).unwrap();
    // To close it now would make it deaf.
    let under_way = changed(under_way, &KeyChange::Close).unwrap();
    assert!(under_way.keys.takes_clear_text());
    let used = changed(under_way, &KeyChange::Use(key(1).id())).unwrap();
    assert!(used.keys.takes_clear_text());
    assert!(!changed(used.clone(), &KeyChange::Close).unwrap().keys.takes_clear_text());
    // A restart in between, with the key in its settings, too, does not close it either.
    assert!(with_configured(Some(used), vec![key(1)]).unwrap().keys.takes_clear_text());
    let closed = KeySet::sealed(key(1)).clear_text(ClearText::Refused);
    assert!(!with_configured(kept(closed), vec![key(1)]).unwrap().keys.takes_clear_text());
}
