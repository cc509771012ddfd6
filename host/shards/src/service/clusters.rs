//! Clusters: made, imported, shown, deleted.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use portolan_consensus::documents::{Stored, encode, until_settled};
use portolan_consensus::{Consistency, Revision, Space, Txn};
use zeroize::Zeroizing;

use super::{Push, Shards, parse_name};
use crate::engine::{Access, Topology};
use crate::error::ShardsError;
use crate::keys;
use crate::model::{Cluster, EngineKind, Node, Role, Shard, no_shard};
use crate::names::{Name, NodeAddr, NodeId};
use crate::views::{ClusterView, NodeStatus, NodeView, ShardView};

/// Nodes that are to be added, and the password that they share.
#[derive(Clone, Default)]
pub struct NewNodes {
    /// `host:port` each.
    pub nodes: Vec<String>,
    /// Empty where they take none.
    pub password: Zeroizing<String>,
}

impl NewNodes {
    /// How one of them is reached.
    pub(super) fn access(&self, addr: &NodeAddr) -> Access {
        Access {
            addr: addr.clone(),
            password: (!self.password.is_empty()).then(|| self.password.clone()),
        }
    }
}

/// A cluster that is to be made.
#[derive(Clone, Default)]
pub struct NewCluster {
    /// Its name.
    pub name: String,
    /// Its nodes: consecutive ones form a shard.
    pub nodes: NewNodes,
    /// Nodes per shard, the master included; 0 means 1.
    pub replicas: usize,
    /// What its nodes are; none to find out.
    pub engine: Option<EngineKind>,
}

impl Shards {
    /// Makes a cluster of nodes that are reachable, empty and in no cluster, and tells them.
    ///
    /// # Errors
    /// [`ShardsError`] with the field or the node that is wrong; nothing is stored then.
    pub async fn create_cluster(
        &self,
        namespace: &str,
        wanted: NewCluster,
    ) -> Result<Push, ShardsError> {
        let namespace = parse_name(namespace, "namespace")?;
        let name = parse_name(&wanted.name, "name")?;
        self.namespace(&namespace).await?;
        let key = keys::cluster(&namespace, &name);
        let known = self
            .documents
            .load::<Cluster>(&key, Consistency::Linearizable);
        if known.await?.is_some() {
            return Err(ShardsError::Exists(format!(
                "cluster {name} in namespace {namespace}"
            )));
        }
        let (kind, nodes) = self.new_nodes(&wanted.nodes, wanted.engine).await?;
        let cluster = Cluster::lay_out(kind, nodes, wanted.replicas.max(1))?;
        self.found(&namespace, &name, &cluster).await?;
        Ok(self.push_to_all(&(namespace, name), &cluster, false).await)
    }

    /// Takes over a cluster as one of its nodes knows it. The nodes keep what they have.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is stored then.
    pub async fn import_cluster(
        &self,
        namespace: &str,
        name: &str,
        from: NewNodes,
    ) -> Result<(), ShardsError> {
        let namespace = parse_name(namespace, "namespace")?;
        let name = parse_name(name, "cluster")?;
        self.namespace(&namespace).await?;
        let seed = from
            .nodes
            .first()
            .ok_or_else(|| ShardsError::invalid("nodes", "name a node of the cluster"))?;
        let seed: NodeAddr = seed.parse().map_err(ShardsError::bad_name("nodes[0]"))?;
        let access = from.access(&seed);
        let (kind, _) = self
            .engines
            .detect(&access)
            .await
            .map_err(ShardsError::node(&seed))?;
        let topology = self
            .engines
            .of(kind)
            .topology(&access)
            .await
            .map_err(ShardsError::node(&seed))?
            .ok_or_else(|| {
                ShardsError::invalid(
                    "nodes[0]",
                    format!("{seed} is in no cluster: create one instead of importing it"),
                )
            })?;
        let sealed = |id: &NodeId| self.secrets.seal(id, &from.password);
        let shards = shards_of(&topology, sealed)?;
        let cluster = Cluster::of(kind, topology.version, shards);
        cluster.check().map_err(|reason| {
            ShardsError::Conflict(format!(
                "the cluster that {seed} describes is not whole: {reason}; mend it before you import it"
            ))
        })?;
        self.found(&namespace, &name, &cluster).await
    }

