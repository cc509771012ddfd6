//! `portolan shard`.

use std::collections::BTreeMap;

use clap::{ArgAction, Args, Subcommand};
use portolan_shards::NodeAddr;
use secrecy::ExposeSecret as _;
use serde::{Serialize, Serializer};

use super::cluster::NewNodes;
use super::cluster_name::ClusterName;
use super::connection::Session;
use super::error::ClientError;
use super::pairs;
use super::password::PasswordSource;
use super::run::Run;
use super::table::{decimal, maybe, slots, table};
use super::views::Shard;

/// What to do with shards.
#[derive(Debug, Subcommand)]
pub enum ShardCommand {
    /// Show a cluster's shards
    List {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
    },
    /// Add a shard without slots
    Create {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// Its nodes, the master first
        #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
        nodes: Vec<NodeAddr>,
        #[command(flatten)]
        #[allow(missing_docs)]
        password: PasswordSource,
    },
    /// Delete a shard that serves no slots; those after it move up by one
    Delete {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// The shard's place in the cluster, from 0
        index: usize,
    },
    /// Say what rebalancing is to know about a shard
    Set {
        /// The cluster
        #[arg(value_name = "NS/NAME")]
        cluster: ClusterName,
        /// The shard's place in the cluster, from 0
        index: usize,
        #[command(flatten)]
        #[allow(missing_docs)]
        traits: Traits,
    },
}

/// What rebalancing knows about a shard. What is not given stays as it is.
#[derive(Debug, Args, Serialize)]
#[group(required = true, multiple = true)]
pub struct Traits {
    /// Its share among the shards; 100 is an ordinary one
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    /// Where it stands; empty for nowhere in particular
    #[arg(long)]
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "empty_as_null"
    )]
    zone: Option<String>,
    /// Whether it is to be emptied
    #[arg(long, action = ArgAction::Set, value_name = "true|false", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    draining: Option<bool>,
    /// Anything else that policies heed; KEY= takes a label away; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pairs::label)]
    #[serde(skip)]
    label: Vec<(String, String)>,
    /// All labels as they are to be; none where they stay as they are.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Labels>,
}

type Labels = BTreeMap<String, String>;

impl Traits {
    /// Makes the labels out of those that there are; the server takes all or none.
    fn label(&mut self, mut labels: Labels) {
        for (key, value) in self.label.drain(..) {
            if value.is_empty() {
                labels.remove(&key);
            } else {
                labels.insert(key, value);
            }
        }
        self.labels = Some(labels);
    }
}

fn empty_as_null<S: Serializer>(zone: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let zone = zone.as_ref().filter(|zone| !zone.is_empty());
    zone.serialize(serializer)
}

impl Run for ShardCommand {
    async fn run(self, session: &Session) -> Result<(), ClientError> {
        match self {
            Self::List { cluster } => {
                let answer = session.api.get(&shards_path(&cluster)).await?;
                session.show(&answer, || {
                    Ok(list(&answer.read::<Vec<Shard>>("shards")?, session.width()))
                })
            }
            Self::Create {
                cluster,
                nodes,
                password,
            } => {
                let password = password.read()?;
                let body = NewNodes::new(&nodes, password.expose_secret());
                let answer = session.api.post(&shards_path(&cluster), &body).await?;
                session.done(&answer, format!("cluster {cluster} has a new shard"))
            }
            Self::Delete { cluster, index } => {
                let answer = session.api.delete(&shard_path(&cluster, index)).await?;
                session.done(&answer, format!("shard {index} of {cluster} is deleted"))
            }
            Self::Set {
                cluster,
                index,
                mut traits,
            } => {
                let path = shard_path(&cluster, index);
                if !traits.label.is_empty() {
                    let shard: Shard = session.api.get(&path).await?.read("shard")?;
                    traits.label(shard.labels);
                }
                let answer = session.api.patch(&path, &traits).await?;
                session.done(&answer, format!("shard {index} of {cluster} is changed"))
            }
        }
    }
}

/// The path of a cluster's shards.
pub(super) fn shards_path(cluster: &ClusterName) -> String {
    format!("{}/shards", cluster.path())
}

/// A shard's own path.
pub(super) fn shard_path(cluster: &ClusterName, index: usize) -> String {
    format!("{}/{index}", shards_path(cluster))
}

/// `disk=ssd, rack=4`.
fn labels(labels: &Labels) -> String {
    let texts: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    texts.join(", ")
}

fn list(shards: &[Shard], width: Option<u16>) -> String {
    let rows = shards.iter().enumerate().map(|(index, shard)| {
        [
            index.to_string(),
            maybe(shard.master().map(|node| &node.addr)),
            shard.nodes.len().to_string(),
            shard.slot_count().to_string(),
            slots(shard.slots()),
            maybe(shard.weight.map(decimal)),
            maybe(shard.zone.as_deref()),
            maybe(shard.draining.then_some("yes")),
            labels(&shard.labels),
        ]
    });
    let header = [
        "SHARD", "MASTER", "NODES", "SLOTS", "RANGES", "WEIGHT", "ZONE", "DRAINING", "LABELS",
    ];
    table(header, rows, width)
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn only_what_was_given_is_changed() {
        let mut traits = Traits {
            weight: None,
            zone: None,
            draining: Some(false),
            label: Vec::new(),
            labels: None,
        };
        let sent = |traits: &Traits| serde_json::to_value(traits).unwrap();
        assert_eq!(sent(&traits), json!({"draining": false}));
        traits.zone = Some(String::new());
        assert_eq!(sent(&traits), json!({"draining": false, "zone": null}));

        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        traits.label = vec![pair("disk", "ssd"), pair("rack", "")];
        traits.label([pair("rack", "4"), pair("room", "1")].into());
        let labels = json!({"disk": "ssd", "room": "1"});
        assert_eq!(sent(&traits)["labels"], labels);
    }

    #[test]
    fn only_what_is_known_has_a_column() {
        let node = json!({"id": "a", "addr": "h:1", "role": "master"});
        let plain = json!([{"nodes": [node], "slot_ranges": ["0-9"]}]);
        assert_eq!(
            list(&from_value::<Vec<Shard>>(plain).unwrap(), None),
            "SHARD  MASTER  NODES  SLOTS  RANGES\n0      h:1     1      10     0-9"
        );
        let known = json!([{"nodes": [node], "weight": 1.5, "zone": "a", "draining": true,
                            "labels": {"b": "2", "a": "1"}}]);
        assert_eq!(
            list(&from_value::<Vec<Shard>>(known).unwrap(), None),
            "SHARD  MASTER  NODES  SLOTS  WEIGHT  ZONE  DRAINING  LABELS\n\
             0      h:1     1      0      1.5     a     yes       a=1, b=2"
        );
    }
}
