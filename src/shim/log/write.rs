//! The writing side of a log: rotation, and what happens when the disk is full.
pub struct Writer {}
