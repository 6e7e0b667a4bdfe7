//! `{{pkgPathFor "core/redis"}}`.

use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext};
use serde_json::Value;

use super::{error, text_argument};

/// The directory of the package: the plan's own for its own ident; nothing for any other, since a plan uses what is on
/// the machine. `{{pkgPathFor "core/redis"}}/bin/redis-server` so names the machine's.
pub fn pkg_path_for(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    context: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let ident = text_argument(helper, 0)?;
    let parts: Vec<&str> = ident.split('/').collect();
    if !(2..=4).contains(&parts.len()) || parts.iter().any(|part| part.is_empty()) {
        return Err(error(format!(
            "`pkgPathFor` wants ORIGIN/NAME, with a version and a release or not, not {ident:?}"
        )));
    }
    let pkg = &context.data()["pkg"];
    let own = ["origin", "name", "version", "release"].map(|part| pkg[part].as_str());
    if own.iter().zip(&parts).all(|(own, part)| *own == Some(part)) {
        out.write(pkg["path"].as_str().unwrap_or_default())?;
    } else {
        let dependency = |dep: &&Value| dep["ident"].as_str().is_some_and(|dep| is_prefix(&parts, dep));
        let found = pkg["deps"].as_array().into_iter().flatten().find(dependency);
        out.write(found.and_then(|dep| dep["path"].as_str()).unwrap_or_default())?;
    }
    Ok(())
}

fn is_prefix(parts: &[&str], ident: &str) -> bool {
    ident.split('/').zip(parts).filter(|(own, part)| own == *part).count() == parts.len()
}
