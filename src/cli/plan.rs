use super::args::{CheckArgs, RenderArgs};
use super::failure::Outcome;
use super::out::Out;
pub(super) fn check(_args: &CheckArgs, _out: &mut Out<'_>) -> Outcome {
    todo!()
}
pub(super) fn render(_args: &RenderArgs, _out: &mut Out<'_>) -> Outcome {
    todo!()
}
