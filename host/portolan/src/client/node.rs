//! `portolan node`.

use clap::{Subcommand, ValueEnum};
use portolan_shards::{NodeAddr, NodeId};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::json;

use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::password::PasswordSource;
use super::run::Run;
use super::shard::shard_path;
use super::table::table;
use super::views::Node;

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Show a shard's nodes
    List {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// The shard's place in the cluster, from 0
        shard: usize,
    },
    /// Add an empty node to a shard
    Add {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// The shard's place in the cluster, from 0
        shard: usize,
        /// The node's address
        #[arg(value_name = "HOST:PORT")]
        addr: NodeAddr,
        /// What it shall be
        #[arg(
            long,
            default_value = "slave",
            value_name = "master|slave",
            hide_possible_values = true
        )]
        role: Role,
        #[command(flatten)]
        #[allow(missing_docs)]
        password: PasswordSource,
    },
    /// Take a replica out of a shard; it forgets the cluster and keeps its data
    Remove {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// The shard's place in the cluster, from 0
        shard: usize,
        /// The node
        #[arg(value_name = "NODE_ID")]
        node: NodeId,
    },
    /// Say that a node has another address now
    Move {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// The node
        #[arg(value_name = "NODE_ID")]
        node: NodeId,
        /// Where it is reached from now on
        #[arg(value_name = "HOST:PORT")]
        addr: NodeAddr,
    },
}

/// What a node is in its shard.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes writes; one per shard
    Master,
    /// Follows the master
    Slave,
}

impl Run for NodeCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List { cluster, shard } => {
                let answer = session.api.get(&nodes_path(&cluster, shard)).await?;
                session.show(&answer, || {
                    let nodes: Vec<Node> = answer.read("nodes")?;
                    let rows = nodes
                        .into_iter()
                        .map(|node| [node.role, node.addr, node.id]);
                    Ok(table(["ROLE", "ADDRESS", "NODE"], rows, session.width()))
                })
            }
            Self::Add {
                cluster,
                shard,
                addr,
                role,
                password,
            } => {
                let password = password.read()?;
                let body =
                    json!({"addr": addr, "role": role, "password": password.expose_secret()});
                let path = nodes_path(&cluster, shard);
                let answer = session.api.post(&path, &body).await?;
                let sentence = format!("node {addr} is in shard {shard} of {cluster}");
                session.done(&answer, sentence)
            }
            Self::Remove {
                cluster,
                shard,
                node,
            } => {
                let path = format!("{}/{node}", nodes_path(&cluster, shard));
                let answer = session.api.delete(&path).await?;
                session.done(&answer, format!("node {node} is no longer in {cluster}"))
            }
            Self::Move {
                cluster,
                node,
                addr,
            } => {
                let path = format!("{}/nodes/{node}", cluster.path());
                let answer = session.api.patch(&path, &json!({"addr": addr})).await?;
                session.done(&answer, format!("node {node} is at {addr}"))
            }
        }
    }
}

fn nodes_path(cluster: &ClusterName, shard: usize) -> String {
    format!("{}/nodes", shard_path(cluster, shard))
}
