//! Clusters, shards and nodes as the contract shows them: its fields and those of today's reference.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::ShardsError;
use crate::model::{Cluster, EngineKind, Node, Role, Shard};
use crate::names::{NodeAddr, NodeId};
use crate::secrets::Secrets;
use crate::slots::SlotRange;

/// A cluster.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterView {
    /// Its name.
    pub name: String,
    /// The version of its topology.
    pub version: u64,
    /// What its nodes are.
    pub engine: EngineKind,
    /// Addressed by their place in this list.
    pub shards: Vec<ShardView>,
}

/// A shard.
#[derive(Debug, Clone, Serialize)]
pub struct ShardView {
    /// In the order in which they were added.
    pub nodes: Vec<NodeView>,
    /// The slots; null where it serves none.
    pub slot_ranges: Option<Vec<SlotRange>>,
    /// The shard to which a slot is migrated; -1 for none.
    pub target_shard_index: i32,
    /// The slot that is migrated away; -1 for none.
    pub migrating_slot: i32,
    /// The slot that is migrated here; -1 for none.
    pub import_slot: i32,
}

/// A node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Where it is reached.
    pub addr: NodeAddr,
    /// What it does.
    pub role: Role,
    /// Its password; empty unless it was asked for.
    pub password: Zeroizing<String>,
    /// The password towards its master, which is the same.
    pub master_auth: Zeroizing<String>,
    /// Seconds since 1970.
    pub created_at: u64,
}

/// Shows with passwords (some) or without.
pub(crate) type Reveal<'a> = Option<&'a Secrets>;

impl ClusterView {
    pub(crate) fn of(name: &str, cluster: &Cluster, reveal: Reveal) -> Result<Self, ShardsError> {
        let shards = cluster.shards.iter();
        Ok(Self {
            name: name.to_owned(),
            version: cluster.version,
            engine: cluster.engine,
            shards: shards
                .map(|shard| ShardView::of(shard, reveal))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ShardView {
    pub(crate) fn of(shard: &Shard, reveal: Reveal) -> Result<Self, ShardsError> {
        let nodes = shard.nodes.iter();
        Ok(Self {
            nodes: nodes
                .map(|node| NodeView::of(node, reveal))
                .collect::<Result<_, _>>()?,
            slot_ranges: (!shard.slots.is_empty()).then(|| shard.slots.ranges().to_vec()),
            target_shard_index: -1,
            migrating_slot: -1,
            import_slot: -1,
        })
    }
}

impl NodeView {
    pub(crate) fn of(node: &Node, reveal: Reveal) -> Result<Self, ShardsError> {
        let password = match reveal {
            Some(secrets) => secrets.open(node)?.unwrap_or_default(),
            None => Zeroizing::default(),
        };
        Ok(Self {
            id: node.id.clone(),
            addr: node.addr.clone(),
            role: node.role,
            master_auth: password.clone(),
            password,
            created_at: node.created_at,
        })
    }
}
