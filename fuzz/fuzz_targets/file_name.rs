//! Names that come from the ring and become paths: whatever is taken for one stays in its directory.

#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use sup::base::{FileName, GroupId, Name, ReleaseRef, RingName, Version};
use sup::plan::{ServicePaths, check_path, cut};
use sup::records::{Key, Kind};
use sup_fuzz::stays_inside;

fuzz_target!(|input: &[u8]| {
    // A path in an archive.
    if check_path(input).is_ok() {
        let text = std::str::from_utf8(input).expect("what is taken is text");
        let path = Path::new(text);
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{text:?}");
        assert_eq!(path.components().count(), text.split('/').count(), "{text:?} is written in one way");
        let (prefix, name) = cut(text).expect("what is taken fits a header");
        assert_eq!(if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }, text);
    }
    if let Ok(release) = serde_json::from_slice::<ReleaseRef>(input) {
        stays_inside(release.name.as_str());
        stays_inside(release.version.as_str());
        release.origin.iter().for_each(|origin| stays_inside(origin.as_str()));
        stays_inside(&release.manifest.to_string());
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(name) = text.parse::<FileName>() {
        stays_inside(name.as_str());
        // As a record's key it is the same name again.
        let group: GroupId = "a.b".parse().expect("a group");
        assert_eq!(Key::file(&group, &name, "1-x").kind(), Kind::File(group, name, "1-x".to_owned()));
    }
    if let Ok(name) = text.parse::<Name>() {
        stays_inside(name.as_str());
        let paths = ServicePaths::new(Path::new("/data"), &name);
        let root = Path::new("/data/svc").join(name.as_str());
        assert!(paths.directories().iter().all(|dir| dir.starts_with(&root)));
        assert_eq!(paths.root, root);
    }
    if let Ok(group) = text.parse::<GroupId>() {
        stays_inside(&group.to_string());
    }
    if let Ok(version) = text.parse::<Version>() {
        stays_inside(version.as_str());
    }
    if let Ok(ring) = text.parse::<RingName>() {
        stays_inside(ring.as_str());
    }
});
