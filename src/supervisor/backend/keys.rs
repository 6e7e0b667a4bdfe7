//! Keys of the ring, on all its members: asked one by one, each over a stream that is sealed with a key that both have.
//!
//! Every change is first looked at from all sides: who would be cut off by it is named, and nothing is changed. A change
//! that could not be made everywhere says where not, and is repeated until it is: it does no harm twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::task::JoinSet;

use super::Supervisor;
use crate::api::shape::{KeyInstall, KeyOrder, KeyShown, KeyText, KeysChanged, MemberState, NodeKeys, RingKeys, Scope};
use crate::api::{Problem, ProblemKind};
use crate::base::NodeId;
use crate::census::Liveness;
use crate::net::{Dialer, EnvelopeError, KeyId, KeyStreamError};
use crate::supervisor::keys::{self, KeyAnswer, KeyChange, KeyRequest, KeysError};
use crate::supervisor::settings::Encryption;

/// Nodes that are asked at once.
const ASKED_AT_ONCE: usize = 32;
/// Nodes that a refusal names.
const NAMED: usize = 5;

/// A node of the ring that is not gone for good.
#[derive(Debug, Clone, Copy)]
struct Peer {
    id: NodeId,
    address: SocketAddr,
    liveness: Liveness,
}

pub(super) async fn list(supervisor: &Supervisor) -> Result<RingKeys, Problem> {
    let nodes = ask_all(supervisor, &peers(supervisor).await?, &KeyRequest::List).await?;
    Ok(RingKeys { ring: supervisor.0.keys.gate().ring().clone(), nodes })
}

pub(super) fn show(supervisor: &Supervisor, key: Option<KeyId>) -> Result<KeyShown, Problem> {
    let keys = supervisor.0.keys.gate().keys();
    let Some(id) = key.or(keys.in_use()) else {
        return Err(Problem::new(ProblemKind::UnknownKey, "no key of the ring is in use on this node")
            .next("make one: sup ring key new FILE"));
    };
    keys.key(id).map(|key| KeyShown { id, key: KeyText(key.clone()) }).ok_or_else(|| unknown(id))
}

pub(super) async fn install(supervisor: &Supervisor, request: KeyInstall) -> Result<KeysChanged, Problem> {
    let key = request.key.0;
    let peers = within(supervisor, request.scope).await?;
    // The request itself would carry the key over a network that anybody may listen to.
    if !peers.is_empty() && supervisor.0.keys.gate().keys().in_use().is_none() {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "the ring talks in clear text: a key that is sent to the others could be read on its way",
        )
        .next("on each node: sup ring key install --here FILE; then, on one: sup ring key use ID"));
    }
    let id = key.id();
    make(supervisor, &peers, id, KeyChange::Install(key)).await
}

pub(super) async fn use_it(supervisor: &Supervisor, request: KeyOrder) -> Result<KeysChanged, Problem> {
    let key = request.key;
    if supervisor.0.keys.gate().keys().key(key).is_none() {
        return Err(unknown(key));
    }
    let everybody = peers(supervisor).await?;
    if !request.force {
        let nodes = ask_all(supervisor, &everybody, &KeyRequest::List).await?;
        let lacking = |node: &&NodeKeys| node.problem.is_some() || !node.keys.contains(&key);
        refuse_for(&nodes, lacking, &format!("key {key} cannot be used yet"), "are not known to have it")?;
    }
    let peers = within(supervisor, request.scope).await?;
    let used = make(supervisor, &peers, key, KeyChange::Use(key)).await?;
    // Only once nobody talks in clear text any more, that can be refused.
    let closes = request.scope == Scope::Everywhere && supervisor.0.settings.encryption != Encryption::Optional;
    if used.complete && closes && used.nodes.iter().any(|node| node.takes_clear_text) {
        return make(supervisor, &peers, key, KeyChange::Close).await;
    }
    Ok(used)
}

pub(super) async fn remove(supervisor: &Supervisor, request: KeyOrder) -> Result<KeysChanged, Problem> {
    let key = request.key;
    let everybody = peers(supervisor).await?;
    if !request.force {
        let nodes = ask_all(supervisor, &everybody, &KeyRequest::List).await?;
        let depending = |node: &&NodeKeys| node.problem.is_some() || node.in_use == Some(key);
        refuse_for(&nodes, depending, &format!("key {key} cannot be removed yet"), "may still use it")?;
        if !nodes.iter().any(|node| node.keys.contains(&key)) {
            return Err(unknown(key));
        }
    }
    let peers = within(supervisor, request.scope).await?;
    make(supervisor, &peers, key, KeyChange::Remove(key)).await
}

fn unknown(key: KeyId) -> Problem {
    Problem::new(ProblemKind::UnknownKey, format!("key {key} is not installed on this node"))
        .next("see which there are: sup ring key list")
}

/// Refuses what would cut off the nodes of which this is true.
fn refuse_for(
    nodes: &[NodeKeys],
    would_be: impl Fn(&&NodeKeys) -> bool,
    what: &str,
    because: &str,
) -> Result<(), Problem> {
    let hit: Vec<&NodeKeys> = nodes.iter().filter(would_be).collect();
    if hit.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = hit.iter().take(NAMED).map(|node| named(node)).collect();
    if hit.len() > NAMED {
        named.push(format!("and {} more", hit.len() - NAMED));
    }
    let detail = format!("{what}: {} of {} nodes {because}: {}", hit.len(), nodes.len(), named.join(", "));
    Err(Problem::new(ProblemKind::Conflict, detail)
        .next("see them: sup ring key list; --force does it all the same, and cuts them off"))
}

