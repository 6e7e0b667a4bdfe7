//! Wires the core to the world.
