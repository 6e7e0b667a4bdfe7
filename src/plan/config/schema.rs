//! The part of JSON Schema that `config.schema.json` may use.
