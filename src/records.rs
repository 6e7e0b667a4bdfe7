//! What is known: a gossiped last-writer-wins map from keys to stamped values.
//!
//! Every node holds all of it. [`Records`] is the state machine: it is told the time, what this node puts, and what
//! others send; it says (as [`RecordsAction`]s) what to send, what to store, and which keys read differently now.
//!
//! - **Merge.** Of two versions of a key the one with the higher [`Stamp`] stays. Owned keys are written by their owner
//!   only; shared keys by anyone, ordered by a hybrid logical clock; fenced keys by term first. The merge is
//!   commutative, associative and idempotent, so that it matters neither how a record came here nor how often.
//! - **Spread.** A new record goes at once to all members of a small ring, or a few random ones of a large ring, and
//!   each that had not seen it passes it on.
//! - **Repair.** Every few seconds a node compares hashes with one random member, and they exchange what differs.
//! - **Forgetting.** A deletion leaves a tombstone for a day. What a departed node owned is forgotten on request.
//!
//! | file | subject |
//! | --- | --- |
//! | `key` | [`Key`], its [`Class`] and [`Kind`] |
//! | `stamp` | [`Stamp`], and the clock that they are drawn from |
//! | `record` | [`Record`]: which of two stays |
//! | `table` | all records, with the hashes over them |
//! | `engine` | [`Records`]: puts, merges, and the calls that lead to the rest |
//! | `spread` | to whom news goes, and in what packets |
//! | `fetch` | news that is too large for a packet |
//! | `repair` | how two nodes find out what differs |
//! | `refusal` | what is not taken from others |
//! | `standing` | what a node that was away for long may say |
//! | `message` | what travels, and what is asked of the surroundings |
//! | [`value`], `rollout` | what the values of known kinds say |
//! | `durable` | the words for what is kept on disk |
//!
//! What this does not do: it does not know who is alive (it is told: [`Records::set_peers`]), nor what values mean.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod durable;
mod engine;
mod fetch;
mod file;
mod key;
mod message;
mod record;
mod refusal;
mod repair;
mod rollout;
mod spread;
mod stamp;
mod standing;
mod table;
mod token;
pub mod value;

pub use durable::{Remembered, Restored, Write};
pub use engine::{Records, RecordsConfig};
pub use key::{Class, Key, KeyError, Kind};
pub use message::{Entry, PutError, RecordsAction, RecordsDatagram, RecordsRequest, RecordsResponse, RefusedWhy};
pub use record::Record;
pub use stamp::Stamp;

#[cfg(test)]
mod tests;