fn named(node: &NodeKeys) -> String {
    match &node.problem {
        Some(problem) => format!("{} ({problem})", node.address),
        None => node.address.clone(),
    }
}

/// The other nodes of the ring, without those that left.
async fn peers(supervisor: &Supervisor) -> Result<Vec<Peer>, Problem> {
    let peers = supervisor.look(|node| {
        let me = node.identity().id;
        let others = node.census().nodes().filter(|known| known.id != me && known.liveness != Liveness::Left);
        others.map(|known| Peer { id: known.id, address: known.address, liveness: known.liveness }).collect()
    });
    peers.await
}

/// Those that a change is meant for, besides this node.
async fn within(supervisor: &Supervisor, scope: Scope) -> Result<Vec<Peer>, Problem> {
    match scope {
        Scope::Here => Ok(Vec::new()),
        Scope::Everywhere => peers(supervisor).await,
    }
}

/// Makes a change on these nodes, and on this one: last, so that it can still talk to them as before.
async fn make(supervisor: &Supervisor, peers: &[Peer], key: KeyId, change: KeyChange) -> Result<KeysChanged, Problem> {
    let mut nodes = ask_all(supervisor, peers, &KeyRequest::from(&change)).await?;
    let here = supervisor.0.keys.change(change).await.map_err(|error| problem(&error))?;
    if let Some(first) = nodes.first_mut() {
        let me = Peer {
            id: first.node_id,
            address: supervisor.look(|node| node.identity().address).await?,
            liveness: Liveness::Alive,
        };
        *first = shape(me, Ok(here));
    }
    let complete = nodes.iter().all(|node| node.problem.is_none());
    Ok(KeysChanged { key, complete, nodes })
}

fn problem(error: &KeysError) -> Problem {
    match error {
        KeysError::Set(_) => Problem::caused(ProblemKind::Conflict, error).next("see them: sup ring key list"),
        KeysError::File(_) => Problem::caused(ProblemKind::StoreUnavailable, error)
            .next("see to the disk of the data directory, and repeat the command"),
        KeysError::Configured(_) | KeysError::NoKey | KeysError::Random(_) => {
            Problem::caused(ProblemKind::Internal, error)
        }
    }
}

/// How this node stands, and what the others say when they are asked this.
async fn ask_all(supervisor: &Supervisor, peers: &[Peer], request: &KeyRequest) -> Result<Vec<NodeKeys>, Problem> {
    let mut waiting = peers.iter().copied();
    let mut asked = JoinSet::new();
    let mut answers = BTreeMap::new();
    loop {
        while asked.len() < ASKED_AT_ONCE
            && let Some(peer) = waiting.next()
        {
            asked.spawn(ask(supervisor.clone(), peer, request.clone()));
        }
        match asked.join_next().await {
            Some(Ok(node)) => _ = answers.insert(node.node_id, node),
            // It panicked, which is told elsewhere: the node has not answered.
            Some(Err(_)) => {}
            None => break,
        }
    }
    let me = supervisor.look(crate::node::Node::identity).await?;
    let here = Peer { id: me.id, address: me.address, liveness: Liveness::Alive };
    let others = peers.iter().map(|peer| {
        answers.remove(&peer.id).unwrap_or_else(|| shape(*peer, Err("it was not asked to the end".to_owned())))
    });
    Ok(std::iter::once(shape(here, Ok(supervisor.0.keys.standing()))).chain(others).collect())
}

async fn ask(supervisor: Supervisor, peer: Peer, request: KeyRequest) -> NodeKeys {
    if peer.liveness == Liveness::Down {
        return shape(peer, Err("it is down".to_owned()));
    }
    let keys = supervisor.0.keys.gate().keys();
    let in_use = keys.in_use();
    // A new key first where it is to be used: that it answers shows that it has it.
    let first = match request {
        KeyRequest::Use(key) => Some(key),
        KeyRequest::List | KeyRequest::Install(_) | KeyRequest::Close | KeyRequest::Remove(_) => in_use,
    };
    let others = keys.installed().filter(|key| Some(*key) != first);
    let mut why = "no key of the ring is installed here".to_owned();
    for key in first.into_iter().chain(others) {
        match ask_with(&supervisor.0.dialer, peer.address, key, &request).await {
            Ok(answer) if answer.node == peer.id => return shape(peer, Ok(answer)),
            Ok(_) => why = "another node answers at its address".to_owned(),
            Err(KeyStreamError::Refused(EnvelopeError::Key(key))) => why = format!("it does not have key {key}"),
            Err(error) => {
                why = error.to_string();
                break;
            }
        }
    }
    shape(peer, Err(why))
}

async fn ask_with(
    dialer: &Dialer,
    to: SocketAddr,
    key: KeyId,
    request: &KeyRequest,
) -> Result<KeyAnswer, KeyStreamError> {
    let request = keys::encode(request).ok_or(KeyStreamError::Refused(EnvelopeError::Malformed))?;
    let answer = dialer.ask_keys(to, key, &request).await?;
    keys::decode(&answer).ok_or(KeyStreamError::Refused(EnvelopeError::Malformed))
}

fn shape(peer: Peer, answer: Result<KeyAnswer, String>) -> NodeKeys {
    let Peer { id, address, liveness } = peer;
    let (node_id, address, state) = (id, address.to_string(), MemberState::from(liveness));
    match answer {
        Ok(KeyAnswer { installed: keys, in_use, takes_clear_text, problem, .. }) => {
            NodeKeys { node_id, address, state, keys, in_use, takes_clear_text, problem }
        }
        Err(why) => NodeKeys {
            node_id,
            address,
            state,
            keys: Vec::new(),
            in_use: None,
            takes_clear_text: false,
            problem: Some(why),
        },
    }
}
