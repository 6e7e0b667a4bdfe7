//! `sup depart`, `sup undepart`, `sup group recover`.

use super::{served, sup};

#[tokio::test]
async fn a_departure_says_what_follows_from_it_and_how_it_is_undone() {
    let served = served();
    let ended = sup(&served, &["depart", "db 4", "--force"]).await;
    let expected = "\
00000004 (127.0.0.4:9638) is gone for good
its records are forgotten, it counts for no quorum, and others take its place in councils
should it come back, it is not let in, and says so in its log and `sup status`
next: sup members; to take it back: sup undepart 00000004
";
    assert_eq!((ended.code, ended.out.as_str()), (0, expected), "{}", ended.err);
    assert_eq!(served.fake.asked().last().map(String::as_str), Some("depart db 4 true"));
    let ended = sup(&served, &["undepart", "00000004"]).await;
    assert!(ended.out.contains("is let in again"), "{}", ended.out);
    assert_eq!(served.fake.asked().last().map(String::as_str), Some("undepart 00000004"));
}

#[tokio::test]
async fn a_council_is_not_given_up_before_a_person_accepts_what_that_may_cost() {
    let served = served();
    let ended = sup(&served, &["group", "recover", "redis.default"]).await;
    assert_eq!(ended.code, 4);
    for expected in ["two members lead", "00000002 (127.0.0.2:9638, alive)", "--accept-split-brain-risk"] {
        assert!(ended.err.contains(expected), "{}", ended.err);
    }
    assert!(!served.fake.asked().iter().any(|asked| asked.starts_with("recover")));
}

#[tokio::test]
async fn a_recovery_waits_for_the_new_council_and_its_leader() {
    let served = served();
    let ended = sup(&served, &["group", "recover", "redis.default", "--accept-split-brain-risk"]).await;
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("redis.default has a new council of"), "{}", ended.out);
    assert!(ended.out.contains("sup depart 00000003, 00000004"), "{}", ended.out);
    assert!(served.fake.asked().contains(&"recover redis.default".to_owned()));
}
