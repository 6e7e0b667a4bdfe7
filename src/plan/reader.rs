//! Reading typed values out of a TOML text, every mistake with its place.
//!
//! `serde` stops at the first mistake, and knows the place of few. A [`Reader`] is asked for each key by name, collects
//! what is wrong, and in the end complains about the keys that nobody asked for.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::{Complaint, Complaints, Source, nearest};
use super::period;

/// Collects the mistakes of one text.
pub struct Reader<'s> {
    source: &'s Source,
    complaints: Complaints,
}

/// A key and its value.
#[derive(Clone)]
pub struct Entry<'a> {
    /// The key, with the tables that it is in: `service.run`.
    pub path: String,
    /// Where the key is.
    pub key: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
}

/// A table whose keys are asked for one by one.
pub struct Section<'a> {
    /// The table's own path; empty for the document.
    path: String,
    entries: BTreeMap<&'a str, Entry<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The keys of `table`, which is at `path`.
    pub fn new(path: &str, table: &'a DeTable<'a>) -> Self {
        let entries = table.iter().map(|(key, value)| {
            let name: &str = key.get_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            (name, Entry { path, key: key.span(), value })
        });
        Self { path: path.to_owned(), entries: entries.collect(), asked: Vec::new() }
    }

    /// The entry of that key, if there is one. It is known from now on.
    pub fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.asked.push(key);
        self.entries.remove(key)
    }

    /// The entries that nobody asked for, by key: of a table whose keys are names.
    pub fn into_rest(self) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        self.entries.into_iter()
    }
}

impl<'s> Reader<'s> {
    /// A reader that complains about `source`.
    pub fn new(source: &'s Source) -> Self {
        Self { source, complaints: Complaints::default() }
    }

    /// Complains about the bytes `span` of the text.
    pub fn complain(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.push(self.source.complain(span, message));
    }

    /// Complains, with what to do about it.
    pub fn complain_helpfully(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(self.source.complain(span, message).help(help));
    }

    fn push(&mut self, complaint: Complaint) {
        self.complaints.0.push(complaint);
    }

    /// The keys of `entry`, which is to be a table.
    pub fn section<'a>(&mut self, entry: Entry<'a>) -> Option<Section<'a>> {
        match entry.value.get_ref().as_table() {
            Some(table) => Some(Section::new(&entry.path, table)),
            None => self.wrong_type(&entry, "a table"),
        }
    }

    /// The text of `entry`.
    pub fn string(&mut self, entry: &Entry<'_>) -> Option<String> {
        match entry.value.get_ref().as_str() {
            Some(text) => Some(text.to_owned()),
            None => self.wrong_type(entry, "a string"),
        }
    }

    /// The text of `entry`, which must say something.
    pub fn text(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.string(entry)?;
        if text.trim().is_empty() {
            self.complain(entry.value.span(), format!("`{}` is empty", entry.path));
            return None;
        }
        Some(text)
    }

    /// The text of `entry`, read as something else.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, entry: &Entry<'_>) -> Option<T> {
        self.parsed_by(entry, str::parse)
    }

    /// The text of `entry`, a duration.
    pub fn period(&mut self, entry: &Entry<'_>) -> Option<Duration> {
        self.parsed_by(entry, period::parse)
    }

    /// The text of `entry`, a duration that is not shorter than `least`.
    pub fn period_at_least(&mut self, entry: &Entry<'_>, least: Duration) -> Option<Duration> {
        let period = self.period(entry)?;
        if period < least {
            let least = period::format(least);
            self.complain(entry.value.span(), format!("`{}` is at least {least}", entry.path));
            return None;
        }
        Some(period)
    }

    fn parsed_by<T, E: Display>(&mut self, entry: &Entry<'_>, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.string(entry)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.complain(entry.value.span(), format!("`{}`: {error}", entry.path));
                None
            }
        }
    }

    /// The truth of `entry`.
    pub fn boolean(&mut self, entry: &Entry<'_>) -> Option<bool> {
        match entry.value.get_ref().as_bool() {
            Some(truth) => Some(truth),
            None => self.wrong_type(entry, "true or false"),
        }
    }

    /// The whole number of `entry`, within `range`.
    pub fn integer<T>(&mut self, entry: &Entry<'_>, range: std::ops::RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(number) = entry.value.get_ref().as_integer() else { return self.wrong_type(entry, "a whole number") };
        let number = i64::from_str_radix(number.as_str(), number.radix()).ok().and_then(|n| T::try_from(n).ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(_) | None => {
                let message = format!("`{}` is between {} and {}", entry.path, range.start(), range.end());
                self.complain(entry.value.span(), message);
                None
            }
        }
    }

    /// The texts of `entry`, an array of strings, and where each is.
    pub fn strings(&mut self, entry: &Entry<'_>) -> Option<Vec<(String, Range<usize>)>> {
        let Some(items) = entry.value.get_ref().as_array() else {
            return self.wrong_type(entry, "an array of strings");
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), item.span())),
                None => self.complain(item.span(), format!("`{}` has strings only", entry.path)),
            }
        }
        Some(texts)
    }

    /// The texts of `section`, all of whose values are strings, and where each key is.
    pub fn string_map(&mut self, section: Section<'_>) -> Vec<(String, Range<usize>, String)> {
        let mut texts = Vec::new();
        for (name, entry) in section.into_rest() {
            if let Some(text) = self.string(&entry) {
                texts.push((name.to_owned(), entry.key, text));
            }
        }
        texts
    }

    fn wrong_type<T>(&mut self, entry: &Entry<'_>, wanted: &str) -> Option<T> {
        let found = entry.value.get_ref().type_str();
        self.complain(entry.value.span(), format!("`{}` is {wanted}, not {}", entry.path, with_article(found)));
        None
    }

    /// Complains about the keys of `section` that nobody asked for.
    pub fn finish_section(&mut self, section: Section<'_>) {
        let Section { path, entries, asked } = section;
        for (name, entry) in entries {
            let place = if path.is_empty() { String::new() } else { format!(" in [{path}]") };
            let message = format!("unknown key `{name}`{place}");
            match nearest(name, asked.iter().copied()) {
                Some(near) => self.complain_helpfully(entry.key, message, format!("did you mean `{near}`?")),
                None => self.complain_helpfully(entry.key, message, format!("known are {}", asked.join(", "))),
            }
        }
    }

    /// `value`, unless there were complaints.
    pub fn finish<T>(self, value: T) -> Result<T, Complaints> {
        self.complaints.into_result(value)
    }
}

impl Entry<'_> {
    /// Where the value is.
    pub fn value_span(&self) -> Range<usize> {
        self.value.span()
    }
}

/// The type with its article, for a sentence.
pub fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {type_name}")
}
