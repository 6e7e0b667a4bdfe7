//! A service's config: its layers, and whether a config fits a plan.
//!
//! Layers, later wins: the plan's `default.toml`, the environment's `SUP_CFG_<SERVICE>`, the node's `user.toml`, the
//! group's gossiped config. Tables merge deeply; arrays and scalars replace.

mod layers;
mod schema;
mod validate;
mod value;

pub use layers::{Layers, effective, environment_variable, merge, parse_environment};
pub use schema::check_schema;
pub use validate::{Unknown, validate, validate_defaults};
pub use value::{get, to_json};
