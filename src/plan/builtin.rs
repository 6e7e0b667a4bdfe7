//! The `demo` plan, which the binary carries.

use std::io;
use std::path::{Path, PathBuf};

/// The built-in plan's name.
pub const DEMO: &str = "demo";

/// Its files: path, content.
const FILES: [(&str, &str); 4] = [
    ("plan.toml", include_str!("../../plans/demo/plan.toml")),
    ("default.toml", include_str!("../../plans/demo/default.toml")),
    ("config/demo.toml", include_str!("../../plans/demo/config/demo.toml")),
    ("hooks/reconfigure", include_str!("../../plans/demo/hooks/reconfigure")),
];

/// Writes the built-in plan to `dir/demo`, and says where that is. What is already there and equal is left alone.
///
/// # Errors
/// When a file cannot be written.
pub fn materialise(dir: &Path) -> io::Result<PathBuf> {
    let plan = dir.join(DEMO);
    for (name, text) in FILES {
        let path = plan.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let current = std::fs::read_to_string(&path).is_ok_and(|there| there == text);
        if !current {
            std::fs::write(&path, text)?;
        }
    }
    Ok(plan)
}
