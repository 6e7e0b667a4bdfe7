//! A look at a template's tags before handlebars parses it.
//!
//! Handlebars parses and renders by recursion, and has no limit to it: a template that nests without end, or two
//! partials that include each other, would end the supervisor and not only the rendering. So nesting is limited here.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::complaint::{Complaint, Complaints, Source, nearest};

/// Most blocks within each other; each `else if` of a block counts as one more.
pub const BLOCK_DEPTH: usize = 32;
/// Most parentheses and brackets within each other in one tag.
pub const EXPRESSION_DEPTH: usize = 16;
/// Most partials that include each other in a row.
pub const PARTIAL_DEPTH: usize = 8;

/// A tag: `{{...}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What is in it, without braces, `~` and blanks around.
    pub inner: &'a str,
}

/// The tags of a text. Comments, escaped tags and raw blocks are left out.
pub fn tags(text: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("{{")) {
        let start = at + found;
        let rest = &text[start..];
        let backslashes = text[..start].bytes().rev().take_while(|byte| *byte == b'\\').count();
        let skip_to = |end: &str| start + rest.find(end).map_or(rest.len(), |found| found + end.len());
        if backslashes == 1 {
            at = start + 2;
        } else if rest.starts_with("{{!--") {
            at = skip_to("--}}");
        } else if rest.starts_with("{{!") {
            at = skip_to("}}");
        } else if rest.starts_with("{{{{") {
            let close = rest.find("{{{{/").unwrap_or(rest.len());
            at = start + close + rest[close..].find("}}}}").map_or(rest.len() - close, |found| found + 4);
        } else {
            at = skip_to("}}");
            let inner = text[start..at].trim_matches(|c: char| matches!(c, '{' | '}' | '~' | '&') || c.is_whitespace());
            tags.push(Tag { start, end: at, inner });
        }
    }
    tags
}

/// Complains about what nests too deeply in `source`.
pub fn check_nesting(source: &Source) -> Result<(), Complaint> {
    let mut open: Vec<usize> = Vec::new();
    for tag in tags(source.text()) {
        let mut depth = 0_usize;
        for c in tag.inner.chars() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > EXPRESSION_DEPTH {
                let message = format!("more than {EXPRESSION_DEPTH} parentheses within each other");
                return Err(source.complain(tag.start..tag.end, message));
            }
        }
        if tag.inner.starts_with('#') {
            open.push(1);
        } else if tag.inner.starts_with('/') {
            open.pop();
        } else if tag.inner.strip_prefix("else").is_some_and(|rest| !rest.trim().is_empty())
            && let Some(branches) = open.last_mut()
        {
            *branches += 1;
        }
        if open.iter().sum::<usize>() > BLOCK_DEPTH {
            let message = format!("more than {BLOCK_DEPTH} blocks within each other");
            return Err(source.complain(tag.start..tag.end, message));
        }
    }
    Ok(())
}

/// The partials that a template includes, by name.
fn included(source: &Source) -> Result<Vec<(String, Tag<'_>)>, Complaint> {
    let mut names = Vec::new();
    for tag in tags(source.text()) {
        let complain = |message: &str| Err(source.complain(tag.start..tag.end, message));
        if tag.inner.starts_with("#*") || tag.inner.starts_with('*') {
            return complain("inline partials are not supported; put it into a file under config/partials");
        }
        let Some(inner) = tag.inner.strip_prefix("#>").or_else(|| tag.inner.strip_prefix('>')) else { continue };
        let name = inner.split_whitespace().next().unwrap_or_default();
        if name.starts_with('(') {
            return complain("the name of a partial is written out, not computed");
        }
        let name = name.trim_matches(|c| matches!(c, '"' | '\'' | '[' | ']'));
        if name != "@partial-block" {
            names.push((name.to_owned(), tag));
        }
    }
    Ok(names)
}

