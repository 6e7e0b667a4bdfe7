//! Rendering of a service's files.
