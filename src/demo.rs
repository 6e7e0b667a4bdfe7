//! The built-in demo service, which needs nothing installed.
