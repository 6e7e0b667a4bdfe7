//! Values of a config.

/// The value at a dotted key, such as `server.port`.
#[must_use]
pub fn get<'a>(table: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    let mut parts = key.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.as_table()?.get(part))
}

/// The value as JSON. Dates become text; a float that JSON cannot say (`inf`, `nan`) becomes null.
#[must_use]
pub fn to_json(value: &toml::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        toml::Value::String(text) => Json::String(text.clone()),
        toml::Value::Integer(number) => Json::from(*number),
        toml::Value::Float(number) => Json::from(*number),
        toml::Value::Boolean(truth) => Json::Bool(*truth),
        toml::Value::Datetime(date) => Json::String(date.to_string()),
        toml::Value::Array(items) => items.iter().map(to_json).collect(),
        toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{get, to_json};

    #[test]
    fn a_dotted_key_reaches_into_tables() {
        let table: toml::Table = toml::from_str("a = 1\n[b]\nc = [2]\n").unwrap();
        assert_eq!(get(&table, "a").and_then(toml::Value::as_integer), Some(1));
        assert!(get(&table, "b.c").is_some_and(toml::Value::is_array));
        assert!(["", "x", "a.b", "b.x", "b.c.0", "b."].iter().all(|key| get(&table, key).is_none()));
    }

    #[test]
    fn every_kind_of_value_becomes_json() {
        let text = "s = 's'\ni = -1\nf = 1.5\nn = nan\nb = true\nd = 2020-01-02\na = [1, 'x']\n[t]\nk = 1\n";
        let table: toml::Table = toml::from_str(text).unwrap();
        let json = to_json(&toml::Value::Table(table));
        let expected = serde_json::json!(
            {"s": "s", "i": -1, "f": 1.5, "n": null, "b": true, "d": "2020-01-02", "a": [1, "x"], "t": {"k": 1}}
        );
        assert_eq!(json, expected);
    }
}
