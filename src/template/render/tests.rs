//! What renders to what, and where it does not.

use std::path::Path;

use serde_json::{Value, json};

use super::{RenderedKind, Templates};
use crate::plan::{HookName, Plan};
use crate::template::scan::PARTIAL_DEPTH;

const PLAN: &str = "name = \"x\"\nversion = \"1\"\nservice.run = \"run {{cfg.port}}\"\n";

fn plan(files: &[(&str, &str)]) -> (tempfile::TempDir, Plan) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("plan.toml", PLAN)].iter().chain(files) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let plan = Plan::load(dir.path()).unwrap();
    (dir, plan)
}

fn render(files: &[(&str, &str)], context: &Value) -> Result<Vec<(String, String)>, String> {
    let (dir, plan) = plan(files);
    let place = format!("{}/", dir.path().display());
    let short = |text: String| text.replace(&place, "");
    let templates = Templates::compile(&plan).map_err(|complaints| short(complaints.to_string()))?;
    let files = templates.render_all(context).map_err(|error| short(error.to_string()))?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ok(files.into_iter().map(|file| (file.path.display().to_string(), text(file.bytes))).collect())
}

fn one(template: &str, context: &Value) -> Result<String, String> {
    render(&[("config/t", template)], context).map(|files| files[0].1.clone())
}

#[test]
fn config_files_and_hooks_are_rendered_with_their_modes() {
    let (_dir, plan) =
        plan(&[("config/a/b.conf", "port {{cfg.port}}\n"), ("hooks/health_check", "#!/bin/sh\n# {{cfg.port}}\n")]);
    let templates = Templates::compile(&plan).unwrap();
    let context = json!({"cfg": {"port": 80}});
    let files = templates.render_all(&context).unwrap();
    assert_eq!(files[0].path, Path::new("config/a/b.conf"));
    assert_eq!((files[0].kind, files[0].mode, &files[0].bytes[..]), (RenderedKind::Config, 0o640, &b"port 80\n"[..]));
    assert_eq!(files[1].path, Path::new("hooks/health-check"));
    assert_eq!((files[1].kind, files[1].mode), (RenderedKind::Hook(HookName::HealthCheck), 0o755));
    assert_eq!(templates.render_str("service.run", "run {{cfg.port}}", &context).unwrap(), "run 80");
}

#[test]
fn nothing_is_escaped() {
    assert_eq!(one("{{a}}", &json!({"a": "<\"&'>"})).unwrap(), "<\"&'>");
}

#[test]
fn a_missing_value_is_empty_unless_the_plan_is_strict() {
    let text = "a\n  b {{cfg.port}}{{#if cfg.port}}x{{/if}}{{#with svc.leader}}y{{/with}}\n";
    assert_eq!(one(text, &json!({})).unwrap(), "a\n  b \n");
    let strict = format!("strict-templates = true\n{PLAN}");
    let error = render(&[("plan.toml", &strict), ("config/t", text)], &json!({})).unwrap_err();
    assert!(error.starts_with("config/t:2:5: there is no value `cfg.port`\n  2 |   b {{cfg.port}}"), "{error}");
    let present = json!({"cfg": {"port": 1}, "svc": {"leader": null}});
    assert!(render(&[("plan.toml", &strict), ("config/t", text)], &present).is_ok());
}

