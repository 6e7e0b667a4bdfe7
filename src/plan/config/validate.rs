//! Whether a config fits a plan.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::schema;
use crate::base::limits::CONFIG_BYTES;
use crate::plan::Plan;
use crate::plan::complaint::{Complaint, Complaints, Source, nearest};
use crate::plan::reader::with_article;

/// What becomes of keys that the plan's defaults do not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// Each is an error.
    #[default]
    Refused,
    /// They are taken.
    Allowed,
}

/// Reads a config for `plan`; `file` names it in complaints. All mistakes are collected, not only the first.
///
/// A table that is empty in the plan's defaults takes any keys: the plan left it to its users.
///
/// # Errors
/// When it is longer than [`CONFIG_BYTES`], is not TOML, or does not fit the plan's defaults and schema. Each
/// complaint has the line and the column of the key or value that it is about.
pub fn validate(file: &str, text: &str, plan: &Plan, unknown: Unknown) -> Result<Table, Complaints> {
    if text.len() > CONFIG_BYTES {
        let message = format!("the config is {} bytes long; at most {CONFIG_BYTES} are allowed", text.len());
        return Err(Complaint::whole_file(file, message).into());
    }
    let source = Source::new(file, text);
    let (document, errors) = DeTable::parse_recoverable(source.text());
    if !errors.is_empty() {
        let complaints = errors.iter().map(|error| Complaint::from_toml_error(&source, error)).collect();
        return Complaints(complaints).into_result(Table::new());
    }
    // What the syntax allows and no value can hold: an integer beyond 64 bits.
    let table: Table = toml::from_str(text).map_err(|error| Complaint::from_toml_error(&source, &error))?;

    let mut fit = Fit { source: &source, unknown, complaints: Complaints::default() };
    fit.table("", document.get_ref(), &plan.defaults, plan.schema.as_ref());
    let mut complaints = fit.complaints;
    if let Some(schema) = &plan.schema {
        // A key that the defaults made a complaint of is not complained about again.
        let mut more = Complaints::default();
        schema::fit_table(schema, "", &document, Some(&plan.defaults), &source, &mut more);
        let told = |new: &Complaint| complaints.0.iter().any(|c| (c.line, c.column) == (new.line, new.column));
        let more: Vec<_> = more.0.into_iter().filter(|complaint| !told(complaint)).collect();
        complaints.0.extend(more);
    }
    complaints.into_result(table)
}

/// Whether the plan's own `default.toml` fits its schema.
///
/// # Errors
/// When it does not.
pub fn validate_defaults(plan: &Plan) -> Result<(), Complaints> {
    let Some(schema) = &plan.schema else { return Ok(()) };
    let source = plan.defaults_source();
    let document = DeTable::parse(source.text()).map_err(|error| Complaint::from_toml_error(&source, &error))?;
    let mut complaints = Complaints::default();
    schema::fit_table(schema, "", &document, None, &source, &mut complaints);
    complaints.into_result(())
}

struct Fit<'a> {
    source: &'a Source,
    unknown: Unknown,
    complaints: Complaints,
}

impl Fit<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>, defaults: &Table, node: Option<&serde_json::Value>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let child = node.and_then(|node| schema::property(node, name));
            match defaults.get(name) {
                Some(default) => self.value(&path, value, default, child),
                None if child.is_some() || self.unknown == Unknown::Allowed => {}
                None => {
                    let complaint = self.source.complain(key.span(), format!("unknown key `{path}`"));
                    self.complaints.0.push(match nearest(name, defaults.keys().map(String::as_str)) {
                        Some(near) => complaint.help(format!("did you mean `{near}`?")),
                        None => complaint.help("the plan's default.toml has no such key"),
                    });
                }
            }
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>, default: &Value, node: Option<&serde_json::Value>) {
        let inner = value.get_ref();
        if !fits(inner, default) {
            // The schema may allow more than the default shows, such as a number or a word. It is asked later.
            if !node.is_some_and(schema::says_type) {
                let (wanted, found) = (with_article(default.type_str()), with_article(inner.type_str()));
                let message = format!("`{path}` is {wanted} in the plan's default.toml, not {found}");
                self.complaints.0.push(self.source.complain(value.span(), message));
            }
            return;
        }
        match (inner, default) {
            (DeValue::Table(table), Value::Table(defaults)) if !defaults.is_empty() => {
                self.table(path, table, defaults, node);
            }
            (DeValue::Array(items), Value::Array(defaults)) => self.items(path, items, defaults),
            (_, _) => {}
        }
    }

    /// Items are of the type that all of the default's items have.
    fn items(&mut self, path: &str, items: &[Spanned<DeValue<'_>>], defaults: &[Value]) {
        let Some((first, rest)) = defaults.split_first() else { return };
        if rest.iter().any(|other| !other.same_type(first)) {
            return;
        }
        for (at, item) in items.iter().enumerate().filter(|(_, item)| !fits(item.get_ref(), first)) {
            let (wanted, found) = (with_article(first.type_str()), with_article(item.get_ref().type_str()));
            let message = format!("`{path}[{at}]` is {wanted} in the plan's default.toml, not {found}");
            self.complaints.0.push(self.source.complain(item.span(), message));
        }
    }
}

