//! Which supervisor is asked, and in whose name.

use std::path::Path;

use zeroize::Zeroizing;

use super::args::Globals;
use super::settings::{self, SupervisorArgs};
use crate::api::client::{Client, Endpoint, Scheme, ServerUrl};
use crate::api::tls::{ClientTls, ClientTlsFiles};
use crate::api::token::Token;
use crate::api::{Problem, ProblemKind, secret_file};
use crate::base::TOKEN_ENV;

/// The supervisor that `--server` names, or else the one whose socket the flags, the environment or the file name.
pub(super) fn client(globals: &Globals) -> Result<Client, Problem> {
    if let Some(client) = remote(globals)? {
        return Ok(client);
    }
    let settings = settings::resolve(globals, &SupervisorArgs::default())?;
    Ok(Client::new(Endpoint::Unix(settings.socket)))
}

/// The supervisor that `--server` names; none: the one of this machine is meant.
pub(super) fn remote(globals: &Globals) -> Result<Option<Client>, Problem> {
    let Some(ServerUrl { scheme, server }) = globals.server.clone() else { return Ok(None) };
    let endpoint = match scheme {
        Scheme::Http => Endpoint::Http(server),
        Scheme::Https => Endpoint::Https(server, tls(globals)?),
    };
    let client = Client::new(endpoint);
    Ok(Some(match token(globals.token_file.as_deref(), std::env::var(TOKEN_ENV).ok().map(Zeroizing::new))? {
        Some(token) => client.with_token(token),
        None => client,
    }))
}

fn tls(globals: &Globals) -> Result<ClientTls, Problem> {
    let certificate = match (&globals.tls_client_cert, &globals.tls_client_key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let detail = "a certificate and its key belong together";
            return Err(
                Problem::new(ProblemKind::BadRequest, detail).next("--tls-client-cert FILE --tls-client-key FILE")
            );
        }
    };
    let files = ClientTlsFiles { authority: globals.tls_ca.clone(), certificate };
    ClientTls::load(&files)
        .map_err(|error| Problem::caused(ProblemKind::BadRequest, &error).next("name the authority by --tls-ca FILE"))
}

/// The token of a file, or else of the environment. An error does not repeat it.
fn token(file: Option<&Path>, variable: Option<Zeroizing<String>>) -> Result<Option<Token>, Problem> {
    let (text, from) = match (file, variable) {
        (Some(path), _) => {
            let bytes = secret_file::read(path).map_err(|error| Problem::caused(ProblemKind::BadRequest, &error))?;
            (Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()), path.display().to_string())
        }
        (None, Some(text)) if !text.trim().is_empty() => (text, TOKEN_ENV.to_owned()),
        (None, Some(_) | None) => return Ok(None),
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().unwrap_or_default();
    let token = line.parse().map_err(|error| {
        let problem = Problem::caused(ProblemKind::BadRequest, &error);
        Problem { detail: format!("{from}: {}", problem.detail), ..problem }
    })?;
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use zeroize::Zeroizing;

    use super::token;
    use crate::api::token::Token;

    #[test]
    fn a_token_is_taken_from_its_file_or_else_from_the_environment_and_never_repeated() {
        let (one, two) = (Token::draw().unwrap(), Token::draw().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, format!("# mine\n{}\n", one.text().as_str())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let variable = || Some(two.text());
        assert_eq!(token(Some(&path), variable()), Ok(Some(one.clone())));
        assert_eq!(token(None, variable()), Ok(Some(two.clone())));
        assert_eq!((token(None, None), token(None, Some(Zeroizing::new(" ".to_owned())))), (Ok(None), Ok(None)));
        let broken = Zeroizing::new(format!("{}0", two.text().as_str()));
        let detail = token(None, Some(broken)).unwrap_err().detail;
        assert!(detail.contains("SUP_TOKEN") && !detail.contains(&two.text()[..20]), "{detail}");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(token(Some(&path), None).unwrap_err().detail.contains("chmod 600"));
    }
}
