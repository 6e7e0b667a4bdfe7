//! The part of JSON Schema that `config.schema.json` may use: `type`, `enum`, `const`; `properties`, `required`,
//! `additionalProperties` (true, false or a schema); `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`;
//! `pattern`, `minLength`, `maxLength`; `items`, `minItems`, `maxItems`.
//!
//! A pattern is searched for in the text, as JSON Schema has it: one that is to fit the whole text says `^` and `$`.
//! Its classes such as `\d` mean ASCII, and it has neither look-around nor references back, so that no text takes long.
//!
//! Other keywords that say something are refused when the plan is loaded, rather than silently not checked.

use regex_lite::{Regex, RegexBuilder};
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::plan::complaint::{Complaint, Complaints, Source, nearest};
use crate::plan::reader::with_article;

/// Keywords that are checked.
const CHECKED: [&str; 16] = [
    "type",
    "properties",
    "required",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "pattern",
    "minLength",
    "maxLength",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
];
/// Most memory that a pattern takes once it is compiled, in bytes.
const PATTERN_BYTES: usize = 256 * 1024;
/// Keywords that say nothing about what is allowed.
const NOTES: [&str; 7] = ["$schema", "$id", "$comment", "title", "description", "default", "examples"];
/// The names of types.
const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

/// Whether `schema`, which was read from `source`, uses what is checked and nothing else.
///
/// # Errors
/// Each keyword that is not known, or whose value is of the wrong kind.
pub fn check_schema(source: &Source, schema: &Json) -> Result<(), Complaints> {
    let mut complaints = Complaints::default();
    check_node(schema, "", &mut |path, message| {
        let place = if path.is_empty() { "the schema" } else { path };
        complaints.0.push(Complaint::whole_file(source.file(), format!("{place}: {message}")));
    });
    complaints.into_result(())
}

fn check_node(node: &Json, path: &str, complain: &mut dyn FnMut(&str, String)) {
    if node.is_boolean() {
        return;
    }
    let Some(object) = node.as_object() else {
        return complain(path, "a schema is an object, true or false".to_owned());
    };
    for (keyword, value) in object {
        let right = match keyword.as_str() {
            "type" => types(value).is_some_and(|types| types.iter().all(|name| TYPES.contains(name))),
            "properties" => value.is_object(),
            "required" => value.as_array().is_some_and(|names| names.iter().all(Json::is_string)),
            "enum" => value.is_array(),
            "const" => true,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
            "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
            "pattern" => match value.as_str().map(pattern) {
                None => false,
                Some(Ok(_)) => true,
                Some(Err(why)) => {
                    complain(path, format!("the pattern {value} cannot be used: {why}"));
                    continue;
                }
            },
            "additionalProperties" | "items" => value.is_object() || value.is_boolean(),
            other if NOTES.contains(&other) => true,
            other => {
                let help = nearest(other, CHECKED).map_or_else(
                    || format!("known are {}", CHECKED.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                complain(path, format!("the keyword `{other}` is not known; {help}"));
                continue;
            }
        };
        if !right {
            complain(path, format!("the value of `{keyword}` is of the wrong kind"));
        }
    }
    for (key, child) in node["properties"].as_object().into_iter().flatten() {
        check_node(child, &format!("{path}/properties/{key}"), complain);
    }
    for keyword in ["additionalProperties", "items"] {
        if let Some(child) = object.get(keyword).filter(|child| child.is_object()) {
            check_node(child, &format!("{path}/{keyword}"), complain);
        }
    }
}

/// A pattern, ready to be searched for.
fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().map_err(|error| error.to_string())
}

/// The types that a node allows; none if it does not say.
fn types(value: &Json) -> Option<Vec<&str>> {
    match value {
        Json::String(name) => Some(vec![name]),
        Json::Array(names) => names.iter().map(Json::as_str).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => None,
    }
}

/// The schema of the property `key` of what `node` describes.
pub fn property<'a>(node: &'a Json, key: &str) -> Option<&'a Json> {
    let own = node.get("properties").and_then(|properties| properties.get(key));
    own.or_else(|| node.get("additionalProperties").filter(|rest| !matches!(rest, Json::Bool(false))))
}

/// Whether `node` says of what type a value is.
pub fn says_type(node: &Json) -> bool {
    node.get("type").is_some()
}

/// Complains about what in `table` does not fit `node`. A property that is required may be in `defaults` instead.
pub fn fit_table(
    node: &Json,
    path: &str,
    table: &Spanned<DeTable<'_>>,
    defaults: Option<&toml::Table>,
    source: &Source,
    complaints: &mut Complaints,
) {
    let joined = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    let mut complain = |span, message: String| complaints.0.push(source.complain(span, message));
    let required = node.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    for key in required {
        let present = table.get_ref().contains_key(key) || defaults.is_some_and(|defaults| defaults.contains_key(key));
        if !present {
            complain(table.span(), format!("`{}` is required by the plan's schema", joined(key)));
        }
    }
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        let known = node.get("properties").is_some_and(|properties| properties.get(name).is_some());
        if !known && node.get("additionalProperties") == Some(&Json::Bool(false)) {
            complaints.0.push(unknown(source, key.span(), &joined(name), name, node));
        } else if let Some(child) = property(node, name) {
            let below = defaults.and_then(|defaults| defaults.get(name)?.as_table());
            fit(child, &joined(name), value, below, source, complaints);
        }
    }
}

