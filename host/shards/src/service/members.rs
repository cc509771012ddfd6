//! The shards and nodes of a cluster: they come and go, and the others are told.

use std::collections::{BTreeSet, HashMap, HashSet};

use portolan_consensus::documents::{encode, until_settled};
use portolan_consensus::{Space, Txn};
use zeroize::Zeroizing;

use super::clusters::shards_of;
use super::{NewNodes, Place, Push, Shards};
use crate::engine::{Standing, Topology};
use crate::error::ShardsError;
use crate::keys;
use crate::model::{Cluster, Node, Role};
use crate::names::{NodeAddr, NodeId};

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
        let kind = self.find(namespace, name).await?.2.document.engine;
        let (_, nodes) = self.new_nodes(&nodes, Some(kind)).await?;
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
        let cluster = self.find(namespace, name).await?.2.document;
        cluster.shard(index)?;
        let (_, mut nodes) = self.new_nodes(&node, Some(cluster.engine)).await?;
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

    /// Changes where a node is reached: it has moved, and is the same.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is stored then. Among them that another node stands at the new address.
    pub async fn readdress_node(
        &self,
        namespace: &str,
        name: &str,
        id: &str,
        addr: &str,
    ) -> Result<Push, ShardsError> {
        let id: NodeId = id.parse().map_err(ShardsError::bad_name("node id"))?;
        let addr: NodeAddr = addr.parse().map_err(ShardsError::bad_name("addr"))?;
        let cluster = self.find(namespace, name).await?.2.document;
        let (_, node) = cluster
            .nodes()
            .find(|(_, node)| node.id == id)
            .ok_or_else(|| ShardsError::NotFound(format!("node {id}")))?;
        let moved = Node {
            addr: addr.clone(),
            ..node.clone()
        };
        let probe = self.probe(&cluster, &moved).await;
        let there = probe.map_err(ShardsError::node(&addr))?.id;
        if there.as_ref() != Some(&id) {
            let there = there.map_or_else(|| "no id".to_owned(), |id| format!("the id {id}"));
            return Err(ShardsError::Conflict(format!(
                "the node at {addr} has {there}, not {id}: it is another one; add it as a node and \
                 remove the old one"
            )));
        }
        self.change(namespace, name, |cluster| {
            cluster.readdress(&id, addr.clone())
        })
        .await
    }

    /// Takes over what the nodes say of the cluster: who is in it, who is a master, who has which slots.
    /// Shards keep their id and what the operator says of them where one of their nodes is still theirs.
    ///
    /// # Errors
    /// [`ShardsError::Conflict`] while slots are on their way, or when what the nodes say is not whole.
    pub async fn adopt(&self, namespace: &str, name: &str) -> Result<Push, ShardsError> {
        let (in_namespace, called, stored) = self.find(namespace, name).await?;
        let (_, queue) = self.queue(&in_namespace, &called).await?;
        if let Some(job) = queue.jobs.iter().find(|job| job.state.is_under_way()) {
            return Err(ShardsError::Conflict(format!(
                "migration {} is under way: wait for it, then adopt",
                job.id
            )));
        }
        let cluster = stored.document;
        let topology = self.newest_topology(&cluster).await?;
        let password = match cluster.nodes().next() {
            Some((_, node)) => self.secrets.open(node)?.unwrap_or_default(),
            None => Zeroizing::default(),
        };
        let known: HashMap<&NodeId, &Node> =
            cluster.nodes().map(|(_, node)| (&node.id, node)).collect();
        let sealed = |id: &NodeId| match known.get(id) {
            Some(node) => Ok(node.sealed_password.clone()),
            None => self.secrets.seal(id, &password),
        };
        let shards = shards_of(&topology, sealed)?;
        let adopt = |cluster: &mut Cluster| {
            cluster.adopt(topology.version, shards.clone());
            cluster.check().map_err(|reason| {
                ShardsError::Conflict(format!(
                    "what the nodes say is not whole: {reason}; mend it there before it is adopted"
                ))
            })
        };
        // Whom the others do not know any more may be somebody else's by now: nobody tells it anything.
        let (place, _, after) = self.store(namespace, name, adopt).await?;
        Ok(self.push_to_all(&place, &after, false).await)
    }

    /// The topology of the node that is ahead of all others; of a master where none has a version.
    async fn newest_topology(&self, cluster: &Cluster) -> Result<Topology, ShardsError> {
        let seen = self.probe_all(cluster).await;
        let candidates = cluster.nodes().zip(&seen).filter_map(|((_, node), seen)| {
            let probe = seen.as_ref().ok()?;
            let version = match probe.standing {
                Standing::At(version) => version,
                Standing::Gossip => u64::from(probe.role == Role::Master),
                Standing::Outside => return None,
            };
            Some((version, node))
        });
        let newest = candidates.max_by_key(|(version, _)| *version);
        let (_, node) = newest
            .ok_or_else(|| ShardsError::Conflict("no node that answers knows a topology".into()))?;
        let access = self.secrets.access(node)?;
        let topology = self.engines.of(cluster.engine).topology(&access).await;
        let topology = topology.map_err(ShardsError::node(&node.addr))?;
        topology.ok_or_else(|| ShardsError::Conflict(format!("{} is in no cluster", node.addr)))
    }

    /// Changes a cluster, its addresses with it, and tells its nodes, those that were taken out too.
    async fn change(
        &self,
        namespace: &str,
        name: &str,
        change: impl Fn(&mut Cluster) -> Result<(), ShardsError> + Send + Sync,
    ) -> Result<Push, ShardsError> {
        let change = &change;
        let taking_leave = move |cluster: &mut Cluster| {
            let before = cluster.clone();
            change(cluster)?;
            let gone: Vec<Node> = gone(&before, cluster).into_iter().cloned().collect();
            cluster.leaving.extend(gone);
            Ok(())
        };
        let (place, before, after) = self.store(namespace, name, taking_leave).await?;
        let mut push = self.push_to_all(&place, &after, false).await;
        let gone = gone(&before, &after);
        let unreached = self.forget(after.engine, gone.clone()).await;
        let told = gone.iter().filter(|node| {
            let mut unreached = unreached.iter();
            !unreached.any(|unreached| unreached.addr == node.addr)
        });
        let told: Vec<NodeId> = told.map(|node| node.id.clone()).collect();
        self.left(&place, &told).await;
        push.failed.extend(unreached);
        Ok(push)
    }

    /// Changes a cluster in the store, its addresses with it; answers it before and after.
    pub(super) async fn store(
        &self,
        namespace: &str,
        name: &str,
        change: impl Fn(&mut Cluster) -> Result<(), ShardsError> + Send + Sync,
    ) -> Result<(Place, Cluster, Cluster), ShardsError> {
        let change = &change;
        until_settled(|| async move {
            let (namespace, name, stored) = self.find(namespace, name).await?;
            let before = stored.document;
            let mut after = before.clone();
            change(&mut after)?;
            let key = keys::cluster(&namespace, &name);
            let mut txn = Txn::new()
                .guard(Space::Shards, key.as_str(), stored.modified)
                .put(Space::Shards, key, encode(&after));
            let (had, has) = (addresses(&before), addresses(&after));
            for addr in has.difference(&had) {
                txn = self.take(txn, &namespace, &name, addr).await?;
            }
            for addr in had.difference(&has) {
                txn = txn.delete(Space::Shards, keys::address(addr));
            }
            self.documents.commit(txn).await?;
            Ok::<_, ShardsError>(((namespace, name), before, after))
        })
        .await
    }

    /// Strikes nodes that were told from the list of those that have to be.
    pub(crate) async fn left(&self, place: &Place, ids: &[NodeId]) {
        if ids.is_empty() {
            return;
        }
        let noted = self.note(place.0.as_str(), place.1.as_str(), |cluster| {
            cluster.leaving.retain(|node| !ids.contains(&node.id));
            Ok(())
        });
        if let Err(error) = noted.await {
            // They are told once more, which is harmless.
            tracing::warn!(%error, cluster = %place.1, "that nodes were told was not stored");
        }
    }
}

fn addresses(cluster: &Cluster) -> BTreeSet<&NodeAddr> {
    cluster.nodes().map(|(_, node)| &node.addr).collect()
}

/// The nodes of `before` that `after` does not have.
fn gone<'a>(before: &'a Cluster, after: &Cluster) -> Vec<&'a Node> {
    let stays: HashSet<&NodeId> = after.nodes().map(|(_, node)| &node.id).collect();
    let nodes = before.nodes().map(|(_, node)| node);
    nodes.filter(|node| !stays.contains(&node.id)).collect()
}
