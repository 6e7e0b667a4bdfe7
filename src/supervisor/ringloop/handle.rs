//! How the rest of the supervisor asks the loop.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::board::{Board, Subscribed};
use super::driver::Mail;
use crate::base::GroupId;
use crate::census::GroupView;
use crate::node::{Command, CommandError, Done, Node};
use crate::supervisor::settings::Peer;

/// What the loop is asked.
pub(super) enum Ask {
    /// Carry this out, and answer once it is durable.
    Execute { command: Box<Command>, reply: oneshot::Sender<Result<Done, AskError>> },
    /// Look at the node.
    Look(Box<dyn FnOnce(&Node) + Send>),
    /// Join these, and look their names up again whenever the node is alone.
    Join(Vec<Peer>),
    /// End.
    Stop,
}

/// What was asked was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::supervisor) enum AskError {
    /// The node refused. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// It was done, and the others may have heard of it, but it is not on this node's disk.
    #[error("it could not be written to this node's disk, and may be forgotten")]
    NotDurable,
    /// The loop has ended.
    #[error("the supervisor is shutting down")]
    Ended,
}

/// Asks the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct RingHandle {
    asks: mpsc::Sender<Ask>,
    mail: mpsc::UnboundedSender<Mail>,
    board: Arc<Board>,
}

impl RingHandle {
    pub(super) const fn new(asks: mpsc::Sender<Ask>, mail: mpsc::UnboundedSender<Mail>, board: Arc<Board>) -> Self {
        Self { asks, mail, board }
    }

    /// What the loop shows.
    pub(in crate::supervisor) fn board(&self) -> &Board {
        &self.board
    }

    /// Has a command carried out, and waits until it is durable if it is to be.
    pub(in crate::supervisor) async fn execute(&self, command: Command) -> Result<Done, AskError> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Execute { command: Box::new(command), reply };
        self.asks.send(ask).await.map_err(|_| AskError::Ended)?;
        answer.await.map_err(|_| AskError::Ended)?
    }

    /// Looks at the node. `look` runs on the loop: it copies what it needs, and waits for nothing.
    pub(in crate::supervisor) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, AskError> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |node: &Node| {
            // Who asked may have gone meanwhile.
            reply.send(look(node)).ok();
        });
        self.asks.send(Ask::Look(look)).await.map_err(|_| AskError::Ended)?;
        answer.await.map_err(|_| AskError::Ended)
    }

    /// A view that follows the changes of a group.
    pub(in crate::supervisor) fn subscribe(&self, group: &GroupId) -> watch::Receiver<Arc<GroupView>> {
        let (view, subscribed) = self.board.subscribe(group);
        match subscribed {
            // A loop that has ended changes nothing any more: the view stays as it is.
            Subscribed::First => drop(self.mail.send(Mail::Watch(group.clone()))),
            Subscribed::Again => {}
        }
        view
    }

    /// Joins more peers.
    pub(in crate::supervisor) async fn join(&self, peers: Vec<Peer>) -> Result<(), AskError> {
        self.asks.send(Ask::Join(peers)).await.map_err(|_| AskError::Ended)
    }

    /// Ends the loop, without a farewell to anybody.
    pub(in crate::supervisor) async fn stop(&self) {
        // One that has ended needs no telling.
        self.asks.send(Ask::Stop).await.ok();
    }
}
