//! `sup ring key`.

use super::{served, sup};

#[tokio::test]
async fn a_key_is_made_for_its_owner_only_and_installed_from_its_file_or_standard_input() {
    use std::os::unix::fs::MetadataExt as _;
    let served = served();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key").display().to_string();
    let made = sup(&served, &["ring", "key", "new", &file]).await;
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let again = sup(&served, &["ring", "key", "new", &file]).await;
    assert_eq!(again.code, 1, "a file that is there is not overwritten");
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = text.lines().last().unwrap().strip_prefix("sup-ring:").unwrap();
    let installed = sup(&served, &["ring", "key", "install", &file]).await;
    assert_eq!(installed.code, 0, "{}", installed.err);
    assert!(installed.out.contains("installed on 3 of 3 nodes\nnext: sup ring key use "), "{}", installed.out);
    for shown in [&made.out, &installed.out, &served.fake.asked().join("\n")] {
        assert!(!shown.contains(secret), "{shown}");
    }
    std::fs::write(&file, "sup-ring:12\n").unwrap();
    assert_eq!(sup(&served, &["ring", "key", "install", &file]).await.code, 2);
}

#[tokio::test]
async fn a_change_of_keys_that_is_not_made_everywhere_has_failed_and_says_where() {
    let served = served();
    served.fake.change(|state| state.changes = false);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key").display().to_string();
    assert_eq!(sup(&served, &["ring", "key", "new", &file]).await.code, 0);
    let ended = sup(&served, &["ring", "key", "install", &file]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("127.0.0.4:9638  alive") && ended.out.contains("it does not answer"), "{}", ended.out);
    assert!(ended.out.contains("installed on 2 of 3 nodes"), "{}", ended.out);
}

#[tokio::test]
async fn a_key_is_used_and_removed_by_its_id_and_shown_when_asked_for() {
    let served = served();
    let old = crate::api::fake::ring_key(1);
    let used = sup(&served, &["ring", "key", "use", "0badcafe", "--here", "--force"]).await;
    assert_eq!(used.code, 0, "{}", used.err);
    assert_eq!(served.fake.asked(), ["use KeyOrder { key: 0badcafe, scope: Here, force: true }"]);
    assert_eq!(sup(&served, &["ring", "key", "remove", "0badcafe"]).await.code, 0);
    assert_eq!(sup(&served, &["ring", "key", "use", "no-id"]).await.code, 2);
    let listed = sup(&served, &["ring", "key", "list"]).await;
    assert!(listed.out.contains(&old.id().to_string()) && !listed.out.contains("sup-ring:"), "{}", listed.out);
    let shown = sup(&served, &["ring", "key", "show"]).await;
    assert_eq!(shown.out.trim(), old.text().as_str());
}
