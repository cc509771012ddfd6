//! Telling nodes the topology that stands in the store.

use futures_util::future::join_all;
use portolan_consensus::Consistency;
use portolan_consensus::documents::Stored;
use serde::Serialize;

use super::{Place, Shards};
use crate::engine::{Member, NodeError, Topology};
use crate::keys;
use crate::migration::Migrations;
use crate::model::{Cluster, EngineKind, Node, Role};
use crate::names::{NodeAddr, NodeId};
use crate::slots::{SlotRange, SlotSet};

/// Who has heard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Push {
    /// The version that was pushed.
    pub version: u64,
    /// The nodes that have it.
    pub reached: Vec<NodeAddr>,
    /// The nodes that do not, and why.
    pub failed: Vec<Unreached>,
}

/// A node that did not take the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreached {
    /// Which.
    pub addr: NodeAddr,
    /// Why.
    pub reason: String,
}

impl Unreached {
    fn new(node: &Node, reason: impl ToString) -> Self {
        let unreached = Self {
            addr: node.addr.clone(),
            reason: reason.to_string(),
        };
        tracing::warn!(addr = %unreached.addr, reason = %unreached.reason, "a node was not told its topology");
        unreached
    }
}

impl Shards {
    /// Pushes to all nodes at once. A node that is not reached does not hold up the others.
    pub(crate) async fn push_to_all(&self, place: &Place, cluster: &Cluster, force: bool) -> Push {
        let topology = self.topology(place, cluster).await;
        let engine = self.engines.of(cluster.engine);
        let pushes = cluster.nodes().map(|(_, node)| {
            let topology = &topology;
            async move {
                let pushed = match self.secrets.access(node) {
                    Ok(access) => engine
                        .push(&access, &node.id, topology, force)
                        .await
                        .map_err(|error| Unreached::new(node, error)),
                    Err(error) => Err(Unreached::new(node, error)),
                };
                pushed.map(|_| node.addr.clone())
            }
        });
        let mut push = Push {
            version: cluster.version,
            ..Push::default()
        };
        for pushed in join_all(pushes).await {
            match pushed {
                Ok(addr) => push.reached.push(addr),
                Err(unreached) => push.failed.push(unreached),
            }
        }
        push
    }

    /// Makes nodes that were taken out forget the cluster; answers those that were not reached.
    pub(super) async fn forget(&self, kind: EngineKind, nodes: Vec<&Node>) -> Vec<Unreached> {
        let resets = nodes.into_iter().map(|node| async move {
            let access = self.secrets.access(node);
            let reset = match access {
                Ok(access) => self.engines.of(kind).reset(&access).await,
                Err(error) => Err(NodeError::Password(error.to_string())),
            };
            reset.err().map(|error| Unreached::new(node, error))
        });
        join_all(resets).await.into_iter().flatten().collect()
    }

    /// A cluster as its nodes are told of it.
    pub(crate) async fn topology(&self, place: &Place, cluster: &Cluster) -> Topology {
        let key = keys::migrations(&place.0, &place.1);
        let queue = self.documents.load(&key, Consistency::Stale).await;
        let queue: Option<Stored<Migrations>> = queue.ok().flatten();
        let jobs = queue.iter().flat_map(|stored| &stored.document.jobs);
        let moving = jobs.filter(|job| job.state.is_under_way());
        let ranges: Vec<SlotRange> = moving.map(|job| job.slots).collect();
        topology_of(cluster, ranges.into())
    }
}

/// The masters that nodes have to be made, because it was decided here that they are.
fn appointed(cluster: &Cluster) -> Vec<NodeId> {
    let switching = cluster.shards.iter().filter(|shard| shard.is_switching);
    let masters = switching.filter_map(|shard| shard.master());
    masters.map(|master| master.id.clone()).collect()
}

fn topology_of(cluster: &Cluster, in_motion: SlotSet) -> Topology {
    let members = cluster.nodes().map(|(index, node)| {
        let shard = &cluster.shards[index];
        let is_master = node.role == Role::Master;
        Member {
            id: node.id.clone(),
            addr: node.addr.clone(),
            role: node.role,
            master: (!is_master)
                .then(|| shard.master().map(|master| master.id.clone()))
                .flatten(),
            slots: if is_master {
                shard.slots.clone()
            } else {
                SlotSet::default()
            },
        }
    });
    Topology {
        version: cluster.version,
        members: members.collect(),
        removed: cluster.removed.iter().cloned().collect(),
        in_motion,
        appointed: appointed(cluster),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::cluster;

    #[test]
    fn only_a_master_that_was_appointed_here_and_not_seen_since_is_to_be_made_one() {
        let mut cluster = cluster(2, 2);
        let told = |cluster: &Cluster| topology_of(cluster, SlotSet::default()).appointed;
        assert_eq!(told(&cluster), []);
        let replica = cluster.shards[1].nodes[1].id.clone();
        cluster.promote(1, &replica, None).unwrap();
        assert_eq!(told(&cluster), [replica]);
        cluster.shards[1].is_switching = false;
        assert_eq!(told(&cluster), []);
    }
}
