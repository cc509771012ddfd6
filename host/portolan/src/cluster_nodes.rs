//! What joins the two halves: DNS services that follow the nodes of sharded clusters.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use portolan_shards::{Role, Shards};
use portolan_steering::{ClusterTarget, Clusters, NodeRole};

/// The clusters that this daemon manages, as steering sees them.
pub(crate) struct ClusterNodes(pub(crate) Arc<Shards>);

#[async_trait]
impl Clusters for ClusterNodes {
    async fn nodes(&self, target: &ClusterTarget) -> Result<Vec<IpAddr>, String> {
        let ClusterTarget {
            namespace,
            cluster,
            shard,
            role,
        } = target;
        let view = self.0.cluster(namespace, cluster, false).await;
        let shards = view.map_err(|error| error.to_string())?.shards;
        let wanted = match role {
            NodeRole::Master => Role::Master,
            NodeRole::Replica => Role::Slave,
        };
        if let Some(index) = shard
            && *index >= shards.len()
        {
            let count = shards.len();
            return Err(format!(
                "{cluster} has {count} shards, and no shard {index}"
            ));
        }
        let mut addresses = Vec::new();
        for (index, view) in shards.into_iter().enumerate() {
            if shard.is_some_and(|only| only != index) {
                continue;
            }
            for node in view.nodes.into_iter().filter(|node| node.role == wanted) {
                let address = node.addr.host().parse().map_err(|_| {
                    format!(
                        "the node {} is known by a name, and a record needs an address",
                        node.addr
                    )
                })?;
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}
