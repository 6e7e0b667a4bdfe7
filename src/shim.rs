//! The small process that holds a service's process.
