//! A cluster and what can be done to it: documents and pure functions, no input or output.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;

use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

use crate::error::ShardsError;
use crate::names::{Name, NodeAddr, NodeId};
use crate::options::ClusterSettings;
use crate::plans::Automatic;
use crate::slots::{SLOTS, SlotRange, SlotSet, even_split};

/// How many nodes that were taken out are remembered.
const REMOVED_KEPT: usize = 64;

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
    /// A new cluster: each `per_shard` consecutive nodes are a shard, the first of them its master, and
    /// the shards share all slots evenly.
    pub(crate) fn lay_out(
        engine: EngineKind,
        nodes: Vec<NewNode>,
        per_shard: usize,
    ) -> Result<Self, ShardsError> {
        let count = nodes.len();
        if count == 0 {
            return Err(ShardsError::invalid(
                "nodes",
                "a cluster needs a node at least",
            ));
        }
        if per_shard == 0 || !count.is_multiple_of(per_shard) {
            return Err(ShardsError::invalid(
                "replicas",
                format!(
                    "{count} nodes cannot be divided into shards of {per_shard}: give a multiple of \
                     {per_shard} nodes (`replicas` counts the master too)"
                ),
            ));
        }
        let shards = u16::try_from(count / per_shard)
            .ok()
            .filter(|shards| *shards <= SLOTS)
            .ok_or_else(|| {
                ShardsError::invalid("nodes", format!("more shards than the {SLOTS} slots"))
            })?;
        let mut nodes = nodes.into_iter();
        let shards = even_split(shards).into_iter().map(|slots| Shard {
            nodes: shard_nodes(nodes.by_ref().take(per_shard)),
            slots,
            ..Shard::default()
        });
        Ok(Self::of(engine, 1, shards.collect()))
    }

    /// A cluster of these shards, which get their ids here.
    pub(crate) fn of(engine: EngineKind, version: u64, mut shards: Vec<Shard>) -> Self {
        let mut next_shard = 0;
        for shard in &mut shards {
            shard.id = next_shard;
            next_shard += 1;
        }
        Self {
            version,
            engine,
            shards,
            next_shard,
            removed: VecDeque::new(),
            settings: ClusterSettings::default(),
            automatic: None,
        }
    }

    /// Takes over shards as the nodes know them, at a version that is higher than both.
    pub(crate) fn adopt(&mut self, version: u64, shards: Vec<Shard>) {
        let mut former = std::mem::take(&mut self.shards);
        for mut shard in shards {
            let is_same = |old: &Shard| {
                let mut nodes = old.nodes.iter();
                nodes.any(|old| shard.nodes.iter().any(|new| new.id == old.id))
            };
            match former.iter().position(is_same) {
                Some(at) => {
                    let old = former.swap_remove(at);
                    (shard.id, shard.traits) = (old.id, old.traits);
                    for node in &mut shard.nodes {
                        if let Some(old) = old.nodes.iter().find(|old| old.id == node.id) {
                            node.created_at = old.created_at;
                            node.needs_resync = old.needs_resync;
                            node.has_synced = old.has_synced && old.role == node.role;
                        }
                    }
                }
                None => {
                    shard.id = self.next_shard;
                    self.next_shard += 1;
                }
            }
            self.shards.push(shard);
        }
        self.shards.sort_by_key(|shard| shard.id);
        self.welcome();
        self.version = version.max(self.version + 1);
    }

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

    /// Gives slots from the shard that serves them to another one.
    pub(crate) fn move_slots(&mut self, slots: &SlotSet, from: usize, to: usize) {
        for range in slots.ranges() {
            self.shards[from].slots.remove(*range);
            self.shards[to].slots.insert(*range);
        }
        self.version += 1;
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

    /// Adds a shard without slots, the first node its master.
    pub(crate) fn add_shard(&mut self, nodes: Vec<NewNode>) -> Result<(), ShardsError> {
        if nodes.is_empty() {
            return Err(ShardsError::invalid(
                "nodes",
                "a shard needs a node at least",
            ));
        }
        self.shards.push(Shard {
            id: self.next_shard,
            nodes: shard_nodes(nodes),
            ..Shard::default()
        });
        self.next_shard += 1;
        self.welcome();
        self.version += 1;
        Ok(())
    }

    /// Takes out a shard that serves no slots. Those behind it move up.
    pub(crate) fn remove_shard(&mut self, index: usize) -> Result<Shard, ShardsError> {
        let shard = self.shard(index)?;
        if !shard.slots.is_empty() {
            return Err(ShardsError::Conflict(format!(
                "shard {index} serves {} slots: migrate them to other shards first",
                shard.slots.count()
            )));
        }
        if self.shards.len() == 1 {
            return Err(ShardsError::Conflict(
                "it is the only shard: delete the cluster instead".into(),
            ));
        }
        self.version += 1;
        let shard = self.shards.remove(index);
        self.take_leave(shard.nodes.iter().map(|node| node.id.clone()));
        Ok(shard)
    }

    /// Adds a node to a shard.
    pub(crate) fn add_node(
        &mut self,
        index: usize,
        node: NewNode,
        role: Role,
    ) -> Result<(), ShardsError> {
        let shard = self.shard_mut(index)?;
        if role == Role::Master && shard.master().is_some() {
            return Err(ShardsError::Conflict(format!(
                "shard {index} has a master: add the node as slave, then fail over to it"
            )));
        }
        shard.nodes.push(node.with_role(role));
        self.welcome();
        self.version += 1;
        Ok(())
    }

    /// Takes a replica out of a shard.
    pub(crate) fn remove_node(&mut self, index: usize, id: &NodeId) -> Result<Node, ShardsError> {
        let shard = self.shard_mut(index)?;
        let at = shard
            .nodes
            .iter()
            .position(|node| node.id == *id)
            .ok_or_else(|| ShardsError::NotFound(format!("node {id} in shard {index}")))?;
        if shard.nodes[at].role == Role::Master {
            return Err(ShardsError::Conflict(format!(
                "{} is the master of shard {index}: fail over to another node first, or delete the shard",
                shard.nodes[at].addr
            )));
        }
        let node = shard.nodes.remove(at);
        self.take_leave([node.id.clone()]);
        self.version += 1;
        Ok(node)
    }

    /// Remembers nodes that were taken out.
    fn take_leave(&mut self, ids: impl IntoIterator<Item = NodeId>) {
        self.removed.extend(ids);
        while self.removed.len() > REMOVED_KEPT {
            self.removed.pop_front();
        }
    }

    /// Forgets that nodes which are back were ever taken out.
    fn welcome(&mut self) {
        let here: HashSet<&NodeId> = self
            .shards
            .iter()
            .flat_map(|shard| &shard.nodes)
            .map(|node| &node.id)
            .collect();
        self.removed.retain(|id| !here.contains(id));
    }

    /// Changes what is known of a node; nobody else hears of it.
    pub(crate) fn change_node(&mut self, id: &NodeId, change: impl FnOnce(&mut Node)) {
        let mut nodes = self.shards.iter_mut().flat_map(|shard| &mut shard.nodes);
        if let Some(node) = nodes.find(|node| node.id == *id) {
            change(node);
        }
    }

    /// Changes where a node is reached.
    pub(crate) fn readdress(&mut self, id: &NodeId, addr: NodeAddr) -> Result<(), ShardsError> {
        let mut nodes = self.shards.iter_mut().flat_map(|shard| &mut shard.nodes);
        let node = nodes
            .find(|node| node.id == *id)
            .ok_or_else(|| ShardsError::NotFound(format!("node {id}")))?;
        if node.addr != addr {
            node.addr = addr;
            self.version += 1;
        }
        Ok(())
    }

    /// Makes a replica of a shard its master, and the master a replica. `sequence` is how far the
    /// replica's data goes, where that may be less than the master's.
    pub(crate) fn promote(
        &mut self,
        index: usize,
        id: &NodeId,
        sequence: Option<u64>,
    ) -> Result<(), ShardsError> {
        let shard = self.shard_mut(index)?;
        if !shard.nodes.iter().any(|node| node.id == *id) {
            return Err(ShardsError::NotFound(format!("node {id} in shard {index}")));
        }
        for node in &mut shard.nodes {
            if node.id == *id {
                node.role = Role::Master;
            } else if node.role == Role::Master {
                node.role = Role::Slave;
                node.has_synced = false;
            }
        }
        shard.is_switching = true;
        shard.forked_at = sequence;
        self.version += 1;
        Ok(())
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

/// The first is the master. All of them are empty: the replicas have what it has.
fn shard_nodes(nodes: impl IntoIterator<Item = NewNode>) -> Vec<Node> {
    let mut role = Role::Master;
    let nodes = nodes.into_iter().map(|node| Node {
        has_synced: true,
        ..node.with_role(std::mem::replace(&mut role, Role::Slave))
    });
    nodes.collect()
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
    use super::samples::{cluster, new};
    use super::*;

    #[test]
    fn a_new_cluster_is_whole() {
        for (shards, per_shard) in [(1, 1), (3, 2), (5, 3), (100, 1)] {
            let cluster = cluster(shards, per_shard);
            cluster.check().unwrap();
            assert_eq!(cluster.version, 1);
            assert_eq!(cluster.shards.len(), shards);
            assert!(cluster.shards.iter().all(|s| s.nodes.len() == per_shard));
            assert!(
                cluster
                    .shards
                    .iter()
                    .all(|s| s.nodes[0].role == Role::Master)
            );
        }
        let three = cluster(3, 1);
        let slots: Vec<_> = three
            .shards
            .iter()
            .map(|s| s.slots.ranges()[0].to_string())
            .collect();
        assert_eq!(slots, ["0-5460", "5461-10921", "10922-16383"]);
    }

    #[test]
    fn nodes_that_do_not_divide_into_shards_are_refused() {
        for (nodes, per_shard) in [(0, 1), (3, 2), (1, 2), (1, 0)] {
            let nodes = (1..=nodes).map(new).collect();
            assert!(Cluster::lay_out(EngineKind::Kvrocks, nodes, per_shard).is_err());
        }
    }

    #[test]
    fn shards_and_nodes_come_and_go_and_each_change_has_its_version() {
        let mut cluster = cluster(2, 2);
        cluster.add_shard(vec![new(50), new(51)]).unwrap();
        cluster.add_node(0, new(60), Role::Slave).unwrap();
        assert_eq!(cluster.version, 3);
        cluster.check().unwrap();

        assert!(cluster.add_shard(vec![]).is_err());
        assert!(cluster.add_node(0, new(61), Role::Master).is_err());
        assert!(cluster.add_node(3, new(61), Role::Slave).is_err());
        assert!(cluster.remove_shard(0).is_err(), "it serves slots");
        assert!(cluster.remove_shard(3).is_err(), "there is none");
        let master = cluster.shards[0].nodes[0].id.clone();
        assert!(cluster.remove_node(0, &master).is_err());
        assert!(cluster.remove_node(1, &master).is_err(), "another shard");
        assert_eq!(cluster.version, 3, "what is refused changes nothing");

        cluster.remove_shard(2).unwrap();
        let replica = cluster.shards[0].nodes[1].id.clone();
        cluster.remove_node(0, &replica).unwrap();
        assert_eq!(cluster.version, 5);
        cluster.check().unwrap();
    }

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
