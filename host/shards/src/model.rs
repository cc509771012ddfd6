//! A cluster and what can be done to it: documents and pure functions, no input or output.

mod changes;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;

use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

use crate::error::ShardsError;
use crate::names::{Name, NodeAddr, NodeId};
use crate::options::ClusterSettings;
use crate::plans::Automatic;
use crate::slots::{SLOTS, SlotRange, SlotSet};

/// Which servers a cluster is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Apache Kvrocks: the topology is pushed to its nodes (`CLUSTERX SETNODES`).
    Kvrocks,
    /// Redis and Valkey in cluster mode: the nodes agree on the topology among themselves.
    #[serde(alias = "valkey")]
    Redis,
}

impl EngineKind {
    /// Whether a master and its replica hand over between themselves, without losing a write.
    pub(crate) fn hands_over(self) -> bool {
        self == Self::Redis
    }

    /// Whether a migration that is under way can be stopped.
    pub(crate) fn can_stop_migrations(self) -> bool {
        self == Self::Redis
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvrocks => "kvrocks",
            Self::Redis => "redis",
        })
    }
}

/// What a node does in its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes writes; one per shard.
    Master,
    /// Follows the master.
    Slave,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id in the cluster.
    pub id: NodeId,
    /// Where it is reached.
    pub addr: NodeAddr,
    /// What it does.
    pub role: Role,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Its password, sealed with the cluster key, in base64; none where it takes no password.
    pub(crate) sealed_password: Option<String>,
    /// Whether it was a master whose last writes the present master does not have, and may keep them.
    #[serde(default)]
    pub needs_resync: bool,
    /// Whether it was seen to have all that its master had, since it last became a replica.
    #[serde(default)]
    pub(crate) has_synced: bool,
}

/// What an operator says of a shard, for policies to heed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traits {
    /// Its share among the shards; 100 for an ordinary one.
    pub weight: u32,
    /// Where it stands.
    pub zone: Option<String>,
    /// Anything else.
    pub labels: BTreeMap<String, String>,
    /// Whether it is to be emptied.
    pub draining: bool,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            weight: 100,
            zone: None,
            labels: BTreeMap::new(),
            draining: false,
        }
    }
}

/// A master with its replicas, and the slots that they serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Stays the same when shards before it go.
    pub id: u64,
    /// In the order in which they were added.
    pub nodes: Vec<Node>,
    /// The slots.
    pub slots: SlotSet,
    /// What the operator says of it.
    #[serde(default)]
    pub traits: Traits,
    /// Whether the master was appointed and has not been seen as a master since.
    #[serde(default)]
    pub(crate) is_switching: bool,
    /// How far the present master's data went when it took over. A former master whose data goes further
    /// has writes that the present one does not have.
    #[serde(default)]
    pub(crate) forked_at: Option<u64>,
}

impl Shard {
    /// The node that takes writes.
    pub fn master(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.role == Role::Master)
    }
}

/// A cluster's desired topology.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Grows with each change that the nodes must hear of.
    pub version: u64,
    /// What its nodes are.
    pub engine: EngineKind,
    /// Addressed by their place in this list.
    pub shards: Vec<Shard>,
    /// The id of the next shard.
    pub(crate) next_shard: u64,
    /// The nodes that were taken out last: those that stayed may have to be told to forget them.
    #[serde(default)]
    pub(crate) removed: VecDeque<NodeId>,
    /// Nodes that were taken out and have not been told yet.
    #[serde(default)]
    pub(crate) leaving: Vec<Node>,
    /// What it has different from the daemon's options.
    #[serde(default)]
    pub settings: ClusterSettings,
    /// How it is balanced by itself; none where it is not.
    #[serde(default)]
    pub automatic: Option<Automatic>,
}

impl Document for Cluster {}

/// A namespace, which holds clusters. It lists them, so that no cluster appears in one that is being
/// deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Namespace {
    pub(crate) clusters: BTreeSet<Name>,
}

impl Document for Namespace {}

/// Which cluster a node's address belongs to: an address is in one cluster at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressOwner {
    pub(crate) namespace: Name,
    pub(crate) cluster: Name,
}

impl Document for AddressOwner {}

/// A node that is to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewNode {
    pub(crate) id: NodeId,
    pub(crate) addr: NodeAddr,
    pub(crate) sealed_password: Option<String>,
    pub(crate) created_at: u64,
}

impl NewNode {
    fn with_role(self, role: Role) -> Node {
        Node {
            id: self.id,
            addr: self.addr,
            role,
            created_at: self.created_at,
            sealed_password: self.sealed_password,
            needs_resync: false,
            has_synced: false,
        }
    }
}