/// Whether a value has the type of the default. A whole number does for a float.
fn fits(value: &DeValue<'_>, default: &Value) -> bool {
    value.type_str() == default.type_str() || (value.is_integer() && default.is_float())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Unknown, validate, validate_defaults};
    use crate::base::limits::CONFIG_BYTES;
    use crate::plan::Plan;

    const DEFAULTS: &str = "port = 6379\nratio = 0.5\nname = 'x'\non = true\nlist = ['a']\nmixed = [1, 'a']\nempty = []\n\
                            free = {}\n[server]\nhost = 'h'\nmax-clients = 5\n";

    fn plan(schema: Option<&str>) -> Plan {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("plan.toml", "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n");
        write("default.toml", DEFAULTS);
        if let Some(schema) = schema {
            write("config.schema.json", schema);
        }
        Plan::load(dir.path()).unwrap()
    }

    fn refused(plan: &Plan, text: &str) -> Vec<String> {
        let complaints = validate("new.toml", text, plan, Unknown::Refused).unwrap_err();
        complaints.0.iter().map(super::Complaint::headline).collect()
    }

    #[test]
    fn a_config_of_the_right_types_is_taken() {
        let text = "port = 1\nratio = 2\nname = ''\nlist = ['b', 'c']\nmixed = [true]\nempty = [1]\nfree.any = 1\n\
                    server.host = 'i'\n";
        let table = validate("new.toml", text, &plan(None), Unknown::Refused).unwrap();
        assert_eq!(table["server"]["host"].as_str(), Some("i"));
    }

    #[test]
    fn every_mistake_is_told_at_its_key_or_value() {
        let text = "port = 'many'\nratio = 'x'\nprot = 1\n[server]\nhost = 1\nmax_clients = 3\n";
        assert_eq!(
            refused(&plan(None), text),
            [
                "new.toml:1:8: `port` is an integer in the plan's default.toml, not a string",
                "new.toml:2:9: `ratio` is a float in the plan's default.toml, not a string",
                "new.toml:3:1: unknown key `prot`; did you mean `port`?",
                "new.toml:5:8: `server.host` is a string in the plan's default.toml, not an integer",
                "new.toml:6:1: unknown key `server.max_clients`; did you mean `max-clients`?",
            ]
        );
    }

    #[test]
    fn arrays_and_tables_are_checked_within() {
        assert_eq!(
            refused(&plan(None), "list = ['a', 1]\nserver = 1\n"),
            [
                "new.toml:1:14: `list[1]` is a string in the plan's default.toml, not an integer",
                "new.toml:2:10: `server` is a table in the plan's default.toml, not an integer",
            ]
        );
        assert_eq!(
            refused(&plan(None), "port = 1.5"),
            ["new.toml:1:8: `port` is an integer in the plan's default.toml, not a float"]
        );
    }

    #[test]
    fn all_syntax_errors_are_told() {
        let complaints = refused(&plan(None), "port = \nname = 'x\n");
        assert!(complaints.len() >= 2, "{complaints:?}");
        assert!(complaints[0].starts_with("new.toml:1:"), "{complaints:?}");
        assert!(complaints.iter().any(|complaint| complaint.starts_with("new.toml:2:")), "{complaints:?}");
        assert!(refused(&plan(None), "port = 99999999999999999999")[0].starts_with("new.toml:1:8: "));
    }

    #[test]
    fn unknown_keys_may_be_allowed() {
        let taken = validate("new.toml", "prot = 1\n", &plan(None), Unknown::Allowed).unwrap();
        assert_eq!(taken["prot"].as_integer(), Some(1));
        assert!(validate("new.toml", "port = 'x'\n", &plan(None), Unknown::Allowed).is_err());
    }

    #[test]
    fn a_config_is_taken_at_the_limit_and_refused_one_byte_beyond() {
        let text = |size: usize| format!("#{}", "x".repeat(size - 1));
        assert!(validate("f", &text(CONFIG_BYTES), &plan(None), Unknown::Refused).is_ok());
        assert_eq!(
            refused(&plan(None), &text(CONFIG_BYTES + 1)),
            ["new.toml: the config is 61441 bytes long; at most 61440 are allowed"]
        );
    }

    #[test]
    fn the_schema_adds_to_what_the_defaults_say() {
        let schema = r#"{"properties": {
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "name": {"type": ["string", "integer"]},
            "extra": {"type": "string"}
        }, "required": ["name", "token"]}"#;
        let plan = plan(Some(schema));
        assert_eq!(
            refused(&plan, "port = 65536\nname = 5\nextra = 1\nother = 1\n"),
            [
                "new.toml:1:1: `token` is required by the plan's schema",
                "new.toml:1:8: `port` is at most 65535",
                "new.toml:3:9: `extra` is a string, not an integer",
                "new.toml:4:1: unknown key `other`; the plan's default.toml has no such key",
            ]
        );
        let own = validate_defaults(&plan).unwrap_err();
        assert_eq!(own.0[0].file.file_name().unwrap(), Path::new("default.toml"));
    }
}
