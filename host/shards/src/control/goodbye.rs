//! Nodes that were taken out of a cluster while nobody reached them. They still believe that they belong
//! to it: a former master takes writes, a former replica follows. They are told as soon as they answer.

use std::time::Duration;

use portolan_consensus::Consistency;
use portolan_consensus::documents::Stored;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::NodeError;
use crate::error::ShardsError;
use crate::keys;
use crate::model::{AddressOwner, Cluster, Node};
use crate::service::{Place, Shards};

/// How often they are tried.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(2);

impl Shards {
    /// Tells nodes that they were taken out, until `ended`.
    pub(super) async fn say_goodbye(&self, place: &Place, ended: CancellationToken) {
        while !ended.is_cancelled() {
            if let Ok(Some(stored)) = self.here(place).await {
                for node in &stored.document.leaving {
                    match self.has_left(&stored.document, node).await {
                        Ok(true) => self.left(place, std::slice::from_ref(&node.id)).await,
                        Ok(false) => {}
                        Err(error) => {
                            tracing::warn!(%error, addr = %node.addr, "a node that was taken out was not told");
                        }
                    }
                }
            }
            ended.run_until_cancelled(sleep(TRY_AGAIN)).await;
        }
    }

    /// Whether there is nothing more to tell a node: it was told now, or is not the one any more that was
    /// taken out.
    async fn has_left(&self, cluster: &Cluster, node: &Node) -> Result<bool, ShardsError> {
        let key = keys::address(&node.addr);
        let owner: Option<Stored<AddressOwner>> =
            self.documents.load(&key, Consistency::Linearizable).await?;
        if owner.is_some() {
            return Ok(true);
        }
        match self.probe(cluster, node).await {
            Ok(probe) if probe.id.as_ref() == Some(&node.id) => {}
            Ok(_) => return Ok(true),
            Err(_) => return Ok(false),
        }
        let access = self.secrets.access(node)?;
        let reset = self.engines.of(cluster.engine).reset(&access);
        match timeout(PATIENCE, reset).await {
            Ok(Ok(())) => {
                tracing::info!(addr = %node.addr, "a node that was taken out has been told");
                Ok(true)
            }
            Ok(Err(NodeError::Unreachable(_))) | Err(_) => Ok(false),
            Ok(Err(error)) => Err(ShardsError::node(&node.addr)(error)),
        }
    }
}