    /// The names of a namespace's clusters, in order.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn clusters(&self, namespace: &str) -> Result<Vec<String>, ShardsError> {
        let namespace = parse_name(namespace, "namespace")?;
        let clusters = self.namespace(&namespace).await?.document.clusters;
        Ok(clusters.into_iter().map(String::from).collect())
    }

    /// A cluster; with its passwords where `reveal` says so.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn cluster(
        &self,
        namespace: &str,
        name: &str,
        reveal: bool,
    ) -> Result<ClusterView, ShardsError> {
        Ok(self.viewed(namespace, name, reveal).await?.0)
    }

    async fn viewed(
        &self,
        namespace: &str,
        name: &str,
        reveal: bool,
    ) -> Result<(ClusterView, Cluster), ShardsError> {
        let (in_namespace, called, stored) = self.find(namespace, name).await?;
        let (_, queue) = self.queue(&in_namespace, &called).await?;
        let moving = queue.jobs.iter().find(|job| job.state.is_under_way());
        let reveal = reveal.then_some(&self.secrets);
        let view = ClusterView::of(name, &stored.document, moving, reveal)?;
        Ok((view, stored.document))
    }

    /// A cluster with how each of its nodes is at the moment, as this member sees it.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn cluster_now(
        &self,
        namespace: &str,
        name: &str,
        reveal: bool,
    ) -> Result<ClusterView, ShardsError> {
        let (mut view, cluster) = self.viewed(namespace, name, reveal).await?;
        let seen = self.probe_all(&cluster).await;
        let ids = cluster.nodes().map(|(_, node)| node.id.clone());
        let mut statuses: HashMap<NodeId, NodeStatus> =
            ids.zip(seen.into_iter().map(NodeStatus::of)).collect();
        for node in view.shards.iter_mut().flat_map(|shard| &mut shard.nodes) {
            node.status = statuses.remove(&node.id);
        }
        Ok(view)
    }

    /// One shard of a cluster.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn shard(
        &self,
        namespace: &str,
        name: &str,
        index: usize,
        reveal: bool,
    ) -> Result<ShardView, ShardsError> {
        let mut cluster = self.cluster(namespace, name, reveal).await?;
        if index < cluster.shards.len() {
            Ok(cluster.shards.swap_remove(index))
        } else {
            Err(no_shard(index, cluster.shards.len()))
        }
    }

    /// The nodes of a shard.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn nodes(
        &self,
        namespace: &str,
        name: &str,
        index: usize,
        reveal: bool,
    ) -> Result<Vec<NodeView>, ShardsError> {
        Ok(self.shard(namespace, name, index, reveal).await?.nodes)
    }

    /// Forgets a cluster. Its nodes and their data stay as they are.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn delete_cluster(&self, namespace: &str, name: &str) -> Result<(), ShardsError> {
        until_settled(|| async {
            let (namespace, name, stored) = self.find(namespace, name).await?;
            let mut holder = self.namespace(&namespace).await?;
            holder.document.clusters.remove(&name);
            let (key, holder_key) = (
                keys::cluster(&namespace, &name),
                keys::namespace(&namespace),
            );
            let mut txn = Txn::new()
                .guard(Space::Shards, key.as_str(), stored.modified)
                .guard(Space::Shards, holder_key.as_str(), holder.modified)
                .delete(Space::Shards, key)
                .delete(Space::Shards, keys::events(&namespace, &name))
                .delete(Space::Shards, keys::migrations(&namespace, &name))
                .delete(Space::Shards, keys::plans(&namespace, &name))
                .put(Space::Shards, holder_key, encode(&holder.document));
            for (_, node) in stored.document.nodes() {
                txn = txn.delete(Space::Shards, keys::address(&node.addr));
            }
            Ok(self.documents.commit(txn).await.map(drop)?)
        })
        .await
    }

    /// Tells all nodes the topology once more.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn sync(
        &self,
        namespace: &str,
        name: &str,
        force: bool,
    ) -> Result<Push, ShardsError> {
        let (namespace, name, stored) = self.find(namespace, name).await?;
        let place = (namespace, name);
        Ok(self.push_to_all(&place, &stored.document, force).await)
    }

    pub(crate) async fn find(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<(Name, Name, Stored<Cluster>), ShardsError> {
        let namespace = parse_name(namespace, "namespace")?;
        let name = parse_name(name, "cluster")?;
        let stored = self.load(&namespace, &name).await?;
        Ok((namespace, name, stored))
    }

    /// Stores a new cluster with its addresses, and puts it down in its namespace.
    async fn found(
        &self,
        namespace: &Name,
        name: &Name,
        cluster: &Cluster,
    ) -> Result<(), ShardsError> {
        until_settled(|| async {
            let mut holder = self.namespace(namespace).await?;
            if !holder.document.clusters.insert(name.clone()) {
                return Err(ShardsError::Exists(format!(
                    "cluster {name} in namespace {namespace}"
                )));
            }
            let (key, holder_key) = (keys::cluster(namespace, name), keys::namespace(namespace));
            let mut txn = Txn::new()
                .guard(Space::Shards, key.as_str(), Revision::ZERO)
                .guard(Space::Shards, holder_key.as_str(), holder.modified)
                .put(Space::Shards, key, encode(cluster))
                .put(Space::Shards, holder_key, encode(&holder.document));
            for (_, node) in cluster.nodes() {
                txn = self.take(txn, namespace, name, &node.addr).await?;
            }
            Ok(self.documents.commit(txn).await.map(drop)?)
        })
        .await
    }
}

/// The shards that a topology has, by their lowest slot; `sealed` has the password of each node.
pub(super) fn shards_of(
    topology: &Topology,
    sealed: impl Fn(&NodeId) -> Result<Option<String>, ShardsError>,
) -> Result<Vec<Shard>, ShardsError> {
    let created_at = now();
    let members = || topology.members.iter();
    let mut shards = Vec::new();
    for master in members().filter(|member| member.role == Role::Master) {
        let replicas = members().filter(|member| member.master.as_ref() == Some(&master.id));
        let nodes = std::iter::once(master).chain(replicas).map(|member| {
            Ok(Node {
                id: member.id.clone(),
                addr: member.addr.clone(),
                role: member.role,
                created_at,
                sealed_password: sealed(&member.id)?,
                needs_resync: false,
                has_synced: false,
            })
        });
        shards.push(Shard {
            nodes: nodes.collect::<Result<_, ShardsError>>()?,
            slots: master.slots.clone(),
            ..Shard::default()
        });
    }
    // Those without slots come last.
    shards.sort_by_key(|shard| {
        let first = shard.slots.ranges().first().copied();
        (first.is_none(), first)
    });
    Ok(shards)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}
