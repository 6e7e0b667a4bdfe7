//! `plan.toml`, and the list of a plan's files.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use sup::plan::{Complaints, Content, HookName, PLAN_TOML, PLAN_TOML_BYTES, Source, manifest};

fuzz_target!(|input: &[u8]| {
    if let Ok(content) = Content::parse(input) {
        assert_eq!(content.to_bytes(), input, "a list is written in one way");
        for file in content.files() {
            let inside = file.path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            assert!(inside && file.path.is_relative(), "{:?}", file.path);
        }
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.len() as u64 > PLAN_TOML_BYTES {
        return;
    }
    let source = Source::new(PLAN_TOML, text);
    for hooks in [BTreeSet::new(), BTreeSet::from([HookName::Run, HookName::HealthCheck])] {
        match manifest::parse(&source, &hooks) {
            Ok(manifest) => {
                sup_fuzz::stays_inside(manifest.name.as_str());
                sup_fuzz::stays_inside(manifest.version.as_str());
                assert!(manifest.ident().ends_with(&format!("/{}/{}", manifest.name, manifest.version)));
            }
            Err(complaints) => are_told(&complaints, text),
        }
    }
});

/// Each has a place that is there, and can be shown.
fn are_told(complaints: &Complaints, text: &str) {
    assert!(!complaints.is_empty());
    for complaint in &complaints.0 {
        assert!(complaint.line <= text.lines().count() + 1, "{complaint:?}");
    }
    assert!(!complaints.to_string().is_empty());
}
