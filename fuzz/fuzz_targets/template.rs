//! Templates. What a plan's author wrote must not end the supervisor; and what others of the ring say, which
//! templates show, must not get out of the quotes that a helper puts around it.
//!
//! The first byte says what the rest is: a template, or a value.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use sup::plan::Plan;
use sup::template::{Role, Templates, sample};

/// Most bytes of a template here: what is slow because it is long is not what is looked for.
const TEMPLATE_BYTES: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    if kind % 2 == 0 { template(text) } else { value(text) }
});

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
        write("plan.toml", "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n");
        write("default.toml", "a = 1\ntext = 'x'\nlist = ['y']\n[table]\nkey = 'z'\n");
        Plan::load(dir.path()).expect("a plan")
    })
}

fn template(text: &str) {
    if text.len() > TEMPLATE_BYTES {
        return;
    }
    let mut plan = plan().clone();
    // A template, and the partial that it includes: both the same, so that they may be in a circle.
    match text.split_once('\0') {
        Some((text, partial)) => {
            plan.templates.insert(PathBuf::from("t"), text.to_owned());
            plan.partials.insert("p".to_owned(), partial.to_owned());
        }
        None => drop(plan.templates.insert(PathBuf::from("t"), text.to_owned())),
    }
    let Ok(templates) = Templates::compile(&plan) else { return };
    // Loops within loops take as long as their author wants them to.
    if text.matches("each").count() + text.matches('>').count() <= 2 {
        static CONTEXT: OnceLock<Value> = OnceLock::new();
        let context = CONTEXT.get_or_init(|| sample(self::plan(), &self::plan().defaults, Role::Single));
        templates.render_all(context).ok();
    }
}

/// What is said in JSON or in a quoted string is there when the file is read.
fn value(text: &str) {
    static TEMPLATES: OnceLock<Templates> = OnceLock::new();
    let templates = TEMPLATES.get_or_init(|| {
        let mut plan = plan().clone();
        for (name, text) in [
            ("json", "{{toJson value}}"),
            ("toml", "{{toToml value}}"),
            ("yaml", "{{toYaml value}}"),
            ("plain", "{{value.text}}"),
        ] {
            plan.templates.insert(PathBuf::from(name), text.to_owned());
        }
        Templates::compile(&plan).expect("they compile")
    });
    let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let context = json!({"value": {"text": value}});
    // What is rendered comes from TOML, whose integers are signed.
    if toml::Value::try_from(&context["value"]).is_err() {
        return;
    }
    let Ok(files) = templates.render_all(&context) else { return };
    for file in files {
        let rendered = String::from_utf8(file.bytes).expect("it is text");
        match file.path.file_name().and_then(|name| name.to_str()) {
            Some("json") => assert_eq!(serde_json::from_str::<Value>(&rendered).ok(), Some(context["value"].clone())),
            Some("toml") => {
                let read: toml::Table = toml::from_str(&rendered).expect("what is written as TOML is TOML");
                if let Some(said) = context["value"]["text"].as_str() {
                    assert_eq!(read["text"].as_str(), Some(said));
                }
            }
            Some("plain") => {
                if let Some(said) = context["value"]["text"].as_str() {
                    assert_eq!(rendered, said);
                }
            }
            Some(_) | None => {}
        }
    }
}
