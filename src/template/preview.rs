//! What a plan would render to, without a ring: `sup plan render`.

use serde_json::Value;

use super::context::{Role, sample};
use super::render::{RenderError, RenderedFile, Templates};
use crate::plan::{Complaints, Plan};

/// A plan cannot be shown rendered.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// Its templates have mistakes.
    #[error("{0}")]
    Compile(Complaints),
    /// One does not render.
    #[error("{0}")]
    Render(RenderError),
}

/// Renders `plan` as a follower of three would see it. `context` is laid over the sample context: objects merge
/// deeply, anything else replaces, so that it has to say only what matters.
///
/// # Errors
/// When the plan's templates have mistakes or do not render.
pub fn preview(plan: &Plan, context: Option<&Value>) -> Result<Vec<RenderedFile>, PreviewError> {
    let templates = Templates::compile(plan).map_err(PreviewError::Compile)?;
    let mut full = sample(plan, &plan.defaults, Role::Follower);
    if let Some(context) = context {
        lay_over(&mut full, context);
    }
    templates.render_all(&full).map_err(PreviewError::Render)
}

fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::preview;
    use crate::plan::Plan;

    #[test]
    fn a_context_is_laid_over_the_sample() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("config")).unwrap();
        std::fs::write(dir.path().join("plan.toml"), "name = \"x\"\nversion = \"1\"\nservice.run = \"x\"\n").unwrap();
        std::fs::write(dir.path().join("default.toml"), "a = 1\nb = 2\n").unwrap();
        std::fs::write(dir.path().join("config/t"), "{{cfg.a}} {{cfg.b}} {{svc.me.follower}} {{sys.ip}}").unwrap();
        let plan = Plan::load(dir.path()).unwrap();
        assert_eq!(preview(&plan, None).unwrap()[0].bytes, b"1 2 true 127.0.0.2");
        let context = json!({"cfg": {"a": 9}, "sys": {"ip": "::1"}});
        assert_eq!(preview(&plan, Some(&context)).unwrap()[0].bytes, b"9 2 true ::1");
    }
}
