//! The port to sharded clusters: steering follows their nodes and knows nothing else of them.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::services::ClusterTarget;

/// Where the nodes of sharded clusters are, as the store has them.
#[async_trait]
pub trait Clusters: Send + Sync {
    /// The addresses of the nodes that a service follows; the error is a sentence for the operator.
    async fn nodes(&self, target: &ClusterTarget) -> Result<Vec<IpAddr>, String>;
}

/// Where there are no clusters.
#[derive(Debug, Clone, Copy)]
pub struct NoClusters;

#[async_trait]
impl Clusters for NoClusters {
    async fn nodes(&self, target: &ClusterTarget) -> Result<Vec<IpAddr>, String> {
        Err(format!("there is no cluster {}", target.cluster))
    }
}
