//! Nodes that fetch from each other over loopback.

mod faults;
mod node;
mod swarm;
