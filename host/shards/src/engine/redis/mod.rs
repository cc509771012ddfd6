//! Redis 7 and Valkey in cluster mode. The nodes tell one another who is in the cluster and who has
//! which slots; a push compares what a node knows with what should be, and gives it the commands that
//! bring it there and that lose nothing.
//!
//! Which node has a slot is the nodes' word: a slot goes from one to another only together with its
//! keys, by a migration ([`migrate`]).

mod migrate;
mod promote;
mod view;

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, FromRedisValue, Pipeline};
use tokio::time::{Instant, sleep};

use self::view::View;
use super::info::{field, number, replication};
use super::{
    Access, Engine, Fitness, Links, Member, Migration, NodeError, Probe, Pushed, SlotStatistics,
    Standing, Started, Statistics, Stopped, Topology, Transfer,
};
use crate::model::Role;
use crate::names::{NodeAddr, NodeId};
use crate::slots::{SLOTS, SlotSet};

/// How long gossip may take to tell a node of its master.
const GOSSIP: Duration = Duration::from_secs(5);
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

    /// The view of a node that has to have this id.
    async fn view_of(&self, node: &Access, id: &NodeId) -> Result<View, NodeError> {
        let view = self.view(node).await?;
        let actual = &view.me().id;
        if actual == id {
            return Ok(view);
        }
        Err(NodeError::Refused(format!(
            "its id is {actual} and not {id}: it was reset, or another server runs there"
        )))
    }

    /// Makes a node forget those that are in the cluster no more.
    async fn forget(
        &self,
        node: &Access,
        view: &View,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let (mut pushed, mut strangers) = (Pushed::Unchanged, vec![]);
        for entry in &view.entries {
            if topology.members.iter().any(|member| member.id == entry.id) {
                continue;
            }
            if force || topology.removed.contains(&entry.id) {
                self.tell(node, &["CLUSTER", "FORGET", entry.id.as_str()])
                    .await?;
                pushed = Pushed::Changed;
            } else {
                let addr = entry.addr.as_ref().map_or("?", NodeAddr::as_str);
                strangers.push(format!("{} ({addr})", entry.id));
            }
        }
        if strangers.is_empty() {
            return Ok(pushed);
        }
        Err(NodeError::Refused(format!(
            "it knows nodes that nobody added here: {}; adopt them with POST …/sync?adopt=true, or have \
             them forgotten with POST …/sync?force=true",
            strangers.join(", ")
        )))
    }

    /// Makes a node known to those members that it does not know.
    async fn meet(
        &self,
        node: &Access,
        view: &View,
        topology: &Topology,
    ) -> Result<Pushed, NodeError> {
        let alone = view.entries.len() == 1;
        if alone && view.me().epoch == 0 {
            // Distinct ones from the start save the masters from sorting that out among themselves.
            let place = topology.members.iter().position(|m| m.id == view.me().id);
            let epoch = (place.unwrap_or(0) + 1).to_string();
            let words = ["CLUSTER", "SET-CONFIG-EPOCH", &epoch];
            if let Err(error @ NodeError::Unreachable(_)) = self.tell(node, &words).await {
                return Err(error);
            }
        }
        let mut pushed = Pushed::Unchanged;
        for member in &topology.members {
            if view.get(&member.id).is_none() {
                let ip = resolve(&member.addr).await?;
                let port = member.addr.port().to_string();
                self.tell(node, &["CLUSTER", "MEET", &ip, &port]).await?;
                pushed = Pushed::Changed;
            }
        }
        Ok(pushed)
    }

    /// Gives a master the slots that are its and that nobody has.
    async fn claim(
        &self,
        node: &Access,
        view: &View,
        member: &Member,
        topology: &Topology,
    ) -> Result<Pushed, NodeError> {
        let wanted = member.slots.without(&topology.in_motion);
        let free = wanted.without(&view.served());
        if !free.is_empty() {
            let mut command = Cmd::new();
            command.arg("CLUSTER").arg("ADDSLOTSRANGE");
            for range in free.ranges() {
                command.arg(range.first()).arg(range.last());
            }
            self.links
                .ask::<redis::Value>(node, &command)
                .await
                .map(drop)?;
            return Ok(Pushed::Changed);
        }
        let elsewhere = wanted.without(&view.me().slots);
        if elsewhere.is_empty() {
            return Ok(Pushed::Unchanged);
        }
        let owner = elsewhere.iter().next().and_then(|slot| view.owner(slot));
        Err(NodeError::Refused(format!(
            "the nodes have given its slots {elsewhere} to {}: adopt that with POST …/sync?adopt=true, \
             then migrate them back if you want them here",
            owner.map_or("another node", NodeId::as_str)
        )))
    }

    /// Keeps a node from going to another shard by itself: servers let replicas go where there are none,
    /// and masters that have lost their last slot become replicas of who got it.
    async fn leave_shards_alone(&self, node: &Access) -> Result<(), NodeError> {
        let words = ["CONFIG", "SET", "cluster-allow-replica-migration", "no"];
        match self.tell(node, &words).await {
            // Where CONFIG is forbidden, what the node does is mended afterwards.
            Ok(()) | Err(NodeError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a node that has followed a master of another shard an empty master again.
    async fn free(&self, node: &Access, topology: &Topology) -> Result<Pushed, NodeError> {
        self.tell(node, &["CLUSTER", "RESET"]).await?;
        let view = self.view(node).await?;
        self.meet(node, &view, topology).await?;
        self.hears_of_all(node, topology).await?;
        Ok(Pushed::Changed)
    }

    /// Waits until a node that was made known to others has heard of all of them and their slots, for as
    /// long as gossip may take.
    async fn hears_of_all(&self, node: &Access, topology: &Topology) -> Result<(), NodeError> {
        let slots = topology.members.iter().flat_map(|m| m.slots.ranges());
        let slots: SlotSet = slots.copied().collect::<Vec<_>>().into();
        let deadline = Instant::now() + GOSSIP;
        while Instant::now() < deadline {
            let view = self.view(node).await?;
            let knows_all = topology.members.iter().all(|m| view.get(&m.id).is_some());
            if knows_all && slots.without(&view.served()).is_empty() {
                break;
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Makes a node follow its master, once it knows it.
    async fn follow(
        &self,
        node: &Access,
        id: &NodeId,
        master: &NodeId,
    ) -> Result<Pushed, NodeError> {
        let deadline = Instant::now() + GOSSIP;
        loop {
            let view = self.view_of(node, id).await?;
            let me = view.me();
            if me.role == Role::Slave && me.master.as_ref() == Some(master) {
                return Ok(Pushed::Unchanged);
            }
            let known = view.get(master).is_some_and(|m| m.role == Role::Master);
            // A master that still has slots follows by itself, as soon as it hears who has them now.
            if known && (me.role == Role::Slave || me.slots.is_empty()) {
                self.tell(node, &["CLUSTER", "REPLICATE", master.as_str()])
                    .await?;
                return Ok(Pushed::Changed);
            }
            if Instant::now() > deadline {
                return Err(NodeError::Refused(if known {
                    format!("it still serves {} and follows nobody", me.slots)
                } else {
                    format!("it has not heard yet that {master} is a master")
                }));
            }
            sleep(LOOK_AGAIN).await;
        }
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
            in_cluster: view.entries.len() > 1 || !view.me().slots.is_empty(),
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
        let in_cluster = view.entries.len() > 1 || !view.me().slots.is_empty();
        Ok(in_cluster.then(|| view.topology()))
    }

    async fn push(
        &self,
        node: &Access,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let member = topology.members.iter().find(|member| member.id == *id);
        let member =
            member.ok_or_else(|| NodeError::Refused(format!("{id} is not in its topology")))?;
        let view = self.view_of(node, id).await?;
        self.leave_shards_alone(node).await?;
        let met = self.meet(node, &view, topology).await?;
        let placed = match (&member.master, view.me().role) {
            (Some(master), _) => self.follow(node, id, master).await?,
            (None, Role::Slave) if is_own(topology, id, &view) => self.promote(node, &view).await?,
            (None, Role::Slave) => self.free(node, topology).await?,
            (None, Role::Master) => self.claim(node, &view, member, topology).await?,
        };
        if met == Pushed::Changed {
            self.hears_of_all(node, topology).await?;
        }
        // Last: what it complains about does not keep the rest from being mended.
        let forgot = self.forget(node, &view, topology, force).await?;
        Ok(if [met, placed, forgot].contains(&Pushed::Changed) {
            Pushed::Changed
        } else {
            Pushed::Unchanged
        })
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

/// Whether a replica follows a node of its own shard, which it replaces.
fn is_own(topology: &Topology, id: &NodeId, view: &View) -> bool {
    let mut replaced = topology
        .members
        .iter()
        .filter(|member| member.master.as_ref() == Some(id));
    replaced.any(|member| Some(&member.id) == view.me().master.as_ref())
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

fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

/// The IP address of a node: `CLUSTER MEET` takes no name.
async fn resolve(addr: &NodeAddr) -> Result<String, NodeError> {
    let found = tokio::net::lookup_host((addr.host(), addr.port())).await;
    let first = found.ok().and_then(|mut addresses| addresses.next());
    first
        .map(|address| address.ip().to_string())
        .ok_or_else(|| {
            NodeError::Refused(format!(
                "the name {} of another node has no address",
                addr.host()
            ))
        })
}
