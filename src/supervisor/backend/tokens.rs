//! Tokens of the API: made here, known to all nodes.

use super::{Supervisor, clock};
use crate::api::shape::{Time, TokenInfo, TokenMade, TokenRequest, TokenRevoked, Tokens};
use crate::api::token::Token;
use crate::api::{Problem, ProblemKind};
use crate::base::{Role, TokenId, Wall};
use crate::node::Command;
use crate::records::value::{TOKEN_NAME_CHARS, TokenRecord};

pub(super) async fn list(supervisor: &Supervisor) -> Result<Tokens, Problem> {
    let known: Vec<(TokenId, TokenRecord)> = supervisor.look(|node| node.tokens().collect()).await?;
    let now = clock::now().wall;
    let mut tokens: Vec<TokenInfo> = known.iter().map(|(id, token)| info(*id, token, now)).collect();
    tokens.sort_by_key(|token| (token.created_at, token.id));
    Ok(Tokens { tokens })
}

pub(super) async fn make(supervisor: &Supervisor, request: TokenRequest) -> Result<TokenMade, Problem> {
    let now = clock::now().wall;
    let expires = expires(now, request.expires_in_ms)?;
    let name = name(request.name)?;
    let token = Token::draw().map_err(|error| Problem::caused(ProblemKind::Internal, &error))?;
    let by = supervisor.0.me;
    let record = TokenRecord { hash: token.hash(), role: request.role, name, created: now, expires, by };
    supervisor.execute(Command::NewToken { id: token.id(), token: record.clone() }).await?;
    tracing::info!(token = %token.id(), role = %record.role, name = record.name, "token made");
    Ok(TokenMade { info: info(token.id(), &record, now), token })
}

pub(super) async fn revoke(supervisor: &Supervisor, id: TokenId) -> Result<TokenRevoked, Problem> {
    supervisor.execute(Command::RevokeToken { id }).await?;
    tracing::info!(token = %id, "token revoked");
    Ok(TokenRevoked { id })
}

/// What a token that is presented allows. The network loop is asked each time, which takes it a microsecond: there is no
/// copy that would go on allowing what was revoked.
pub(super) async fn role(supervisor: &Supervisor, token: &Token) -> Result<Role, Problem> {
    let id = token.id();
    let known = supervisor.look(move |node| node.token(id)).await?;
    token.judge(known.as_ref(), clock::now().wall).map_err(|refusal| {
        Problem::caused(ProblemKind::Unauthorized, &refusal).next("see which there are: sup token list, on any node")
    })
}

fn expires(now: Wall, after_ms: Option<u64>) -> Result<Option<Wall>, Problem> {
    match after_ms {
        None => Ok(None),
        Some(0) => Err(Problem::new(ProblemKind::BadRequest, "a token that expires at once is good for nothing")),
        // Beyond all times there are: never.
        Some(after) => Ok(now.0.checked_add(after).map(Wall)),
    }
}

fn name(text: String) -> Result<String, Problem> {
    if text.chars().count() > TOKEN_NAME_CHARS || text.chars().any(char::is_control) {
        let detail =
            format!("the name of a token has at most {TOKEN_NAME_CHARS} characters, and no control characters");
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    Ok(text)
}

fn info(id: TokenId, token: &TokenRecord, now: Wall) -> TokenInfo {
    TokenInfo {
        id,
        role: token.role,
        name: token.name.clone(),
        created_at: token.created.into(),
        expires_at: token.expires.map(Time),
        expired: token.has_expired(now),
        by: token.by,
    }
}

#[cfg(test)]
mod tests {
    use super::{expires, name};
    use crate::base::Wall;
    use crate::records::value::TOKEN_NAME_CHARS;

    #[test]
    fn a_name_is_taken_at_its_limit_and_refused_one_beyond() {
        assert!(name("ü".repeat(TOKEN_NAME_CHARS)).is_ok() && name(String::new()).is_ok());
        assert!(name("ü".repeat(TOKEN_NAME_CHARS + 1)).is_err() && name("a\nb".to_owned()).is_err());
    }

    #[test]
    fn a_token_expires_after_its_time_and_one_without_never() {
        assert_eq!(expires(Wall(5), Some(3)).unwrap(), Some(Wall(8)));
        assert_eq!(expires(Wall(5), None).unwrap(), None);
        assert_eq!(expires(Wall(5), Some(u64::MAX)).unwrap(), None);
        assert!(expires(Wall(5), Some(0)).is_err());
    }
}
