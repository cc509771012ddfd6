//! Clusters, shards and nodes as the contract shows them: its fields and those of today's reference.

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::engine::{NodeError, Probe, Standing};
use crate::error::ShardsError;
use crate::migration::Job;
use crate::model::{Cluster, EngineKind, Node, Role, Shard, Traits};
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
    /// The shard to which slots are migrated from here; -1 for none.
    pub target_shard_index: i64,
    /// What is migrated away.
    pub migrating_slot: MovingSlots,
    /// What is migrated here.
    pub import_slot: MovingSlots,
    /// Stays the same when shards before it go.
    pub id: u64,
    /// What the operator says of it.
    #[serde(flatten)]
    pub traits: Traits,
}

/// Slots on their way: -1 for none, a number for one, text for a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovingSlots(pub Option<SlotRange>);

impl Serialize for MovingSlots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_i64(-1),
            Some(slots) if slots.count() == 1 => serializer.serialize_i64(slots.first().into()),
            Some(slots) => slots.serialize(serializer),
        }
    }
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
    /// Whether it may keep writes that its master does not have; then it never becomes the master.
    pub needs_resync: bool,
    /// How it is at the moment, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
}

/// How a node is at the moment, as the member that was asked sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum NodeStatus {
    /// It answers.
    Up {
        /// What it says that it does.
        role: Role,
        /// The version of its topology, where its server has one.
        version: Option<u64>,
        /// How far its data goes.
        sequence: u64,
    },
    /// It reads its data from disk.
    Loading,
    /// It does not answer, or not as it should.
    Down {
        /// What is wrong.
        reason: String,
    },
}

impl NodeStatus {
    pub(crate) fn of(seen: Result<Probe, NodeError>) -> Self {
        match seen {
            Ok(probe) => Self::Up {
                role: probe.role,
                version: match probe.standing {
                    Standing::At(version) => Some(version),
                    Standing::Outside | Standing::Gossip => None,
                },
                sequence: probe.sequence,
            },
            Err(NodeError::Loading) => Self::Loading,
            Err(error) => Self::Down {
                reason: error.to_string(),
            },
        }
    }
}

/// Shows with passwords (some) or without.
pub(crate) type Reveal<'a> = Option<&'a Secrets>;

impl ClusterView {
    /// `moving` is the migration under way.
    pub(crate) fn of(
        name: &str,
        cluster: &Cluster,
        moving: Option<&Job>,
        reveal: Reveal,
    ) -> Result<Self, ShardsError> {
        let shards = cluster.shards.iter();
        let mut view = Self {
            name: name.to_owned(),
            version: cluster.version,
            engine: cluster.engine,
            shards: shards
                .map(|shard| ShardView::of(shard, reveal))
                .collect::<Result<_, _>>()?,
        };
        if let Some(job) = moving
            && let (Some(from), Some(to)) = (cluster.owner(job.slots), cluster.index_of(job.target))
        {
            let slots = MovingSlots(Some(job.slots));
            view.shards[from].migrating_slot = slots;
            view.shards[from].target_shard_index = i64::try_from(to).unwrap_or(-1);
            view.shards[to].import_slot = slots;
        }
        Ok(view)
    }
}

impl ShardView {
    fn of(shard: &Shard, reveal: Reveal) -> Result<Self, ShardsError> {
        let nodes = shard.nodes.iter();
        Ok(Self {
            nodes: nodes
                .map(|node| NodeView::of(node, reveal))
                .collect::<Result<_, _>>()?,
            slot_ranges: (!shard.slots.is_empty()).then(|| shard.slots.ranges().to_vec()),
            target_shard_index: -1,
            migrating_slot: MovingSlots(None),
            import_slot: MovingSlots(None),
            id: shard.id,
            traits: shard.traits.clone(),
        })
    }
}

impl NodeView {
    fn of(node: &Node, reveal: Reveal) -> Result<Self, ShardsError> {
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
            needs_resync: node.needs_resync,
            status: None,
        })
    }
}
