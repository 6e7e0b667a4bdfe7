//! Reading typed values out of a TOML text, every mistake with its place.
