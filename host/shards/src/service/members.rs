//! The shards and nodes of a cluster: they come and go, and the others are told.

use std::collections::HashSet;

use portolan_consensus::documents::{encode, until_settled};
use portolan_consensus::{Space, Txn};

use super::{NewNodes, Push, Shards};
use crate::error::ShardsError;
use crate::keys;
use crate::model::{Cluster, Node, Role};
use crate::names::NodeId;

impl Shards {
    /// Adds a shard without slots.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is stored then.
    pub async fn create_shard(
        &self,
        namespace: &str,
        name: &str,
        nodes: NewNodes,
    ) -> Result<Push, ShardsError> {
        self.find(namespace, name).await?;
        let nodes = self.new_nodes(&nodes).await?;
        self.change(namespace, name, |cluster| cluster.add_shard(nodes.clone()))
            .await
    }

    /// Takes out a shard that serves no slots; its nodes forget the cluster.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is stored then.
    pub async fn delete_shard(
        &self,
        namespace: &str,
        name: &str,
        index: usize,
    ) -> Result<Push, ShardsError> {
        let (in_namespace, called, cluster) = self.find(namespace, name).await?;
        let id = cluster.document.shard(index)?.id;
        let (_, queue) = self.queue(&in_namespace, &called).await?;
        if let Some(job) = queue.towards(id) {
            return Err(ShardsError::Conflict(format!(
                "migration {} brings the slots {} to shard {index}: wait for it or cancel it",
                job.id, job.slots
            )));
        }
        // By its id: its place may have shifted meanwhile.
        self.change(namespace, name, |cluster| match cluster.index_of(id) {
            Some(index) => cluster.remove_shard(index).map(drop),
            None => Err(ShardsError::NotFound(format!("shard {index}"))),
        })
        .await
    }

    /// Adds a node to a shard.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is stored then.
    pub async fn create_node(
        &self,
        namespace: &str,
        name: &str,
        index: usize,
        node: NewNodes,
        role: Role,
    ) -> Result<Push, ShardsError> {
        self.find(namespace, name).await?.2.document.shard(index)?;
        let mut nodes = self.new_nodes(&node).await?;
        let node = nodes
            .pop()
            .ok_or_else(|| ShardsError::invalid("addr", "name the node's address"))?;
        self.change(namespace, name, |cluster| {
            cluster.add_node(index, node.clone(), role)
        })
        .await
    }

    /// Takes a replica out of a shard; it forgets the cluster.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is stored then.
    pub async fn delete_node(
        &self,
        namespace: &str,
        name: &str,
        index: usize,
        id: &str,
    ) -> Result<Push, ShardsError> {
        let id: NodeId = id.parse().map_err(ShardsError::bad_name("node id"))?;
        self.change(namespace, name, |cluster| {
            cluster.remove_node(index, &id).map(drop)
        })
        .await
    }

    /// Changes a cluster, its addresses with it, and tells its nodes.
    async fn change(
        &self,
        namespace: &str,
        name: &str,
        change: impl Fn(&mut Cluster) -> Result<(), ShardsError> + Send + Sync,
    ) -> Result<Push, ShardsError> {
        let change = &change;
        let (before, after) = until_settled(|| async move {
            let (namespace, name, stored) = self.find(namespace, name).await?;
            let before = stored.document;
            let mut after = before.clone();
            change(&mut after)?;
            let key = keys::cluster(&namespace, &name);
            let mut txn = Txn::new()
                .guard(Space::Shards, key.as_str(), stored.modified)
                .put(Space::Shards, key, encode(&after));
            for node in gone(&after, &before) {
                txn = self.take(txn, &namespace, &name, &node.addr).await?;
            }
            for node in gone(&before, &after) {
                txn = txn.delete(Space::Shards, keys::address(&node.addr));
            }
            self.documents.commit(txn).await?;
            Ok::<_, ShardsError>((before, after))
        })
        .await?;
        let mut push = self.push_to_all(&after, false).await;
        push.failed.extend(self.forget(gone(&before, &after)).await);
        Ok(push)
    }
}

/// The nodes of `before` that `after` does not have.
fn gone<'a>(before: &'a Cluster, after: &Cluster) -> Vec<&'a Node> {
    let stays: HashSet<&NodeId> = after.nodes().map(|(_, node)| &node.id).collect();
    let nodes = before.nodes().map(|(_, node)| node);
    nodes.filter(|node| !stays.contains(&node.id)).collect()
}
