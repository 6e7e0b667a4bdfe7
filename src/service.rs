//! A running service: its state machine, hooks, health checks and binds.
