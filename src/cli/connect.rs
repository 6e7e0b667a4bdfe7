//! Which supervisor is asked.

use super::args::Globals;
use super::settings::{self, SupervisorArgs};
use crate::api::Problem;
use crate::api::client::{Client, Endpoint};

/// The supervisor whose socket the flags, the environment or the file name.
pub(super) fn client(globals: &Globals) -> Result<Client, Problem> {
    let settings = settings::resolve(globals, &SupervisorArgs::default())?;
    Ok(Client::new(Endpoint::Unix(settings.socket)))
}
