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

/// The value, a table, as TOML.
pub fn toml(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = argument(helper, 0)?;
    let text = toml::to_string(value).map_err(|reason| error(format!("`toToml` cannot write this value: {reason}")))?;
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
