//! Habitat's helpers, by Habitat's names.

mod each_alive;
mod missing;
mod pkg_path_for;
mod text;
mod to_text;
mod yaml;

use handlebars::{Handlebars, Helper, RenderError, RenderErrorReason};
pub use missing::MissingHook;

/// Makes the helpers known to `registry`.
pub fn register(registry: &mut Handlebars<'_>) {
    registry.register_helper("eachAlive", Box::new(each_alive::EachAlive));
    registry.register_helper("pkgPathFor", Box::new(pkg_path_for::pkg_path_for));
    registry.register_helper("strConcat", Box::new(text::concat));
    registry.register_helper("strJoin", Box::new(text::join));
    registry.register_helper("strReplace", Box::new(text::replace));
    registry.register_helper("toUppercase", Box::new(text::uppercase));
    registry.register_helper("toLowercase", Box::new(text::lowercase));
    registry.register_helper("toJson", Box::new(to_text::json));
    registry.register_helper("toToml", Box::new(to_text::toml));
    registry.register_helper("toYaml", Box::new(to_text::yaml));
}

/// An error of a helper, as a sentence.
fn error(message: impl Into<String>) -> RenderError {
    RenderErrorReason::Other(message.into()).into()
}

/// The text that is the helper's argument at `index`.
fn text_argument<'h>(helper: &'h Helper<'_>, index: usize) -> Result<&'h str, RenderError> {
    let wants = || error(format!("`{}` wants a text as its argument {}", helper.name(), index + 1));
    helper.param(index).and_then(|value| value.value().as_str()).ok_or_else(wants)
}

/// The value that is the helper's argument at `index`.
fn argument<'h>(helper: &'h Helper<'_>, index: usize) -> Result<&'h serde_json::Value, RenderError> {
    let wants = || error(format!("`{}` wants an argument {}", helper.name(), index + 1));
    let value = helper.param(index).ok_or_else(wants)?;
    Ok(value.value())
}

#[cfg(test)]
mod tests;
