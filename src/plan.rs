//! What a service is: `plan.toml`, its config and its hooks.
