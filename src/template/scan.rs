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
///
/// What is one is what handlebars takes for one: a tag that only it sees could open blocks, or include partials, that
/// nobody counts; one that only we see could close them.
pub fn tags(text: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("{{")) {
        let start = at + found;
        let rest = &text[start..];
        at = if is_escaped(&text[at..start]) {
            start + escaped(rest)
        } else if rest.starts_with("{{!") {
            start + comment(rest)
        } else if rest.starts_with("{{{{") {
            start + raw_block(rest)
        } else {
            // A literal or a third brace may end right before it.
            let end = start + through(rest, "}}");
            let end = end + text[end..].bytes().take_while(|byte| *byte == b'}').count();
            let inner =
                text[start..end].trim_matches(|c: char| matches!(c, '{' | '}' | '~' | '&') || c.is_whitespace());
            tags.push(Tag { start, end, inner });
            end
        };
    }
    tags
}

/// Up to and with the next `end`; all of it, if there is none.
fn through(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |found| found + end.len())
}

/// Whether braces that come after `before` are meant as they are. Two backslashes are one that is meant as it is.
fn is_escaped(before: &str) -> bool {
    before.bytes().rev().take_while(|byte| *byte == b'\\').count() == 1
}

/// How many of the braces that `rest` starts with one backslash escapes.
fn escaped(rest: &str) -> usize {
    if rest.starts_with("{{{") { 3 } else { 2 }
}

/// How long the comment is with which `rest` starts. One that begins with dashes ends with dashes, if anything does.
fn comment(rest: &str) -> usize {
    let dashes = rest["{{!".len()..].trim_start_matches([' ', '\t', '\n', '\r']).strip_prefix("--");
    let end = dashes.and_then(|inner| Some(rest.len() - inner.len() + inner.find("--}}")? + "--}}".len()));
    end.unwrap_or_else(|| through(rest, "}}"))
}

/// How long the raw block is with which `rest` starts: up to the next four braces that are not escaped, which have to be
/// its end.
fn raw_block(rest: &str) -> usize {
    let mut at = through(rest, "}}}}");
    while let Some(found) = rest.get(at..).and_then(|rest| rest.find("{{")) {
        let start = at + found;
        at = if is_escaped(&rest[at..start]) {
            start + escaped(&rest[start..])
        } else if rest[start..].starts_with("{{{{") {
            return start + through(&rest[start..], "}}}}");
        } else {
            start + 1
        };
    }
    rest.len()
}

/// What there is in a tag, outside of its texts.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    /// So many parentheses, brackets and braces within each other.
    Depth(usize),
    /// It is in the middle of something: its end may be no end, but a part of a text.
    Unclear,
}

