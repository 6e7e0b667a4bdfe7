//! Asks a supervisor.
