//! A deterministic cluster of nodes on virtual time.