/// Looks at what is between the braces of a tag.
fn shape(inner: &str) -> Shape {
    let bytes = inner.as_bytes();
    let (mut depth, mut deepest, mut braces, mut at) = (0_usize, 0, 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => match after_text(&bytes[at..]) {
                Some(length) => at += length - 1,
                None => return Shape::Unclear,
            },
            b'[' if !is_plain(&bytes[at + 1..]) => return Shape::Unclear,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match byte {
            b'{' => braces += 1,
            b'}' => braces = braces.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    if braces > 0 { Shape::Unclear } else { Shape::Depth(deepest) }
}

/// The length of the quoted text that `bytes` start with.
fn after_text(bytes: &[u8]) -> Option<usize> {
    let quote = bytes.first()?;
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Whether what follows a bracket is the same as a list and as a name: names may have anything in them.
fn is_plain(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().position(|byte| *byte == b']') else { return false };
    let (mut at, within) = (0, &bytes[..end]);
    while let Some(byte) = within.get(at) {
        at += match byte {
            b'(' | b')' | b'{' | b'}' => return false,
            b'"' | b'\'' => match after_text(&within[at..]) {
                Some(length) => length,
                None => return false,
            },
            _ => 1,
        };
    }
    true
}

/// Complains about what nests too deeply in `source`.
pub fn check_nesting(source: &Source) -> Result<(), Complaint> {
    let mut open: Vec<usize> = Vec::new();
    for tag in tags(source.text()) {
        let complain = |message: String| Err(source.complain(tag.start..tag.end, message));
        let whole = &source.text()[tag.start + "{{".len()..tag.end];
        match shape(whole.strip_suffix("}}").unwrap_or(whole)) {
            Shape::Depth(depth) if depth > EXPRESSION_DEPTH => {
                return complain(format!("more than {EXPRESSION_DEPTH} parentheses within each other"));
            }
            Shape::Depth(_) => {}
            Shape::Unclear => {
                let message = "a tag with a brace, a bracket or a quote that is not closed in it";
                return complain(format!("{message}; texts and names in it must not have `}}}}`"));
            }
        }
        if tag.inner.starts_with('#') {
            open.push(1);
        } else if tag.inner.starts_with('/') {
            open.pop();
        } else if tag.inner.strip_prefix("else").or(tag.inner.strip_prefix('^')).is_some_and(|rest| !rest.is_empty())
            && let Some(branches) = open.last_mut()
        {
            *branches += 1;
        }
        if open.iter().sum::<usize>() > BLOCK_DEPTH {
            return complain(format!("more than {BLOCK_DEPTH} blocks within each other"));
        }
    }
    Ok(())
}

/// The partials that a template includes, by name.
fn included(source: &Source) -> Result<Vec<(String, Tag<'_>)>, Complaint> {
    let mut names = Vec::new();
    for tag in tags(source.text()) {
        let complain = |message: &str| Err(source.complain(tag.start..tag.end, message));
        // A blank after the mark of a block is as good as none.
        let head = tag.inner.strip_prefix('#').map_or(tag.inner, str::trim_start);
        if head.starts_with('*') {
            return complain("inline partials are not supported; put it into a file under config/partials");
        }
        let Some(inner) = head.strip_prefix('>') else { continue };
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
        // A comment that begins with dashes and never ends with some is one that ends with the next braces.
        assert_eq!(inner("{{!-- a }}{{b}}"), ["b"]);
        assert_eq!(inner("{{!--}}{{b}} --}}{{c}}{{! -- }}{{d}} --}}"), ["c"]);
        // A backslash is for three braces, too; a raw block ends wherever handlebars ends it.
        assert_eq!(inner("\\{{{{{a}}"), ["a"]);
        assert_eq!(inner("\\{{{{/if}}"), Vec::<&str>::new());
        assert_eq!(inner("{{{{raw}}}} {{a}} {{{{ /raw}}}} {{b}}"), ["b"]);
        assert_eq!(inner("{{{{raw}}}} \\{{{{/raw}}}} {{a}} {{{{/raw}}}} {{b}}"), ["b"]);
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
    fn nothing_in_a_tag_hides_what_nests() {
        for hidden in [
            "{{#if (x \"}}{{/if}}\")}}",
            "{{#if (x '}}{{/if}}')}}",
            "{{#if a.[}}{{/if}}]}}",
            "{{#if [\"]\", \"}}{{/if}}\"]}}",
            "{{#if {\"a\": {}, \"{{/if}}\": 1}}}",
            "{{#if a}}\\{{{{/if}}",
            "{{#if a}}{{! -- }}{{/if}}{{#if a}} --}}",
            "{{#if a}}{{!-- x }}{{#if b}}",
        ] {
            let deep = hidden.repeat(BLOCK_DEPTH + 1);
            assert!(check_nesting(&Source::new("t", &deep)).is_err(), "{hidden}");
        }
        let chain = format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{^if b}}".repeat(BLOCK_DEPTH));
        assert!(check_nesting(&Source::new("t", &chain)).is_err());
        let parentheses = format!("{{{{a {}b{}}}}}", "(c \")\" ".repeat(EXPRESSION_DEPTH + 1), ")".repeat(9));
        assert!(check_nesting(&Source::new("t", &parentheses)).is_err());
    }

    #[test]
    fn what_is_closed_within_a_tag_is_taken() {
        for text in [
            "{{#if (eq a \"it's [\")}}{{/if}}",
            "{{{a}}} {{ {a} }} {{{a.[b c].[0]}}}",
            "{{#each [\"a\", 'b', 1] as |x|}}{{/each}}",
            "{{x {\"a\": 1} }}{{x {\"a\": 1}}}",
            "{{else}} {{^}} {{! it's }}",
        ] {
            assert_eq!(check_nesting(&Source::new("t", text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn expressions_nest_to_the_limit_and_no_further() {
        let nested = |depth: usize| format!("{{{{a {}b{}}}}}", "(c ".repeat(depth), ")".repeat(depth));
        assert!(check_nesting(&Source::new("t", &nested(EXPRESSION_DEPTH))).is_ok());
        assert!(check_nesting(&Source::new("t", &nested(EXPRESSION_DEPTH + 1))).is_err());
    }
}
