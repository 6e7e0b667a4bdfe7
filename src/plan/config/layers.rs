//! The layers of a config, and how they merge.

use toml::{Table, Value};

use crate::base::Name;
use crate::plan::complaint::{Complaint, Complaints, Source};

/// The layers above the plan's `default.toml`, lowest first. An absent layer is an empty table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// From the environment variable `SUP_CFG_<SERVICE>`.
    pub environment: Table,
    /// From the node's `user.toml`.
    pub user: Table,
    /// The group's gossiped config.
    pub group: Table,
}

/// The config in force: `defaults` with the layers over it.
#[must_use]
pub fn effective(defaults: &Table, layers: &Layers) -> Table {
    let mut config = defaults.clone();
    for layer in [&layers.environment, &layers.user, &layers.group] {
        merge(&mut config, layer);
    }
    config
}

/// Lays `over` over `base`: tables merge deeply, anything else replaces.
pub fn merge(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (Some(_) | None, _) => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The name of the environment variable that holds a layer for `service`: `SUP_CFG_MY_REDIS` for `my-redis`.
#[must_use]
pub fn environment_variable(service: &Name) -> String {
    format!("SUP_CFG_{}", service.as_str().to_uppercase().replace('-', "_"))
}

/// Reads the environment's layer: a JSON object if it starts with a brace, else TOML.
///
/// # Errors
/// When it is neither.
pub fn parse_environment(service: &Name, text: &str) -> Result<Table, Complaints> {
    let source = Source::new(environment_variable(service), text);
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            let message = format!("is not a JSON object of config values: {error}");
            Complaint::from_json_error(&source, &error, message).into()
        });
    }
    toml::from_str(text).map_err(|error| Complaint::from_toml_error(&source, &error).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use toml::{Table, Value};

    use super::{Layers, effective, environment_variable, merge, parse_environment};

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn tables_merge_deeply_and_everything_else_replaces() {
        let mut base = table("keep = 1\nlist = [1, 2]\n[server]\nport = 1\nhost = 'a'\n[gone]\nx = 1\n");
        merge(&mut base, &table("list = [3]\ngone = 0\n[server]\nport = 2\n[new]\ny = 1\n"));
        assert_eq!(base, table("keep = 1\nlist = [3]\ngone = 0\n[server]\nport = 2\nhost = 'a'\n[new]\ny = 1\n"));
    }

    #[test]
    fn the_group_goes_over_the_user_over_the_environment_over_the_defaults() {
        let defaults = table("a = 0\nb = 0\nc = 0\nd = 0\n");
        let layers = Layers {
            environment: table("b = 1\nc = 1\nd = 1\n"),
            user: table("c = 2\nd = 2\n"),
            group: table("d = 3\n"),
        };
        assert_eq!(effective(&defaults, &layers), table("a = 0\nb = 1\nc = 2\nd = 3\n"));
    }

    #[test]
    fn the_environment_is_json_or_toml() {
        let service = "my-redis".parse().unwrap();
        assert_eq!(environment_variable(&service), "SUP_CFG_MY_REDIS");
        assert_eq!(parse_environment(&service, " {\"port\": 1}").unwrap(), table("port = 1"));
        assert_eq!(parse_environment(&service, "port = 1").unwrap(), table("port = 1"));
    }

    #[test]
    fn an_environment_that_is_neither_is_refused_with_its_place() {
        let service = "redis".parse().unwrap();
        let json = parse_environment(&service, "{\n\"port\": }").unwrap_err();
        assert!(json.to_string().starts_with("SUP_CFG_REDIS:2:9: "), "{json}");
        let toml = parse_environment(&service, "a = 1\nport = = 1").unwrap_err();
        assert!(toml.to_string().starts_with("SUP_CFG_REDIS:2:"), "{toml}");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i64>().prop_map(Value::Integer), any::<bool>().prop_map(Value::Boolean)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Table(map.into_iter().collect())),
            ]
        })
    }

    fn tables() -> impl Strategy<Value = Table> {
        prop::collection::btree_map("[a-c]", values(), 0..4).prop_map(|map| map.into_iter().collect())
    }

    fn merged(base: &Table, over: &Table) -> Table {
        let mut base = base.clone();
        merge(&mut base, over);
        base
    }

    proptest! {
        #[test]
        fn merging_the_same_layer_again_changes_nothing(base in tables(), over in tables()) {
            let once = merged(&base, &over);
            prop_assert_eq!(merged(&once, &over), once);
        }

        #[test]
        fn nothing_over_a_table_and_a_table_over_nothing_is_the_table(base in tables()) {
            prop_assert_eq!(merged(&base, &Table::new()), base.clone());
            prop_assert_eq!(merged(&Table::new(), &base), base);
        }

        #[test]
        fn every_leaf_of_the_upper_layer_is_in_force(base in tables(), over in tables()) {
            fn covered(by: &Value, over: &Value) -> bool {
                match (by, over) {
                    (Value::Table(by), Value::Table(over)) =>
                        over.iter().all(|(key, value)| by.get(key).is_some_and(|by| covered(by, value))),
                    (by, over) => by == over,
                }
            }
            let result = Value::Table(merged(&base, &over));
            prop_assert!(covered(&result, &Value::Table(over)));
        }
    }
}
