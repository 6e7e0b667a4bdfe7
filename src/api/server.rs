//! Serves a [`Backend`](super::Backend).
