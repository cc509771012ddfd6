//! Redis 7 and Valkey in cluster mode. The nodes tell one another who is in the cluster and who has
//! which slots; a push compares what a node knows with what should be, and gives it the commands that
//! bring it there and that lose nothing.
//!
//! Which node has a slot is the nodes' word: a slot goes from one to another only together with its
//! keys, by a migration ([`migrate`]).

mod migrate;
mod promote;
mod topology;
mod view;

use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, Pipeline};

use self::view::View;
use super::info::{field, number, replication};
use super::link::command;
use super::{
    Access, Engine, Fitness, Links, Migration, NodeError, Probe, Pushed, SlotStatistics, Standing,
    Started, Statistics, Stopped, Topology, Transfer,
};
use crate::names::NodeId;
use crate::slots::{SLOTS, SlotSet};

/// How often a node is asked whether something has happened.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long the answer to a command may take that moves keys, during which the server does nothing else.
const MOVING: Duration = Duration::from_secs(30);

/// The engine of Redis and Valkey.
#[derive(Clone)]
pub struct Redis {
    links: Links,
    /// For commands that may take long.
    slow_links: Links,
}

impl Redis {
    /// An engine whose connections a node shows under `client_name`.
    pub fn new(client_name: &str) -> Self {
        Self {
            links: Links::new(client_name),
            slow_links: Links::patient(client_name, MOVING),
        }
    }

    async fn ask<T: FromRedisValue>(&self, node: &Access, words: &[&str]) -> Result<T, NodeError> {
        self.links.ask(node, &command(words)).await
    }

    async fn tell(&self, node: &Access, words: &[&str]) -> Result<(), NodeError> {
        self.ask::<redis::Value>(node, words).await.map(drop)
    }

    async fn view(&self, node: &Access) -> Result<View, NodeError> {
        let text: String = self.ask(node, &["CLUSTER", "NODES"]).await?;
        View::parse(&text).map_err(NodeError::Nonsense)
    }
}

#[async_trait]
impl Engine for Redis {
    async fn inspect(&self, node: &Access) -> Result<Fitness, NodeError> {
        let info: String = self.ask(node, &["INFO"]).await?;
        let server = field(&info, "server_name").unwrap_or("redis");
        let Some(version) = field(&info, "valkey_version").or(field(&info, "redis_version")) else {
            let what = "is neither Redis nor Valkey: its INFO names no redis_version";
            return Err(NodeError::WrongServer(what.into()));
        };
        if field(&info, "cluster_enabled") != Some("1") {
            return Err(NodeError::WrongServer(format!(
                "is {server} {version} without cluster mode: start it with `cluster-enabled yes`"
            )));
        }
        let view = self.view(node).await?;
        let keys: u64 = self.ask(node, &["DBSIZE"]).await?;
        Ok(Fitness {
            id: Some(view.me().id.clone()),
            in_cluster: view.is_in_cluster(),
            is_empty: keys == 0,
        })
    }

    async fn probe(&self, node: &Access) -> Result<Probe, NodeError> {
        let mut commands = Pipeline::new();
        commands.cmd("CLUSTER").arg("MYID");
        commands.cmd("INFO").arg("replication");
        commands.cmd("INFO").arg("persistence");
        let (id, info, persistence): (String, String, String) =
            self.links.ask_all(node, &commands).await?;
        // Valkey answers while it loads, and says that it is a master then.
        if field(&persistence, "loading") == Some("1") {
            return Err(NodeError::Loading);
        }
        let replication = replication(&info)?;
        Ok(Probe {
            id: id.parse().ok(),
            standing: Standing::Gossip,
            role: replication.role,
            is_linked: replication.is_linked,
            sequence: replication.sequence,
        })
    }

    async fn topology(&self, node: &Access) -> Result<Option<Topology>, NodeError> {
        let view = self.view(node).await?;
        Ok(view.is_in_cluster().then(|| view.topology()))
    }