#[test]
fn a_syntax_error_is_told_with_its_place() {
    for (text, expected) in
        [("ok\n{{#if a}}\nx\n", "config/t:"), ("ok\n {{a b", "config/t:2:"), ("{{#if a}}\n{{/each}}", "config/t:2:")]
    {
        let error = one(text, &json!({})).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn the_mistakes_of_all_templates_are_told() {
    let files = [("config/a", "{{#if}"), ("config/b", "{{"), ("hooks/init", "#!/bin/sh\n{{/if}}")];
    let error = render(&files, &json!({})).unwrap_err();
    for place in ["config/a:1:", "config/b:1:", "hooks/init:2:"] {
        assert!(error.contains(place), "{place}: {error}");
    }
}

#[test]
fn an_unknown_helper_and_a_wrong_argument_are_told_with_their_place() {
    let error = one("\n {{nope \"x\"}}", &json!({})).unwrap_err();
    assert!(error.starts_with("config/t:2:2: there is no helper `nope`"), "{error}");
    let error = one("{{#if true}}\n  {{toUppercase cfg.n}}\n{{/if}}", &json!({"cfg": {"n": 1}})).unwrap_err();
    assert!(error.starts_with("config/t:2:3: `toUppercase` wants a text as its argument 1"), "{error}");
}

#[test]
fn partials_are_found_with_and_without_their_extension() {
    let files = [
        ("config/partials/head.conf", "head {{cfg.port}} {{n}}"),
        ("config/partials/sub/tail", "tail"),
        ("config/t", "{{> head}}|{{> head.conf n=5}}|{{> sub/tail}}"),
    ];
    let rendered = render(&files, &json!({"cfg": {"port": 1}})).unwrap();
    assert_eq!(rendered, [("config/t".to_owned(), "head 1 |head 1 5|tail".to_owned())]);
}

#[test]
fn an_error_in_a_partial_is_told_in_the_partial() {
    let files = [("config/partials/p.conf", "x\n{{toUppercase cfg}}"), ("config/t", "{{> p}}")];
    let error = render(&files, &json!({"cfg": {}})).unwrap_err();
    assert!(error.starts_with("config/partials/p.conf:2:1: `toUppercase`"), "{error}");
}

#[test]
fn a_partial_that_is_not_there_is_told_with_the_nearest() {
    let error = render(&[("config/partials/head.conf", ""), ("config/t", "\n{{> haed}}")], &json!({})).unwrap_err();
    assert!(
        error.starts_with("config/t:2:1: there is no partial `haed` under config/partials; did you mean `head`?"),
        "{error}"
    );
}

#[test]
fn partials_that_include_each_other_are_refused() {
    let files = [("config/partials/a", "{{> b}}"), ("config/partials/b", "{{> a}}"), ("config/t", "{{> a}}")];
    let error = render(&files, &json!({})).unwrap_err();
    assert!(error.starts_with("config/partials/a: this partial includes itself"), "{error}");
    for (text, expected) in [
        ("{{#*inline \"x\"}}{{> x}}{{/inline}}{{> x}}", "inline partials"),
        ("{{> (lookup cfg \"a\")}}", "written out"),
    ] {
        let error = one(text, &json!({})).unwrap_err();
        assert!(error.starts_with("config/t:1:1: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn partials_in_a_row_are_taken_at_the_limit_and_refused_one_beyond() {
    let chain = |length: usize| {
        let mut files = vec![("config/t".to_owned(), "{{> p1}}".to_owned())];
        for at in 1..=length {
            let text = if at == length { "end".to_owned() } else { format!("{{{{> p{}}}}}", at + 1) };
            files.push((format!("config/partials/p{at}"), text));
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        render(&files, &json!({}))
    };
    assert_eq!(chain(PARTIAL_DEPTH).unwrap()[0].1, "end");
    assert!(chain(PARTIAL_DEPTH + 1).unwrap_err().contains("includes itself"));
}

#[test]
fn the_deepest_nesting_that_is_allowed_fits_a_small_stack() {
    use crate::template::scan::BLOCK_DEPTH;
    let nested =
        |inner: &str| format!("{}{inner}{}", "{{#if true}}".repeat(BLOCK_DEPTH), "{{/if}}".repeat(BLOCK_DEPTH));
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let rendered = thread.spawn(move || {
        let mut files = vec![("config/t".to_owned(), nested("{{> p1}}"))];
        for at in 1..=PARTIAL_DEPTH {
            let inner = if at == PARTIAL_DEPTH { "end".to_owned() } else { format!("{{{{> p{}}}}}", at + 1) };
            files.push((format!("config/partials/p{at}"), nested(&inner)));
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        render(&files, &json!({})).unwrap()
    });
    assert_eq!(rendered.unwrap().join().unwrap()[0].1, "end");
}

#[test]
fn a_short_text_that_is_wrong_is_told_by_its_key() {
    let text = PLAN.replace("{{cfg.port}}", "{{cfg.port");
    let error = render(&[("plan.toml", &text)], &json!({})).unwrap_err();
    assert!(error.starts_with("plan.toml: `service.run`: "), "{error}");
    let (_dir, plan) = plan(&[]);
    let templates = Templates::compile(&plan).unwrap();
    let error = templates.render_str("health.http", "{{nope 1}}", &json!({})).unwrap_err();
    assert!(error.to_string().ends_with("plan.toml: `health.http`: there is no helper `nope`"), "{error}");
}
