//! What an operator says of a cluster and of its shards. The nodes do not hear of it.

use super::Shards;
use crate::engine::NodeError;
use crate::error::ShardsError;
use crate::model::{Cluster, Traits};
use crate::options::{ClusterSettings, ShardsOptions};

impl Shards {
    /// What a cluster has different from the daemon's options, and what that makes.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn settings(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<(ClusterSettings, ShardsOptions), ShardsError> {
        let settings = self.find(namespace, name).await?.2.document.settings;
        let effective = self.options.with(&settings);
        Ok((settings, effective))
    }

    /// Sets what a cluster has different from the daemon's options.
    ///
    /// # Errors
    /// [`ShardsError`] with the setting that is wrong.
    pub async fn set_settings(
        &self,
        namespace: &str,
        name: &str,
        settings: ClusterSettings,
    ) -> Result<ShardsOptions, ShardsError> {
        settings
            .check()
            .map_err(|(at, message)| ShardsError::invalid(at, message))?;
        let effective = self.options.with(&settings);
        self.note(namespace, name, |cluster| {
            cluster.settings = settings.clone();
            Ok(())
        })
        .await?;
        Ok(effective)
    }

    /// Changes what the operator says of a shard, and answers it.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is stored then.
    pub async fn change_traits(
        &self,
        namespace: &str,
        name: &str,
        index: usize,
        change: impl Fn(&mut Traits) + Send + Sync,
    ) -> Result<Traits, ShardsError> {
        let change = &change;
        let cluster = self
            .note(namespace, name, |cluster| {
                let shard = cluster.shard_mut(index)?;
                change(&mut shard.traits);
                Ok(())
            })
            .await?;
        Ok(cluster.shard(index)?.traits.clone())
    }

    /// Notes that the nodes take another password now: they share one, since they log in to one another.
    ///
    /// # Errors
    /// [`ShardsError::Conflict`] with the nodes that do not take it; nothing is stored then. Nodes that
    /// cannot be reached are not asked.
    pub async fn set_password(
        &self,
        namespace: &str,
        name: &str,
        password: &str,
    ) -> Result<(), ShardsError> {
        let mut cluster = self.find(namespace, name).await?.2.document;
        self.seal_all(&mut cluster, password)?;
        let seen = self.probe_all(&cluster).await;
        let nodes = cluster.nodes().zip(seen);
        let refusing: Vec<String> = nodes
            .filter(|(_, seen)| matches!(seen, Err(NodeError::Password(_))))
            .map(|((_, node), _)| node.addr.to_string())
            .collect();
        if !refusing.is_empty() {
            return Err(ShardsError::Conflict(format!(
                "this password is refused by {}: set it on every node first (CONFIG SET requirepass and \
                 masterauth)",
                refusing.join(", ")
            )));
        }
        self.note(namespace, name, |cluster| self.seal_all(cluster, password))
            .await
            .map(drop)
    }

    fn seal_all(&self, cluster: &mut Cluster, password: &str) -> Result<(), ShardsError> {
        let nodes = cluster.shards.iter_mut().flat_map(|shard| &mut shard.nodes);
        for node in nodes {
            node.sealed_password = self.secrets.seal(&node.id, password)?;
        }
        Ok(())
    }

    /// Changes what is known of a cluster and not told to its nodes; answers it.
    pub(super) async fn note(
        &self,
        namespace: &str,
        name: &str,
        change: impl Fn(&mut Cluster) -> Result<(), ShardsError> + Send + Sync,
    ) -> Result<Cluster, ShardsError> {
        let (_, _, cluster) = self.store(namespace, name, change).await?;
        Ok(cluster)
    }
}
