//! Reading and writing as a cluster's clients do.

use tokio::time::Instant;

use super::Twin;
use super::node::{Mood, Node};
use super::slot::hash_slot;
use crate::model::Role;
use crate::names::NodeAddr;
use crate::slots::SlotRange;

/// How often a client is sent on before it gives up.
const HOPS: usize = 5;

/// Why a client did not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The node does not run, loads its data, or does not answer.
    #[error("no answer")]
    NoAnswer,
    /// The node is in no cluster, or nobody serves the slot.
    #[error("CLUSTERDOWN Hash slot not served")]
    NotServed,
    /// Another node serves the slot, as this one thinks.
    #[error("MOVED {0}")]
    Moved(NodeAddr),
    /// Writes are held back for a while.
    #[error("writes are paused")]
    Paused,
    /// The slot's keys are at another node, and no topology says that it serves it.
    #[error("TRYAGAIN Can't write to slot being migrated which is in write forbidden phase")]
    TryAgain,
}

impl Twin {
    /// Writes at this node.
    ///
    /// # Errors
    /// [`ClientError`]; the write was not made then.
    pub fn write(&self, node: &NodeAddr, key: &str, value: &str) -> Result<(), ClientError> {
        let mut world = self.world.lock();
        let node = world.node_mut(node).ok_or(ClientError::NoAnswer)?;
        let slot = serving(node, key)?;
        if node
            .run
            .paused_until
            .is_some_and(|until| Instant::now() < until)
        {
            return Err(ClientError::Paused);
        }
        let is_closed = node.run.closed.is_some_and(|closed| closed.overlaps(slot));
        if is_closed {
            return Err(ClientError::TryAgain);
        }
        node.data.put(key, value);
        Ok(())
    }

    /// Reads at this node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn read(&self, node: &NodeAddr, key: &str) -> Result<Option<String>, ClientError> {
        let mut world = self.world.lock();
        let node = world.node_mut(node).ok_or(ClientError::NoAnswer)?;
        serving(node, key)?;
        Ok(node.data.get(key).cloned())
    }

    /// Writes as a client that knows this node, and goes where it is sent. Answers the node that has
    /// acknowledged the write.
    ///
    /// # Errors
    /// [`ClientError`]; the write was not made then.
    pub fn set(&self, seed: &NodeAddr, key: &str, value: &str) -> Result<NodeAddr, ClientError> {
        follow(seed, |node| self.write(node, key, value)).map(|(node, ())| node)
    }

    /// Reads as a client that knows this node, and goes where it is sent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get(&self, seed: &NodeAddr, key: &str) -> Result<Option<String>, ClientError> {
        follow(seed, |node| self.read(node, key)).map(|(_, value)| value)
    }
}

fn follow<T>(
    seed: &NodeAddr,
    ask: impl Fn(&NodeAddr) -> Result<T, ClientError>,
) -> Result<(NodeAddr, T), ClientError> {
    let mut node = seed.clone();
    for _ in 0..HOPS {
        match ask(&node) {
            Err(ClientError::Moved(to)) => node = to,
            Err(error) => return Err(error),
            Ok(answer) => return Ok((node, answer)),
        }
    }
    Err(ClientError::Moved(node))
}

/// The key's slot, if this node serves it as it thinks.
fn serving(node: &Node, key: &str) -> Result<SlotRange, ClientError> {
    if node.mood != Mood::Up {
        return Err(ClientError::NoAnswer);
    }
    let membership = node.membership.as_ref().ok_or(ClientError::NotServed)?;
    let slot = SlotRange::single(hash_slot(key)).ok_or(ClientError::NotServed)?;
    if let Some((_, to)) = node.run.sent.iter().find(|(sent, _)| sent.overlaps(slot)) {
        return Err(ClientError::Moved(to.clone()));
    }
    let has_it = membership.me().slots.contains(slot) || node.run.received.contains(slot);
    if has_it && node.role() == Role::Master {
        return Ok(slot);
    }
    match membership.owner(slot) {
        Some(owner) => Err(ClientError::Moved(owner.addr.clone())),
        None => Err(ClientError::NotServed),
    }
}
