//! `sup dev`.

use super::args::DevArgs;
use super::failure::Outcome;
use super::out::Out;

pub(super) async fn dev(_args: &DevArgs, _out: &mut Out<'_>) -> Outcome {
    todo!()
}
