//! Changes of a cluster. Each that the nodes must hear of takes the next version; what is refused changes
//! nothing.

use std::collections::{HashSet, VecDeque};

use super::{Cluster, EngineKind, NewNode, Node, Role, Shard};
use crate::error::ShardsError;
use crate::names::{NodeAddr, NodeId};
use crate::options::ClusterSettings;
use crate::slots::{SLOTS, SlotSet, even_split};

/// How many nodes that were taken out are remembered.
const REMOVED_KEPT: usize = 64;

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
            leaving: vec![],
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

    /// Says the same at the next version, which nodes take that have this one with another content.
    pub(crate) fn say_again(&mut self) {
        self.version += 1;
    }

    /// Gives slots from the shard that serves them to another one.
    pub(crate) fn move_slots(&mut self, slots: &SlotSet, from: usize, to: usize) {
        for range in slots.ranges() {
            self.shards[from].slots.remove(*range);
            self.shards[to].slots.insert(*range);
        }
        self.version += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::{cluster, new};

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
    fn what_is_adopted_keeps_what_is_known_of_its_shards() {
        let mut cluster = cluster(2, 2);
        cluster.shards[0].traits.weight = 7;
        cluster.shards[1].traits.draining = true;
        let ids = |cluster: &Cluster| -> Vec<u64> {
            cluster.shards.iter().map(|shard| shard.id).collect()
        };
        // The other way around, with a shard more, and the first one's nodes swapped.
        let mut shards: Vec<Shard> = cluster.shards.iter().rev().cloned().collect();
        for shard in &mut shards {
            (shard.id, shard.traits) = (99, crate::Traits::default());
        }
        shards[1].nodes[0].role = Role::Slave;
        shards[1].nodes[1].role = Role::Master;
        shards.push(Shard {
            nodes: shard_nodes([new(50)]),
            ..Shard::default()
        });
        cluster.adopt(1, shards.clone());
        assert_eq!(ids(&cluster), [0, 1, 2]);
        assert_eq!(cluster.version, 2, "never back");
        assert_eq!(cluster.shards[0].traits.weight, 7);
        assert!(cluster.shards[1].traits.draining);
        assert!(!cluster.shards[0].nodes[0].has_synced, "it was the master");
        cluster.check().unwrap();
        cluster.adopt(9, shards);
        assert_eq!((cluster.version, ids(&cluster)), (9, vec![0, 1, 2]));
    }
}
