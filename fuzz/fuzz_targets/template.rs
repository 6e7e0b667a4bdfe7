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
    PLAN.get_or_init(|| sup_fuzz::plan(&[("default.toml", "a = 1\ntext = 'x'\nlist = ['y']\n[table]\nkey = 'z'\n")]))
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

/// What is said in a document or in a quoted string is there when the file is read.
fn value(text: &str) {
    static TEXTS: OnceLock<Templates> = OnceLock::new();
    static TOML: OnceLock<Templates> = OnceLock::new();
    let value: Value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let context = json!({"value": {"text": value}});
    let value = &context["value"];
    let texts = TEXTS.get_or_init(|| {
        compiled(&[("json", "{{toJson value}}"), ("yaml", "{{toYaml value}}"), ("plain", "{{value.text}}")])
    });
    for (name, rendered) in rendered(texts, &context).unwrap_or_default() {
        match name.as_str() {
            "json" => assert_eq!(serde_json::from_str::<Value>(&rendered).ok().as_ref(), Some(value)),
            "plain" => assert!(value["text"].as_str().is_none_or(|said| said == rendered)),
            _ => {}
        }
    }
    // TOML cannot say everything: what it cannot is refused rather than written so that nobody can read it.
    for (_, rendered) in
        rendered(TOML.get_or_init(|| compiled(&[("toml", "{{toToml value}}")])), &context).unwrap_or_default()
    {
        let read: toml::Table = toml::from_str(&rendered).expect("what is written as TOML is TOML");
        if let Some(said) = value["text"].as_str() {
            assert_eq!(read["text"].as_str(), Some(said));
        }
    }
}

fn compiled(templates: &[(&str, &str)]) -> Templates {
    let mut plan = plan().clone();
    plan.templates.extend(templates.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())));
    Templates::compile(&plan).expect("they compile")
}

/// The files by their names; none if they cannot be rendered.
fn rendered(templates: &Templates, context: &Value) -> Option<Vec<(String, String)>> {
    let files = templates.render_all(context).ok()?.into_iter().map(|file| {
        let name = file.path.file_name().expect("it has a name").to_string_lossy().into_owned();
        (name, String::from_utf8(file.bytes).expect("it is text"))
    });
    Some(files.collect())
}
