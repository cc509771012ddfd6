//! Clusters: made, imported, shown, deleted.

use std::time::{SystemTime, UNIX_EPOCH};

use portolan_consensus::documents::{Stored, encode, until_settled};
use portolan_consensus::{Consistency, Revision, Space, Txn};
use zeroize::Zeroizing;

use super::{Push, Shards, parse_name};
use crate::engine::Access;
use crate::error::ShardsError;
use crate::events::{Event, Events};
use crate::keys;
use crate::model::{Cluster, EngineKind, Node, Role, Shard, no_shard};
use crate::names::{Name, NodeAddr};
use crate::views::{ClusterView, NodeView, ShardView};

/// Nodes that are to be added, and the password that they share.
#[derive(Clone, Default)]
pub struct NewNodes {
    /// `host:port` each.
    pub nodes: Vec<String>,
    /// Empty where they take none.
    pub password: Zeroizing<String>,
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
        let nodes = self.new_nodes(&wanted.nodes).await?;
        let cluster = Cluster::lay_out(EngineKind::Kvrocks, nodes, wanted.replicas.max(1))?;
        self.found(&namespace, &name, &cluster).await?;
        Ok(self.push_to_all(&cluster, false).await)
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
        let access = Access {
            addr: seed.clone(),
            password: (!from.password.is_empty()).then(|| from.password.clone()),
        };
        self.engine
            .inspect(&access)
            .await
            .map_err(ShardsError::node(&seed))?;
        let topology = self
            .engine
            .topology(&access)
            .await
            .map_err(ShardsError::node(&seed))?
            .ok_or_else(|| {
                ShardsError::invalid(
                    "nodes[0]",
                    format!("{seed} is in no cluster: create one instead of importing it"),
                )
            })?;
        let mut shards: Vec<Shard> = Vec::new();
        let created_at = now();
        let masters = topology.members.iter().filter(|m| m.role == Role::Master);
        for master in masters {
            let replicas = topology
                .members
                .iter()
                .filter(|member| member.master.as_ref() == Some(&master.id));
            let mut nodes = Vec::new();
            for member in std::iter::once(master).chain(replicas) {
                nodes.push(Node {
                    id: member.id.clone(),
                    addr: member.addr.clone(),
                    role: member.role,
                    created_at,
                    sealed_password: self.secrets.seal(&member.id, &from.password)?,
                });
            }
            shards.push(Shard {
                id: 0,
                nodes,
                slots: master.slots.clone(),
            });
        }
        shards.sort_by_key(|shard| shard.slots.ranges().first().copied());
        let cluster = Cluster::of(EngineKind::Kvrocks, topology.version, shards);
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
        let (in_namespace, called, stored) = self.find(namespace, name).await?;
        let (_, queue) = self.queue(&in_namespace, &called).await?;
        let moving = queue.jobs.iter().find(|job| job.state.is_under_way());
        let reveal = reveal.then_some(&self.secrets);
        ClusterView::of(name, &stored.document, moving, reveal)
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
                .put(Space::Shards, holder_key, encode(&holder.document));
            for (_, node) in stored.document.nodes() {
                txn = txn.delete(Space::Shards, keys::address(&node.addr));
            }
            Ok(self.documents.commit(txn).await.map(drop)?)
        })
        .await
    }

    /// What happened to a cluster, oldest first.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn events(&self, namespace: &str, name: &str) -> Result<Vec<Event>, ShardsError> {
        let (namespace, name, _) = self.find(namespace, name).await?;
        let key = keys::events(&namespace, &name);
        let stored: Option<Stored<Events>> =
            self.documents.load(&key, Consistency::Linearizable).await?;
        Ok(stored.map_or_else(Vec::new, |stored| stored.document.entries.into()))
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
        let cluster = self.find(namespace, name).await?.2.document;
        Ok(self.push_to_all(&cluster, force).await)
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

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}
