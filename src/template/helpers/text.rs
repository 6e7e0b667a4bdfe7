//! `strConcat`, `strJoin`, `strReplace`, `toUppercase`, `toLowercase`.

use handlebars::{Context, Handlebars, Helper, HelperResult, JsonRender, Output, RenderContext};
use serde_json::Value;

use super::{argument, error, text_argument};

/// All arguments, one after the other. Objects are left out.
pub fn concat(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    for value in helper.params().iter().map(handlebars::PathAndJson::value).filter(|value| !value.is_object()) {
        out.write(&value.render())?;
    }
    Ok(())
}

/// The items of a list with a text between. Objects are left out.
pub fn join(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let list = argument(helper, 0)?.as_array().ok_or_else(|| error("`strJoin` wants a list as its argument 1"))?;
    let separator = text_argument(helper, 1)?;
    let items: Vec<String> = list.iter().filter(|item| !item.is_object()).map(Value::render).collect();
    out.write(&items.join(separator))?;
    Ok(())
}

/// A text with every occurrence of another one replaced.
pub fn replace(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let (text, old, new) = (text_argument(helper, 0)?, text_argument(helper, 1)?, text_argument(helper, 2)?);
    out.write(&text.replace(old, new))?;
    Ok(())
}

/// A text in capital letters.
pub fn uppercase(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(&text_argument(helper, 0)?.to_uppercase())?;
    Ok(())
}

/// A text in small letters.
pub fn lowercase(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(&text_argument(helper, 0)?.to_lowercase())?;
    Ok(())
}
