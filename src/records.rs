//! What is known: a gossiped last-writer-wins map.

pub mod value;
