//! A value as YAML 1.2, in block style. It reads back the same under YAML 1.1, too: whatever either could take for
//! something else than a text is quoted.

use std::fmt::Write;

use serde_json::Value;

/// Words that some version of YAML takes for a truth or for nothing.
const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// The document: `---`, then the value, without a newline at its end.
pub fn document(value: &Value) -> String {
    let mut out = String::from("---");
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, 0, &mut out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(value, 0, &mut out);
        }
        _ => {
            out.push('\n');
            scalar(value, &mut out);
        }
    }
    out
}

/// A map or list that is not empty; the cursor is where its first line begins.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push('\n');
                    out.push_str(&pad);
                }
                text(key, out);
                out.push(':');
                if is_block(value) {
                    out.push('\n');
                    out.push_str(&"  ".repeat(indent + 1));
                    block(value, indent + 1, out);
                } else {
                    out.push(' ');
                    scalar(value, out);
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push('\n');
                    out.push_str(&pad);
                }
                out.push_str("- ");
                // `- ` is as wide as an indent, so that a map or list may begin right behind it.
                if is_block(item) { block(item, indent + 1, out) } else { scalar(item, out) }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value, out),
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What fits on a line.
fn scalar(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push('~'),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(string) => text(string, out),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

fn text(text: &str, out: &mut String) {
    if is_plain(text) {
        return out.push_str(text);
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Line and paragraph separators end a line in YAML 1.1; a byte order mark may not stand in a text.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // Writing to a `String` does not fail.
                _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether nobody could take the text, unquoted, for anything else.
fn is_plain(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    starts && !text.ends_with(' ') && text.chars().all(inner) && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}