impl Cluster {
    /// The place of the shard with this id.
    pub(crate) fn index_of(&self, id: u64) -> Option<usize> {
        self.shards.iter().position(|shard| shard.id == id)
    }

    /// Which of the slots that are to go to a shard it does not serve yet.
    pub(crate) fn still_to_go(&self, slots: SlotRange, to: usize) -> SlotSet {
        SlotSet::from(slots).without(&self.shards[to].slots)
    }

    /// The place of the shard that serves all of these slots.
    pub(crate) fn owner(&self, slots: SlotRange) -> Option<usize> {
        let mut shards = self.shards.iter();
        shards.position(|shard| shard.slots.contains(slots))
    }

    /// All nodes, with the index of their shard.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.shards
            .iter()
            .enumerate()
            .flat_map(|(index, shard)| shard.nodes.iter().map(move |node| (index, node)))
    }

    pub(crate) fn shard(&self, index: usize) -> Result<&Shard, ShardsError> {
        self.shards
            .get(index)
            .ok_or_else(|| no_shard(index, self.shards.len()))
    }

    pub(crate) fn shard_mut(&mut self, index: usize) -> Result<&mut Shard, ShardsError> {
        let count = self.shards.len();
        self.shards
            .get_mut(index)
            .ok_or_else(|| no_shard(index, count))
    }

    /// What must hold whatever was done: every slot has one owner, every shard one master, and no id or
    /// address stands twice.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Result<(), String> {
        let mut served = SlotSet::default();
        let (mut ids, mut addrs) = (HashSet::new(), HashSet::new());
        for (index, shard) in self.shards.iter().enumerate() {
            for range in shard.slots.ranges() {
                if served.overlaps(*range) {
                    return Err(format!(
                        "slots {range} of shard {index} have another owner too"
                    ));
                }
                served.insert(*range);
            }
            let masters = shard.nodes.iter().filter(|node| node.role == Role::Master);
            match masters.count() {
                1 => {}
                count => return Err(format!("shard {index} has {count} masters")),
            }
        }
        for (_, node) in self.nodes() {
            if !ids.insert(&node.id) {
                return Err(format!("the id {} stands twice", node.id));
            }
            if !addrs.insert(&node.addr) {
                return Err(format!("the address {} stands twice", node.addr));
            }
        }
        if served == SlotSet::all() {
            Ok(())
        } else {
            Err(format!("{} slots have no owner", SLOTS - served.count()))
        }
    }
}

/// The error for a place where there is no shard.
pub(crate) fn no_shard(index: usize, count: usize) -> ShardsError {
    ShardsError::NotFound(format!(
        "shard {index}; the cluster has the shards 0 to {}",
        count.saturating_sub(1)
    ))
}

/// For tests.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// A node on a port of 127.0.0.1.
    pub(crate) fn new(port: usize) -> NewNode {
        NewNode {
            id: NodeId::random(),
            addr: format!("127.0.0.1:{port}").parse().unwrap(),
            sealed_password: None,
            created_at: 0,
        }
    }

    /// A cluster of nodes on the ports from 1 on.
    pub(crate) fn cluster(shards: usize, per_shard: usize) -> Cluster {
        let nodes = (1..=shards * per_shard).map(new).collect();
        Cluster::lay_out(EngineKind::Kvrocks, nodes, per_shard).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::samples::cluster;
    use super::*;

    #[test]
    fn a_check_sees_what_must_not_be() {
        let broken = |change: fn(&mut Cluster, Vec<Node>)| {
            let mut cluster = cluster(2, 2);
            let nodes = cluster.nodes().map(|(_, node)| node.clone()).collect();
            change(&mut cluster, nodes);
            cluster.check().unwrap_err()
        };
        let upper = "8192-16383".parse().unwrap();
        let without: fn(&mut Cluster, Vec<Node>) = |c, _| c.shards[1].slots = SlotSet::default();
        assert!(broken(without).contains("8192 slots have no owner"));
        assert!(broken(|c, _| c.shards[0].slots = SlotSet::all()).contains("another owner"));
        assert!(broken(|c, _| c.shards[0].nodes[0].role = Role::Slave).contains("0 masters"));
        assert!(broken(|c, _| c.shards[0].nodes[1].role = Role::Master).contains("2 masters"));
        assert!(broken(|c, n| c.shards[0].nodes[1].id = n[0].id.clone()).contains("twice"));
        assert!(broken(|c, n| c.shards[0].nodes[1].addr = n[3].addr.clone()).contains("twice"));
        assert!(cluster(2, 1).shards[1].slots.contains(upper));
    }
}
