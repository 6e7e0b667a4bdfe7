//! `toJson`, `toToml`, `toYaml`: a value as a document.

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext};

use super::{argument, error, yaml};

/// The value as JSON, with an indent of two.
pub fn json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(&format!("{:#}", argument(helper, 0)?))?;
    Ok(())
}

/// The value, a table, as TOML. What TOML does not have (nothing, an integer beyond 64 bits with a sign) is an error: a
/// file with it could be written, and not be read.
pub fn toml(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = argument(helper, 0)?;
    let told = |reason| error(format!("`toToml` cannot write this value: {reason}"));
    // The writer is less strict than TOML is; and the order of the keys is the value's own only if it is written as is.
    toml::Value::try_from(value).map_err(told)?;
    let text = toml::to_string(value).map_err(told)?;
    out.write(&text)?;
    Ok(())
}

/// The value as YAML.
pub fn yaml(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(&yaml::document(argument(helper, 0)?))?;
    Ok(())
}
