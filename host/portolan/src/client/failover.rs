//! `portolan failover`.

use clap::Args;
use portolan_shards::NodeId;
use serde::Serialize;

use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::run::Run;
use super::shard::shard_path;

/// Which master to replace, and by whom.
#[derive(Debug, Args)]
pub struct Failover {
    /// The cluster
    #[arg(value_name = "NS/NAME")]
    cluster: ClusterName,
    /// The shard's place in the cluster, from 0
    shard: usize,
    #[command(flatten)]
    wishes: Wishes,
}

#[derive(Debug, Args, Serialize)]
struct Wishes {
    /// The replica that shall be the master [default: the one whose data goes furthest]
    #[arg(long = "to", value_name = "NODE_ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_node_id: Option<NodeId>,
    /// Replace a master that does not answer too; what the replica does not have is lost
    #[arg(long)]
    force: bool,
}

impl Run for Failover {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        let Self {
            cluster,
            shard,
            wishes,
        } = self;
        let path = format!("{}/failover", shard_path(&cluster, shard));
        let answer = session.api.post(&path, &wishes).await?;
        session.show(&answer, || {
            let master: String = answer.read("new_master_id")?;
            Ok(format!(
                "node {master} is the master of shard {shard} of {cluster}"
            ))
        })
    }
}
