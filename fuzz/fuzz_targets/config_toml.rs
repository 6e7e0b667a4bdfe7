//! A service's config: TOML, whether it fits its plan and the plan's schema, and its layers.
//!
//! What is before the first zero byte, if there is one, is the schema.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sup::base::limits::CONFIG_BYTES;
use sup::plan::config::{Layers, Unknown, check_schema, effective, merge, parse_environment, to_json, validate};
use sup::plan::{Plan, Source};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.split_once('\0') {
        None => config(plan(), text),
        Some((schema, text)) => {
            let source = Source::new("config.schema.json", schema);
            let Ok(schema) = serde_json::from_str::<serde_json::Value>(schema) else { return };
            if check_schema(&source, &schema).is_ok() {
                config(&Plan { schema: Some(schema), ..plan().clone() }, text);
            }
        }
    }
});

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let defaults = "port = 6379\nratio = 0.5\nname = 'x'\non = true\nlist = ['a']\nmixed = [1, 'a']\nempty = []\n\
                        free = {}\n[server]\nhost = 'h'\nmax-clients = 5\n";
        let schema = r#"{"properties": {"port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "name": {"type": ["string", "integer"], "pattern": "^[a-z]+$"}, "extra": {"type": "string"}}}"#;
        sup_fuzz::plan(&[("default.toml", defaults), ("config.schema.json", schema)])
    })
}

fn config(plan: &Plan, text: &str) {
    for unknown in [Unknown::Refused, Unknown::Allowed] {
        match validate("new.toml", text, plan, unknown) {
            Ok(table) => {
                assert!(text.len() <= CONFIG_BYTES);
                fits(plan, &table, unknown);
            }
            Err(complaints) => {
                assert!(!complaints.is_empty() && !complaints.to_string().is_empty());
                let lines = text.lines().count() + 1;
                assert!(complaints.0.iter().all(|complaint| complaint.line <= lines), "{complaints:?}");
            }
        }
    }
    let service = "x".parse().expect("a name");
    if let Ok(table) = parse_environment(&service, text) {
        let layers = Layers { environment: table.clone(), ..Layers::default() };
        let config = effective(&plan.defaults, &layers);
        assert!(table.keys().all(|key| config.contains_key(key)));
    }
}

/// What was taken can be written, and is taken again; over the defaults it is in force.
fn fits(plan: &Plan, table: &toml::Table, unknown: Unknown) {
    let written = toml::to_string(table).expect("what was read can be written");
    if written.len() <= CONFIG_BYTES {
        let again = validate("again.toml", &written, plan, unknown).expect("what fitted fits");
        // As text: one number is not equal to itself.
        assert_eq!(toml::to_string(&again).expect("it was written before"), written);
    }
    let mut config = plan.defaults.clone();
    merge(&mut config, table);
    let once = toml::to_string(&config).expect("a table");
    merge(&mut config, table);
    assert_eq!(toml::to_string(&config).expect("a table"), once, "once more changes nothing");
    assert!(to_json(&toml::Value::Table(config)).is_object());
}