fn unknown(source: &Source, span: std::ops::Range<usize>, path: &str, name: &str, node: &Json) -> Complaint {
    let known = node.get("properties").and_then(Json::as_object).into_iter().flatten().map(|(key, _)| key.as_str());
    let complaint = source.complain(span, format!("unknown key `{path}`"));
    match nearest(name, known) {
        Some(near) => complaint.help(format!("did you mean `{near}`?")),
        None => complaint.help("the plan's schema has no such property"),
    }
}

fn fit(
    node: &Json,
    path: &str,
    value: &Spanned<DeValue<'_>>,
    defaults: Option<&toml::Table>,
    source: &Source,
    complaints: &mut Complaints,
) {
    let mut complain = |message: String| complaints.0.push(source.complain(value.span(), message));
    let inner = value.get_ref();
    if let Some(allowed) = node.get("type").and_then(types)
        && !allowed.iter().any(|name| is_type(inner, name))
    {
        let wanted = allowed.iter().map(|name| with_article(name)).collect::<Vec<_>>().join(" or ");
        return complain(format!("`{path}` is {wanted}, not {}", with_article(inner.type_str())));
    }
    if let Some(allowed) = node.get("enum").and_then(Json::as_array)
        && !allowed.contains(&json(inner))
    {
        let allowed = allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        complain(format!("`{path}` is one of {allowed}"));
    }
    if let Some(only) = node.get("const")
        && *only != json(inner)
    {
        complain(format!("`{path}` is {only}"));
    }
    if let Some(number) = json(inner).as_f64() {
        fit_number(node, number).into_iter().for_each(|limit| complain(format!("`{path}` is {limit}")));
    }
    if let DeValue::String(text) = inner {
        fit_text(node, text).into_iter().for_each(|rule| complain(format!("`{path}` {rule}")));
    }
    if let DeValue::Array(items) = inner {
        let count = outside(node, "minItems", "maxItems", items.len());
        count.into_iter().for_each(|limit| complain(format!("`{path}` has {limit} items")));
    }
    if let (DeValue::Array(items), Some(child)) = (inner, node.get("items")) {
        for (at, item) in items.iter().enumerate() {
            fit(child, &format!("{path}[{at}]"), item, None, source, complaints);
        }
    }
    if let DeValue::Table(table) = inner {
        let table = Spanned::new(value.span(), table.clone());
        fit_table(node, path, &table, defaults, source, complaints);
    }
}

