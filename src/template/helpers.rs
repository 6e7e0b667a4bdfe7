//! Habitat's helpers.
