//! Habitat's helpers, against the results that Habitat documents.

use handlebars::Handlebars;
use serde_json::{Value, json};

use super::register;

fn render(template: &str, context: &Value) -> Result<String, String> {
    let mut registry = Handlebars::new();
    registry.register_escape_fn(handlebars::no_escape);
    register(&mut registry);
    registry.render_template(template, context).map_err(|error| error.reason().to_string())
}

fn members() -> Value {
    json!({
        "cfg": {"port": 1},
        "members": [
            {"alive": false, "ip": "10.0.0.1", "cfg": {"port": 11}},
            {"alive": true, "ip": "10.0.0.2", "cfg": {"port": 12}},
            {"alive": true, "ip": "10.0.0.3", "cfg": {"port": 13}},
            {"ip": "10.0.0.4"},
        ],
        "gone": [{"alive": false, "ip": "10.0.0.5"}],
        "none": [],
    })
}

#[test]
fn each_alive_counts_the_living_from_one() {
    let template = "{{#eachAlive members as |m|}}{{@index}}:{{m.ip}}{{#unless @last}},{{/unless}}\
                    {{#if @first}}*{{/if}}{{/eachAlive}}";
    assert_eq!(render(template, &members()).unwrap(), "1:10.0.0.2,*2:10.0.0.3");
}

#[test]
fn each_alive_renders_its_else_when_nobody_lives() {
    for list in ["gone", "none", "missing", "bind.backend.members"] {
        let template = format!("{{{{#eachAlive {list} as |m|}}}}{{{{m.ip}}}}{{{{else}}}}nobody{{{{/eachAlive}}}}");
        assert_eq!(render(&template, &members()).unwrap(), "nobody", "{list}");
    }
    assert_eq!(render("{{#eachAlive gone as |m|}}x{{/eachAlive}}", &members()).unwrap(), "");
    assert!(render("{{#eachAlive cfg as |m|}}x{{/eachAlive}}", &members()).unwrap_err().contains("list of members"));
}

#[test]
fn names_in_each_alive_are_the_members_only_without_a_parameter() {
    let named = "{{#eachAlive members as |m|}}{{m.cfg.port}}/{{cfg.port}} {{/eachAlive}}";
    assert_eq!(render(named, &members()).unwrap(), "12/1 13/1 ");
    let bare = "{{#eachAlive members}}{{cfg.port}}/{{@root.cfg.port}} {{/eachAlive}}{{cfg.port}}";
    assert_eq!(render(bare, &members()).unwrap(), "12/1 13/1 1");
}

#[test]
fn each_alive_nests_in_other_blocks() {
    let context = json!({"bind": {"web": members()}});
    let template = "{{#with bind.web}}{{#eachAlive members as |m|}}{{m.ip}}:{{cfg.port}} {{/eachAlive}}{{/with}}";
    assert_eq!(render(template, &context).unwrap(), "10.0.0.2:1 10.0.0.3:1 ");
    let both = "{{#each bind.web.gone as |g|}}{{#eachAlive ../bind.web.members as |m|}}{{g.ip}}{{/eachAlive}}{{/each}}";
    assert!(render(both, &context).is_ok());
}

