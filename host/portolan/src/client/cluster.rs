//! `portolan cluster`.

use clap::{Subcommand, ValueEnum};
use portolan_shards::{Name, NodeAddr};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::automatic::Automatic;
use super::cluster_name::{ClusterName, clusters_path};
use super::connection::Session;
use super::error::ClientError;
use super::password::PasswordSource;
use super::run::Run;
use super::settings::{self, Changes};
use super::slot_map::slot_map;
use super::table::{count, maybe, slots, table};
use super::views::{Cluster, Shard};

/// What to do with clusters.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Name the clusters of a namespace
    List {
        /// The namespace
        namespace: Name,
    },
    /// Show a cluster's shards, nodes and slots
    Show {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// With the nodes' passwords
        #[arg(long)]
        secrets: bool,
        /// Ask the nodes how they are
        #[arg(long)]
        status: bool,
    },
    /// Make a cluster of empty nodes
    Create {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// The nodes, those of a shard one after the other, its master first
        #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
        nodes: Vec<NodeAddr>,
        /// How many nodes a shard has, its master included
        #[arg(long, value_name = "N", default_value_t = 1)]
        replicas: usize,
        /// What the nodes are [default: what they say that they are]
        #[arg(long, value_name = "kvrocks|redis|valkey", hide_possible_values = true)]
        engine: Option<Engine>,
        #[command(flatten)]
        #[allow(missing_docs)]
        password: PasswordSource,
    },
    /// Take over a cluster that runs, as its nodes describe it
    Import {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// A node of it, or several
        #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
        nodes: Vec<NodeAddr>,
        #[command(flatten)]
        #[allow(missing_docs)]
        password: PasswordSource,
    },
    /// Forget a cluster; its nodes run on as they are
    Delete {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
    },
    /// Tell all nodes the topology once more
    Sync {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// Overwrite what a node has, even where its version is higher
        #[arg(long, conflicts_with = "adopt")]
        force: bool,
        /// Take over what the nodes have instead
        #[arg(long)]
        adopt: bool,
    },
    /// Show a cluster's own settings, and those in force
    Settings {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
    },
    /// Change a cluster's settings; what is not given stays as it is
    Set {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        #[command(flatten)]
        #[allow(missing_docs)]
        changes: Changes,
    },
    /// Take over a password that was changed on every node
    Password {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        #[command(flatten)]
        #[allow(missing_docs)]
        password: PasswordSource,
    },
    /// Let a cluster balance itself, or not
    Automatic(Automatic),
}

/// What a cluster's nodes are.
#[derive(Debug, Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Apache Kvrocks
    Kvrocks,
    /// Redis
    Redis,
    /// Valkey
    Valkey,
}

/// What nodes are created, imported and added with.
#[derive(Serialize)]
pub(super) struct NewNodes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Name>,
    nodes: &'a [NodeAddr],
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<Engine>,
    password: &'a str,
}

impl<'a> NewNodes<'a> {
    pub(super) fn new(nodes: &'a [NodeAddr], password: &'a str) -> Self {
        Self {
            name: None,
            nodes,
            replicas: None,
            engine: None,
            password,
        }
    }
}

#[derive(Serialize)]
struct NewPassword<'a> {
    password: &'a str,
}

impl Run for ClusterCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List { namespace } => {
                let answer = session.api.get(&clusters_path(&namespace)).await?;
                session.show(&answer, || {
                    Ok(answer.read::<Vec<String>>("clusters")?.join("\n"))
                })
            }
            Self::Show {
                cluster,
                secrets,
                status,
            } => {
                let path = format!("{}?secrets={secrets}&status={status}", cluster.path());
                let answer = session.api.get(&path).await?;
                session.show(&answer, || {
                    Ok(picture(&cluster, &answer.read("cluster")?, session.width()))
                })
            }
            Self::Create {
                cluster,
                nodes,
                replicas,
                engine,
                password,
            } => {
                let password = password.read()?;
                let body = NewNodes {
                    name: Some(cluster.cluster()),
                    replicas: Some(replicas),
                    engine,
                    ..NewNodes::new(&nodes, password.expose_secret())
                };
                let answer = session.api.post(&cluster.clusters_path(), &body).await?;
                session.done(&answer, format!("cluster {cluster} is created"))
            }
            Self::Import {
                cluster,
                nodes,
                password,
            } => {
                let password = password.read()?;
                let body = NewNodes::new(&nodes, password.expose_secret());
                let path = format!("{}/import", cluster.path());
                let answer = session.api.post(&path, &body).await?;
                session.done(&answer, format!("cluster {cluster} is imported"))
            }
            Self::Delete { cluster } => {
                let answer = session.api.delete(&cluster.path()).await?;
                session.done(&answer, format!("cluster {cluster} is deleted"))
            }
            Self::Sync {
                cluster,
                force,
                adopt,
            } => {
                let path = format!("{}/sync?force={force}&adopt={adopt}", cluster.path());
                let answer = session.api.act(&path).await?;
                session.done(
                    &answer,
                    format!("cluster {cluster} and its nodes were synced"),
                )
            }
            Self::Settings { cluster } => settings::show(session, &cluster).await,
            Self::Set { cluster, changes } => settings::change(session, &cluster, &changes).await,
            Self::Password { cluster, password } => {
                let password = password.read_given()?;
                let path = format!("{}/password", cluster.path());
                let body = NewPassword {
                    password: password.expose_secret(),
                };
                let answer = session.api.put(&path, &body).await?;
                session.done(&answer, format!("cluster {cluster} has another password"))
            }
            Self::Automatic(automatic) => automatic.run(session).await,
        }
    }
}

/// The cluster in a line, its nodes and its slots in tables, and a map of the slots.
fn picture(name: &ClusterName, cluster: &Cluster, width: Option<u16>) -> String {
    let Cluster {
        version,
        engine,
        shards,
    } = cluster;
    let nodes = shards.iter().map(|shard| shard.nodes.len()).sum();
    let shard_count = count(shards.len(), "shard");
    let node_count = count(nodes, "node");
    let node_rows = shards.iter().enumerate().flat_map(node_rows);
    let slot_rows = shards
        .iter()
        .enumerate()
        .map(|(index, shard)| [index.to_string(), slots(shard.slots()), moves(shard)]);
    [
        format!("{name}: {engine}, topology version {version}, {shard_count}, {node_count}"),
        table(
            ["SHARD", "ROLE", "ADDRESS", "NODE", "PASSWORD", "STATUS"],
            node_rows,
            width,
        ),
        table(["SHARD", "SLOTS", "MOVES"], slot_rows, width),
        slot_map(shards, width),
    ]
    .join("\n\n")
}

/// A row for each node; the shard stands in the first.
fn node_rows((index, shard): (usize, &Shard)) -> impl Iterator<Item = [String; 6]> {
    shard.nodes.iter().enumerate().map(move |(place, node)| {
        [
            maybe((place == 0).then_some(index)),
            node.role.clone(),
            node.addr.clone(),
            node.id.clone(),
            node.password.clone(),
            node.status(),
        ]
    })
}

fn moves(shard: &Shard) -> String {
    let to = maybe(shard.goes_to());
    let leaving = shard.leaving();
    let leaving = leaving.map(|slots| format!("{slots} to shard {to}"));
    let arriving = shard.arriving();
    let arriving = arriving.map(|slots| format!("{slots} arriving"));
    let moves: Vec<String> = leaving.into_iter().chain(arriving).collect();
    moves.join(", ")
}
