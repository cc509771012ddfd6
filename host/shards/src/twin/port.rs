//! The twin as an engine.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::Twin;
use super::world::World;
use crate::engine::{
    Access, Engine, Fitness, Migration, NodeError, Probe, Pushed, Started, Statistics, Stopped,
    Topology, Transfer,
};
use crate::names::NodeId;
use crate::slots::SlotSet;

impl Twin {
    /// Does something at a node, as soon as it answers.
    async fn at<T>(
        &self,
        node: &Access,
        act: impl FnOnce(&mut World) -> Result<T, NodeError>,
    ) -> Result<T, NodeError> {
        {
            let mut world = self.world.lock();
            if world.asked(node)?.is_some() {
                return act(&mut world);
            }
        }
        let give_up = Instant::now() + self.patience;
        loop {
            // Before the look: no release is missed.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            {
                let mut world = self.world.lock();
                if world.asked(node)?.is_some() {
                    return act(&mut world);
                }
            }
            if timeout_at(give_up, released).await.is_err() {
                return Err(NodeError::Unreachable("no answer in time".into()));
            }
        }
    }
}

#[async_trait]
impl Engine for Twin {
    async fn inspect(&self, node: &Access) -> Result<Fitness, NodeError> {
        self.at(node, |world| {
            let node = world.nodes.get(&node.addr).ok_or_else(gone)?;
            Ok(Fitness {
                id: None,
                in_cluster: node.membership.is_some(),
                is_empty: node.data.is_empty(),
            })
        })
        .await
    }

    async fn probe(&self, node: &Access) -> Result<Probe, NodeError> {
        self.at(node, |world| {
            world.catch_up(&node.addr);
            Ok(world.nodes.get(&node.addr).ok_or_else(gone)?.probe())
        })
        .await
    }

    async fn topology(&self, node: &Access) -> Result<Option<Topology>, NodeError> {
        self.at(node, |world| {
            let node = world.nodes.get(&node.addr).ok_or_else(gone)?;
            Ok(node.membership.as_ref().map(|membership| Topology {
                version: membership.topology.version,
                members: membership.topology.members.clone(),
                removed: vec![],
                in_motion: SlotSet::default(),
                appointed: vec![],
            }))
        })
        .await
    }

    async fn compares_histories(&self, node: &Access) -> Result<bool, NodeError> {
        self.at(node, |_| Ok(true)).await
    }

    async fn push(
        &self,
        node: &Access,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        self.at(node, |world| world.push(&node.addr, id, topology, force))
            .await
    }

    async fn migrate(&self, transfer: &Transfer) -> Result<Started, NodeError> {
        self.at(&transfer.source, |world| world.migrate(transfer))
            .await
    }

    async fn carry_on(&self, transfer: &Transfer) -> Result<Option<Migration>, NodeError> {
        let source = &transfer.source;
        self.at(source, |world| Ok(world.carry_on(&source.addr)))
            .await
    }

    async fn stop(&self, transfer: &Transfer) -> Result<Stopped, NodeError> {
        self.at(&transfer.source, |world| Ok(world.stop(transfer)))
            .await
    }

    async fn statistics(&self, node: &Access, slots: &SlotSet) -> Result<Statistics, NodeError> {
        self.at(node, |world| {
            world.catch_up(&node.addr);
            let node = world.nodes.get(&node.addr).ok_or_else(gone)?;
            Ok(Statistics {
                keys: Some(node.data.of(slots).len() as u64),
                ..Statistics::default()
            })
        })
        .await
    }

    async fn pause(&self, node: &Access, time: Duration) -> Result<(), NodeError> {
        self.at(node, |world| {
            let node = world.node_mut(&node.addr).ok_or_else(gone)?;
            node.run.paused_until = Some(Instant::now() + time);
            Ok(())
        })
        .await
    }

    async fn resume(&self, node: &Access) -> Result<(), NodeError> {
        self.at(node, |world| {
            world
                .node_mut(&node.addr)
                .ok_or_else(gone)?
                .run
                .paused_until = None;
            Ok(())
        })
        .await
    }

    async fn reset(&self, node: &Access) -> Result<(), NodeError> {
        self.at(node, |world| {
            world.deliver_from(&node.addr);
            world.node_mut(&node.addr).ok_or_else(gone)?.reset();
            Ok(())
        })
        .await
    }
}

/// Nodes are never taken out of the network.
fn gone() -> NodeError {
    NodeError::Unreachable("no route to host".into())
}