/// Complains about partials that are not there, that include themselves, or that are too many in a row. `partials` are
/// the files; `names` maps each name that a partial has to the file.
pub fn check_partials<'a>(
    templates: impl Iterator<Item = &'a Source>,
    partials: &'a BTreeMap<String, Source>,
    names: &BTreeMap<String, String>,
) -> Result<(), Complaints> {
    let mut complaints = Complaints::default();
    let mut resolve = |source: &Source| -> Vec<String> {
        let found = included(source).unwrap_or_else(|complaint| {
            complaints.0.push(complaint);
            Vec::new()
        });
        let mut files = Vec::new();
        for (name, tag) in found {
            match names.get(&name) {
                Some(file) => files.push(file.clone()),
                None => {
                    let message = format!("there is no partial `{name}` under config/partials");
                    let complaint = source.complain(tag.start..tag.end, message);
                    complaints.0.push(match nearest(&name, names.keys().map(String::as_str)) {
                        Some(near) => complaint.help(format!("did you mean `{near}`?")),
                        None => complaint,
                    });
                }
            }
        }
        files
    };
    templates.for_each(|source| drop(resolve(source)));
    let mut left: BTreeMap<&str, Vec<String>> =
        partials.iter().map(|(file, source)| (file.as_str(), resolve(source))).collect();
    // Takes away, level by level, the partials that include none that is left. What never goes includes itself; what
    // goes after the last level that is allowed is too deep.
    for _ in 0..PARTIAL_DEPTH {
        let gone: BTreeSet<String> = left
            .iter()
            .filter(|(_, files)| !files.iter().any(|file| left.contains_key(file.as_str())))
            .map(|(file, _)| (*file).to_owned())
            .collect();
        left.retain(|file, _| !gone.contains(*file));
    }
    if let Some(source) = left.keys().next().and_then(|file| partials.get(*file)) {
        let message =
            format!("this partial includes itself through others, or more than {PARTIAL_DEPTH} of them in a row");
        complaints.0.push(Complaint::whole_file(source.file(), message));
    }
    complaints.into_result(())
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_DEPTH, EXPRESSION_DEPTH, check_nesting, tags};
    use crate::plan::complaint::Source;

    fn inner(text: &str) -> Vec<&str> {
        tags(text).into_iter().map(|tag| tag.inner).collect()
    }

    #[test]
    fn tags_are_found_and_comments_and_escapes_are_not() {
        assert_eq!(inner("a {{b}} {{{c}}} {{~#if d~}} x {{/if}}"), ["b", "c", "#if d", "/if"]);
        assert_eq!(inner("{{! {{a }} {{!-- {{b}} --}} \\{{c}} \\\\{{d}}"), ["d"]);
        assert_eq!(inner("{{{{raw}}}} {{a}} {{{{/raw}}}} {{b}}"), ["b"]);
        assert_eq!(inner("{{a"), ["a"]);
        assert_eq!(inner("{{!-- a"), Vec::<&str>::new());
        assert_eq!(inner("é{{é}}"), ["é"]);
    }

    #[test]
    fn blocks_nest_to_the_limit_and_no_further() {
        let nested = |depth: usize| format!("{}x{}", "{{#if a}}".repeat(depth), "{{/if}}".repeat(depth));
        assert!(check_nesting(&Source::new("t", &nested(BLOCK_DEPTH))).is_ok());
        let complaint = check_nesting(&Source::new("t", &nested(BLOCK_DEPTH + 1))).unwrap_err();
        assert_eq!((complaint.line, complaint.column), (1, BLOCK_DEPTH * "{{#if a}}".len() + 1));
        assert!(check_nesting(&Source::new("t", &"{{#if a}}{{/if}}".repeat(1_000))).is_ok());
        let branches = |count: usize| format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}".repeat(count));
        assert!(check_nesting(&Source::new("t", &branches(BLOCK_DEPTH - 1))).is_ok());
        assert!(check_nesting(&Source::new("t", &branches(BLOCK_DEPTH))).is_err());
    }

    #[test]
    fn expressions_nest_to_the_limit_and_no_further() {
        let nested = |depth: usize| format!("{{{{a {}b{}}}}}", "(c ".repeat(depth), ")".repeat(depth));
        assert!(check_nesting(&Source::new("t", &nested(EXPRESSION_DEPTH))).is_ok());
        assert!(check_nesting(&Source::new("t", &nested(EXPRESSION_DEPTH + 1))).is_err());
    }
}
