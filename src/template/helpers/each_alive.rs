//! `{{#eachAlive members as |member|}} ... {{else}} ... {{/eachAlive}}`.

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, Renderable,
};
use serde_json::Value;

use super::{argument, error};

/// Renders its block for each member of a list that is alive, or else its `else`. `@first`, `@last` and `@index` (from
/// 1) count the members that are alive.
///
/// With a block parameter, other names keep their meaning from outside of the block, as in Habitat: `{{cfg.port}}` in
/// there is the service's own. Without one, names are the member's.
pub struct EachAlive;

impl HelperDef for EachAlive {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let alive: Vec<&Value> = match argument(helper, 0)? {
            Value::Array(members) => members.iter().filter(|member| is_alive(member)).collect(),
            // A group that is not there, such as a bind that is not satisfied, has no members.
            Value::Null => Vec::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return Err(error("`eachAlive` wants a list of members"));
            }
        };
        if alive.is_empty() {
            return helper.inverse().map_or(Ok(()), |template| template.render(registry, context, render, out));
        }
        let Some(template) = helper.template() else { return Ok(()) };
        for (at, member) in alive.iter().enumerate() {
            let mut block = BlockContext::new();
            if let Some(name) = helper.block_param() {
                if let Some(outer) = render.block() {
                    block.base_path_mut().clone_from(outer.base_path());
                    if let Some(value) = outer.base_value() {
                        block.set_base_value(value.clone());
                    }
                }
                let mut params = BlockParams::new();
                params.add_value(name, (*member).clone())?;
                block.set_block_params(params);
            } else {
                block.set_base_value((*member).clone());
            }
            block.set_local_var("first", Value::Bool(at == 0));
            block.set_local_var("last", Value::Bool(at + 1 == alive.len()));
            block.set_local_var("index", Value::from(at + 1));
            render.push_block(block);
            let rendered = template.render(registry, context, render, out);
            render.pop_block();
            rendered?;
        }
        Ok(())
    }
}

fn is_alive(member: &Value) -> bool {
    member.get("alive").and_then(Value::as_bool).unwrap_or(false)
}