/// The limits that a number is beyond.
fn fit_number(node: &Json, number: f64) -> Vec<String> {
    let limit = |keyword: &str| node.get(keyword).and_then(Json::as_f64);
    [
        limit("minimum").filter(|least| number < *least).map(|least| format!("at least {least}")),
        limit("maximum").filter(|most| number > *most).map(|most| format!("at most {most}")),
        limit("exclusiveMinimum").filter(|below| number <= *below).map(|below| format!("more than {below}")),
        limit("exclusiveMaximum").filter(|above| number >= *above).map(|above| format!("less than {above}")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The rules that a text breaks.
fn fit_text(node: &Json, text: &str) -> Vec<String> {
    let length = outside(node, "minLength", "maxLength", text.chars().count());
    let mut broken: Vec<String> = length.into_iter().map(|limit| format!("has {limit} characters")).collect();
    // One that cannot be used was complained about when the plan was loaded.
    if let Some(wanted) = node.get("pattern").and_then(Json::as_str)
        && pattern(wanted).is_ok_and(|pattern| !pattern.is_match(text))
    {
        broken.push(format!("does not match the pattern {wanted}"));
    }
    broken
}

/// The limit that a number of things is outside of.
fn outside(node: &Json, least: &str, most: &str, count: usize) -> Option<String> {
    let limit = |keyword: &str| node.get(keyword).and_then(Json::as_u64).and_then(|limit| usize::try_from(limit).ok());
    let few = limit(least).filter(|least| count < *least).map(|least| format!("at least {least}"));
    few.or_else(|| limit(most).filter(|most| count > *most).map(|most| format!("at most {most}")))
}

fn is_type(value: &DeValue<'_>, name: &str) -> bool {
    match value {
        DeValue::String(_) | DeValue::Datetime(_) => name == "string",
        DeValue::Integer(_) => name == "integer" || name == "number",
        DeValue::Float(_) => name == "number",
        DeValue::Boolean(_) => name == "boolean",
        DeValue::Array(_) => name == "array",
        DeValue::Table(_) => name == "object",
    }
}

/// The value as JSON, for comparison.
fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from),
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Boolean(truth) => Json::Bool(*truth),
        DeValue::Datetime(date) => Json::String(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use toml::de::DeTable;

    use super::{check_schema, fit_table};
    use crate::plan::complaint::{Complaints, Source};

    fn fit(schema: &serde_json::Value, text: &str) -> String {
        let source = Source::new("c", text);
        let table = DeTable::parse(source.text()).unwrap();
        let mut complaints = Complaints::default();
        fit_table(schema, "", &table, None, &source, &mut complaints);
        complaints.0.iter().map(|complaint| complaint.headline() + "\n").collect()
    }

    #[test]
    fn each_keyword_is_checked_with_its_place() {
        for (property, good, bad, expected) in [
            (json!({"type": "integer"}), "1", "'x'", "c:1:5: `k` is an integer, not a string"),
            (json!({"type": ["integer", "string"]}), "'x'", "true", "c:1:5: `k` is an integer or a string, not a bool"),
            (json!({"type": "number"}), "1", "[]", "c:1:5: `k` is a number, not an array"),
            (json!({"enum": ["a", 2]}), "0b10", "3", "c:1:5: `k` is one of \"a\", 2"),
            (json!({"minimum": 1}), "1", "0", "c:1:5: `k` is at least 1"),
            (json!({"maximum": 1.5}), "1.5", "2", "c:1:5: `k` is at most 1.5"),
            (json!({"const": "a"}), "'a'", "'b'", "c:1:5: `k` is \"a\""),
            (json!({"exclusiveMinimum": 1}), "2", "1", "c:1:5: `k` is more than 1"),
            (json!({"exclusiveMaximum": 1.5}), "1", "1.5", "c:1:5: `k` is less than 1.5"),
            (json!({"pattern": "^[a-z]+$"}), "'abc'", "'ab1'", "c:1:5: `k` does not match the pattern ^[a-z]+$"),
            (json!({"pattern": "b"}), "'abc'", "'ac'", "c:1:5: `k` does not match the pattern b"),
            (json!({"minLength": 2}), "'üb'", "'ü'", "c:1:5: `k` has at least 2 characters"),
            (json!({"maxLength": 2}), "'üb'", "'übe'", "c:1:5: `k` has at most 2 characters"),
            (json!({"minItems": 1}), "[1]", "[]", "c:1:5: `k` has at least 1 items"),
            (json!({"maxItems": 1}), "[1]", "[1, 2]", "c:1:5: `k` has at most 1 items"),
            (json!({"items": {"type": "string"}}), "['a']", "['a', 1]", "c:1:11: `k[1]` is a string, not an integer"),
            (json!({"required": ["a"]}), "{ a = 1 }", "{ }", "c:1:5: `k.a` is required"),
            (
                json!({"properties": {"port": true}, "additionalProperties": false}),
                "{ port = 1 }",
                "{ prt = 1 }",
                "c:1:7: unknown key `k.prt`; did you mean `port`?",
            ),
            (
                json!({"additionalProperties": {"type": "boolean"}}),
                "{ x = true }",
                "{ x = 1 }",
                "c:1:11: `k.x` is a boolean, not an integer",
            ),
        ] {
            let schema = json!({"properties": {"k": property}});
            assert_eq!(fit(&schema, &format!("k = {good}")), "", "{schema}");
            let complaints = fit(&schema, &format!("k = {bad}"));
            assert!(complaints.starts_with(expected), "{schema}\n{complaints}");
        }
    }

    #[test]
    fn a_schema_that_says_what_is_not_checked_is_refused() {
        for (schema, expected) in [
            (json!({"patern": "x"}), "the schema: the keyword `patern` is not known; did you mean `pattern`?"),
            (json!({"typ": "x"}), "did you mean `type`?"),
            (json!({"properties": {"a": {"type": "int"}}}), "/properties/a: the value of `type` is of the wrong kind"),
            (json!({"pattern": "("}), "the schema: the pattern \"(\" cannot be used"),
            (json!({"pattern": "(?=a)"}), "the schema: the pattern \"(?=a)\" cannot be used"),
            (json!({"pattern": format!("{}", "a{1000}".repeat(100))}), "cannot be used"),
            (json!({"minLength": -1}), "the value of `minLength` is of the wrong kind"),
            (json!({"pattern": 1}), "the value of `pattern` is of the wrong kind"),
            (json!({"items": {"oneOf": []}}), "/items: the keyword `oneOf`"),
            (json!(5), "the schema: a schema is an object"),
        ] {
            let complaints = check_schema(&Source::new("s", ""), &schema).unwrap_err().to_string();
            assert!(complaints.contains(expected), "{complaints}");
        }
        assert!(check_schema(&Source::new("s", ""), &json!({"title": "x", "items": false})).is_ok());
    }
}