#[test]
fn texts_are_concatenated_joined_and_replaced() {
    let context = json!({"list": ["foo", "bar", 3], "objects": [{"foo": "bar"}], "var": "this is old", "n": 5});
    for (template, expected) in [
        ("{{strConcat \"foo\" \"bar\" \"baz\"}}", "foobarbaz"),
        ("{{strConcat \"a\" n objects.[0] true}}", "a5true"),
        ("{{strJoin list \",\"}}", "foo,bar,3"),
        ("{{strJoin objects \",\"}}", ""),
        ("{{strReplace var \"old\" \"new\"}}", "this is new"),
        ("{{strReplace \"a.b.c\" \".\" \"\"}}", "abc"),
        ("{{toUppercase var}}", "THIS IS OLD"),
        ("{{toLowercase \"VALUE\"}}", "value"),
        ("{{toUppercase (strConcat \"a\" \"b\")}}", "AB"),
    ] {
        assert_eq!(render(template, &context).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn a_wrong_argument_is_an_error_that_names_the_helper() {
    let context = json!({"n": 5, "none": {"a": null}, "large": {"a": u64::MAX}});
    for (template, expected) in [
        ("{{toUppercase n}}", "`toUppercase` wants a text as its argument 1"),
        ("{{strReplace \"a\" \"b\"}}", "`strReplace` wants a text as its argument 3"),
        ("{{strJoin n \",\"}}", "`strJoin` wants a list as its argument 1"),
        ("{{pkgPathFor \"redis\"}}", "`pkgPathFor` wants ORIGIN/NAME"),
        ("{{toToml n}}", "`toToml` cannot write this value"),
        ("{{toToml none}}", "`toToml` cannot write this value"),
        ("{{toToml large}}", "`toToml` cannot write this value"),
    ] {
        let error = render(template, &context).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
}

#[test]
fn an_index_reaches_into_a_list() {
    let context = json!({"members": [{"sys": {"ip": "172.17.0.5"}}]});
    for template in ["{{members.[0].sys.ip}}", "{{members.0.sys.ip}}"] {
        assert_eq!(render(template, &context).as_deref(), Ok("172.17.0.5"), "{template}");
    }
}

#[test]
fn the_path_of_a_package_is_the_plans_own_or_nothing() {
    let pkg = json!({"origin": "core", "name": "redis", "version": "7", "release": "abc", "path": "/plans/redis"});
    let context = json!({"pkg": pkg});
    for (ident, expected) in
        [("core/redis", "/plans/redis"), ("core/redis/7/abc", "/plans/redis"), ("core/redis/6", ""), ("core/acl", "")]
    {
        let template = format!("{{{{pkgPathFor \"{ident}\"}}}}");
        assert_eq!(render(&template, &context).as_deref(), Ok(expected), "{ident}");
    }
    let context = json!({"pkg": {"deps": [{"ident": "core/acl/2.2.52/2016", "path": "/hab/pkgs/core/acl"}]}});
    assert_eq!(render("{{pkgPathFor \"core/acl\"}}", &context).as_deref(), Ok("/hab/pkgs/core/acl"));
    assert_eq!(render("{{pkgPathFor \"core/ac\"}}", &context).as_deref(), Ok(""));
}

#[test]
fn a_value_becomes_a_document() {
    let context = json!({"x": {"test": "something"}});
    for (helper, expected) in [
        ("toJson", "{\n  \"test\": \"something\"\n}"),
        ("toToml", "test = \"something\"\n"),
        ("toYaml", "---\ntest: something"),
    ] {
        assert_eq!(render(&format!("{{{{{helper} x}}}}"), &context).as_deref(), Ok(expected), "{helper}");
    }
}

#[test]
fn toml_has_arrays_of_tables_and_values_after_tables() {
    let prometheus = json!([{"tags": {"service": "name"}, "urls": ["http://127.0.0.1:15000/metrics"]}]);
    let context = json!({"cfg": {"inputs": {"prometheus": prometheus}, "interval": 5}});
    let text = render("{{toToml cfg}}", &context).unwrap();
    let back: Value = toml::from_str(&text).unwrap();
    assert_eq!(back, context["cfg"]);
}

#[test]
fn yaml_is_nested_and_quoted_where_it_must_be() {
    let context = json!({"x": {
        "a": [1, {"b": [2, []], "c": {}}, [true, null]],
        "words": ["yes", "8080", "1e3", "", " x", "x ", "a: b", "a#b", "-", "ü", "line\nbreak", "~"],
        "key: odd": "plain text/with.dots",
    }});
    let expected = "---\n\
        a:\n  - 1\n  - b:\n      - 2\n      - []\n    c: {}\n  - - true\n    - ~\n\
        words:\n  - \"yes\"\n  - \"8080\"\n  - \"1e3\"\n  - \"\"\n  - \" x\"\n  - \"x \"\n  - \"a: b\"\n  - \"a#b\"\n  \
        - \"-\"\n  - \"ü\"\n  - \"line\\nbreak\"\n  - \"~\"\n\
        \"key: odd\": plain text/with.dots";
    assert_eq!(render("{{toYaml x}}", &context).as_deref(), Ok(expected));
    assert_eq!(render("{{toYaml x.a.[0]}}", &context).as_deref(), Ok("---\n1"));
}
