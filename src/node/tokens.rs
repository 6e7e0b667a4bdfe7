//! Tokens of the API: made and revoked on any node, known to all of them by records that hold hashes only.

use crate::base::{Now, TokenId};
use crate::records::value::{self, TokenRecord};
use crate::records::{Key, Kind};

use super::{CommandError, Done, Node};

/// Most tokens that a ring has: everybody who needs one of their own, and a state that does not grow without end.
pub const TOKENS_MAX: usize = 256;

impl Node {
    /// What a token stands for; none if there is no such one, or it was revoked, or this version cannot read it.
    #[must_use]
    pub fn token(&self, id: TokenId) -> Option<TokenRecord> {
        let record = self.records.get(&Key::token(id))?;
        value::decode(record).ok().flatten()
    }

    /// All tokens that this version can read, those included that have expired.
    pub fn tokens(&self) -> impl Iterator<Item = (TokenId, TokenRecord)> + '_ {
        self.records.with_prefix(Key::TOKEN_PREFIX).filter_map(|record| match record.key.kind() {
            Kind::Token(id) => Some((id, value::decode(record).ok().flatten()?)),
            _ => None,
        })
    }

    pub(super) fn new_token(&mut self, now: Now, id: TokenId, token: &TokenRecord) -> Result<Done, CommandError> {
        // Nobody misses those that have expired; until somebody needs their place, they are shown as such.
        let expired: Vec<TokenId> =
            self.tokens().filter(|(_, token)| token.has_expired(now.wall)).map(|(id, _)| id).collect();
        for id in expired {
            self.records.delete(now, &Key::token(id)).map_err(CommandError::Record)?;
        }
        let there = self.records.with_prefix(Key::TOKEN_PREFIX).filter(|record| record.value.is_some()).count();
        if there >= TOKENS_MAX {
            return Err(CommandError::TooManyTokens { limit: TOKENS_MAX });
        }
        let before = self.next_write;
        self.try_put_value(now, Key::token(id), token, 0)?;
        Ok(self.written_since(now, before))
    }

    pub(super) fn revoke_token(&mut self, now: Now, id: TokenId) -> Result<Done, CommandError> {
        // By the record, not by what can be read of it: a token of a newer version can be revoked here, too.
        let is_there = self.records.get(&Key::token(id)).is_some_and(|record| record.value.is_some());
        if !is_there {
            return Err(CommandError::UnknownToken { id });
        }
        let before = self.next_write;
        self.records.delete(now, &Key::token(id)).map_err(CommandError::Record)?;
        Ok(self.written_since(now, before))
    }

    /// Done, once it is on this node's disk: a node that is alone and loses power has nobody who would tell it again.
    fn written_since(&mut self, now: Now, before: u64) -> Done {
        self.settle(now);
        // The record's write is the first that was asked for since.
        Done { write: (self.next_write > before).then_some(before), changed: true, ..Done::default() }
    }
}
