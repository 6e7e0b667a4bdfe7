//! `sup explain`.

use super::act::did_you_mean;
use super::args::ExplainArgs;
use super::failure::Outcome;
use super::out::Out;
use crate::api::ExitStatus;
use crate::api::client::Client;

pub(super) async fn explain(client: &Client, out: &mut Out<'_>, args: &ExplainArgs) -> Outcome {
    let explanation = match client.explain(&args.target).await {
        Ok(explanation) => explanation,
        Err(problem) => return Err(did_you_mean(client, &args.target, problem).await.into()),
    };
    out.result(&explanation, |out| explanation.sentences.iter().try_for_each(|sentence| out.line(sentence)))?;
    if let Some(next) = &explanation.next {
        out.next(next)?;
    }
    Ok(ExitStatus::Done)
}
