//! Names to addresses.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::supervisor::settings::Peer;

/// How long a look-up may take. The resolver goes on in its thread; its answer is not waited for.
const LOOKUP: Duration = Duration::from_secs(5);

/// What looking up peers gave.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// The addresses of those that resolved.
    pub addresses: BTreeSet<SocketAddr>,
    /// Those that did not, and why.
    pub failed: Vec<(Peer, String)>,
}

/// Looks up all peers at once. The system's resolver blocks, so it has a thread of its own.
pub(super) async fn resolve(peers: Vec<Peer>) -> Resolved {
    let mut lookups = JoinSet::new();
    for peer in peers {
        lookups.spawn(async move {
            let found = match timeout(LOOKUP, lookup_host((peer.host.as_str(), peer.port))).await {
                Ok(Ok(addresses)) => Ok(addresses.collect::<Vec<_>>()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} s", LOOKUP.as_secs())),
            };
            (peer, found)
        });
    }
    let mut resolved = Resolved::default();
    for (peer, found) in lookups.join_all().await {
        match found {
            Ok(addresses) => resolved.addresses.extend(addresses),
            Err(why) => resolved.failed.push((peer, why)),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[tokio::test]
    async fn a_name_that_does_not_resolve_does_not_keep_the_others_from_it() {
        let peers = ["127.0.0.1:1", "no-such-host.invalid", "[::1]:2"].map(|text| text.parse().unwrap());
        let resolved = resolve(peers.to_vec()).await;
        let shown: Vec<_> = resolved.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:1", "[::1]:2"]);
        let [(peer, why)] = resolved.failed.as_slice() else { panic!("{:?}", resolved.failed) };
        assert_eq!(peer.host, "no-such-host.invalid");
        assert!(!why.is_empty());
    }
}