    async fn push(
        &self,
        node: &Access,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        self.bring_in_line(node, id, topology, force).await
    }

    async fn migrate(&self, transfer: &Transfer) -> Result<Started, NodeError> {
        self.start_transfer(transfer).await
    }

    async fn carry_on(&self, transfer: &Transfer) -> Result<Option<Migration>, NodeError> {
        self.carry_transfer_on(transfer).await
    }

    async fn stop(&self, transfer: &Transfer) -> Result<Stopped, NodeError> {
        self.stop_transfer(transfer).await
    }

    async fn statistics(&self, node: &Access, slots: &SlotSet) -> Result<Statistics, NodeError> {
        let info: String = self.ask(node, &["INFO"]).await?;
        let counted = self.slot_statistics(node, slots).await?;
        Ok(Statistics {
            ops_per_second: number(&info, "instantaneous_ops_per_sec"),
            memory_used: number(&info, "used_memory"),
            memory_limit: number(&info, "maxmemory").filter(|limit| *limit > 0),
            data_bytes: number(&info, "used_memory_dataset"),
            keys: Some(counted.iter().map(|slot| slot.keys).sum()),
            slots: counted,
            ..Statistics::default()
        })
    }

    async fn compares_histories(&self, _: &Access) -> Result<bool, NodeError> {
        // By the replication id: what does not match is copied anew.
        Ok(true)
    }

    async fn pause(&self, node: &Access, time: Duration) -> Result<(), NodeError> {
        let ms = time.as_millis().to_string();
        self.tell(node, &["CLIENT", "PAUSE", &ms, "WRITE"]).await
    }

    async fn resume(&self, node: &Access) -> Result<(), NodeError> {
        self.tell(node, &["CLIENT", "UNPAUSE"]).await
    }

    async fn reset(&self, node: &Access) -> Result<(), NodeError> {
        self.tell(node, &["CLUSTER", "RESET"]).await
    }
}

impl Redis {
    /// `CLUSTER SLOT-STATS` where the server has it, otherwise the keys of each slot alone.
    async fn slot_statistics(
        &self,
        node: &Access,
        slots: &SlotSet,
    ) -> Result<Vec<SlotStatistics>, NodeError> {
        let last = (SLOTS - 1).to_string();
        let words = ["CLUSTER", "SLOT-STATS", "SLOTSRANGE", "0", &last];
        match self.ask::<redis::Value>(node, &words).await {
            Ok(answer) => Ok(slot_stats(&answer)),
            Err(NodeError::Refused(_)) => {
                let mut commands = Pipeline::new();
                for slot in slots.iter() {
                    commands.cmd("CLUSTER").arg("COUNTKEYSINSLOT").arg(slot);
                }
                if slots.is_empty() {
                    return Ok(vec![]);
                }
                let counts: Vec<u64> = self.links.ask_all(node, &commands).await?;
                let counted = slots.iter().zip(counts).map(|(slot, keys)| SlotStatistics {
                    slot,
                    keys,
                    ..SlotStatistics::default()
                });
                Ok(counted.collect())
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads `CLUSTER SLOT-STATS`: `[[slot, [name, number, ...]], ...]`. What is not understood is left out.
fn slot_stats(answer: &redis::Value) -> Vec<SlotStatistics> {
    type Counts = std::collections::HashMap<String, u64>;
    let Ok(rows) = redis::from_redis_value_ref::<Vec<(u16, Counts)>>(answer) else {
        return vec![];
    };
    let read = |(slot, counts): (u16, Counts)| {
        let network = ["network-bytes-in", "network-bytes-out"].map(|name| counts.get(name));
        SlotStatistics {
            slot,
            keys: counts.get("key-count").copied().unwrap_or(0),
            cpu_usec: counts.get("cpu-usec").copied(),
            network_bytes: match network {
                [Some(bytes_in), Some(bytes_out)] => Some(bytes_in + bytes_out),
                _ => None,
            },
        }
    };
    rows.into_iter().map(read).collect()
}
