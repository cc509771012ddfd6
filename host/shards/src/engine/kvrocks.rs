//! Kvrocks: `CLUSTERX`, and the two `CLUSTER` commands that read.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use redis::Pipeline;

use super::info::{field, number, replication};
use super::link::command;
use super::{
    Access, Engine, Fitness, Links, Member, Migration, MigrationState, NodeError, Probe, Pushed,
    Standing, Started, Statistics, Stopped, Topology, Transfer,
};
use crate::model::Role;
use crate::names::NodeId;
use crate::slots::{SlotRange, SlotSet};

/// Part of what a node answers that belongs to no cluster. Older servers put `ERR ` in front.
const NOT_INITIALISED: &str = "The cluster is not initialized";

/// Part of what a source answers that runs a migration.
const BUSY: &str = "already a migrating job";
/// Part of what a source answers that has given a slot away.
const MIGRATED: &str = "which has been migrated";

/// The Kvrocks engine.
#[derive(Clone)]
pub struct Kvrocks {
    links: Links,
}

impl Kvrocks {
    /// An engine whose connections a node shows under `client_name`.
    pub fn new(client_name: &str) -> Self {
        Self {
            links: Links::new(client_name),
        }
    }

    async fn text(&self, node: &Access, words: &[&str]) -> Result<String, NodeError> {
        self.links.ask(node, &command(words)).await
    }
}

#[async_trait]
impl Engine for Kvrocks {
    async fn inspect(&self, node: &Access) -> Result<Fitness, NodeError> {
        let server = self.text(node, &["INFO", "server"]).await?;
        if field(&server, "kvrocks_version").is_none() {
            let what = match field(&server, "redis_version") {
                Some(version) => format!("is a Redis-like server {version}, not Kvrocks"),
                None => "is not Kvrocks: its INFO names no kvrocks_version".into(),
            };
            return Err(NodeError::WrongServer(what));
        }
        let version = self.text(node, &["CLUSTERX", "VERSION"]).await?;
        // DBSIZE counts only after a scan: a random key says for certain whether there is one.
        let key: Option<Vec<u8>> = self.links.ask(node, &command(&["RANDOMKEY"])).await?;
        Ok(Fitness {
            id: None,
            in_cluster: parse_version(&version)?.is_some(),
            is_empty: key.is_none(),
        })
    }

    async fn probe(&self, node: &Access) -> Result<Probe, NodeError> {
        let mut commands = Pipeline::new();
        commands.cmd("CLUSTERX").arg("MYID");
        commands.cmd("CLUSTERX").arg("VERSION");
        commands.cmd("INFO").arg("replication");
        let (id, version, info): (String, String, String) =
            self.links.ask_all(node, &commands).await?;
        let replication = replication(&info)?;
        Ok(Probe {
            id: id.trim().parse().ok(),
            standing: parse_version(&version)?.map_or(Standing::Outside, Standing::At),
            role: replication.role,
            is_linked: replication.is_linked,
            sequence: replication.sequence,
        })
    }

    async fn topology(&self, node: &Access) -> Result<Option<Topology>, NodeError> {
        let nodes = match self.text(node, &["CLUSTER", "NODES"]).await {
            Err(NodeError::Refused(reason)) if reason.contains(NOT_INITIALISED) => return Ok(None),
            nodes => nodes?,
        };
        let info = self.text(node, &["CLUSTER", "INFO"]).await?;
        let version = number(&info, "cluster_current_epoch")
            .ok_or_else(|| NodeError::Nonsense("CLUSTER INFO without its epoch".into()))?;
        let members = parse_nodes(&nodes).map_err(NodeError::Nonsense)?;
        Ok(Some(Topology {
            version,
            members,
            removed: vec![],
            in_motion: SlotSet::default(),
            appointed: vec![],
        }))
    }

    async fn push(
        &self,
        node: &Access,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        // First, or a node that does not find itself by its address serves nothing.
        self.text(node, &["CLUSTERX", "SETNODEID", id.as_str()])
            .await?;
        let lines = lines(topology);
        let version = topology.version.to_string();
        let mut words = vec!["CLUSTERX", "SETNODES", &lines, &version];
        if force {
            words.push("force");
        }
        self.text(node, &words).await?;
        Ok(Pushed::Changed)
    }

    async fn migrate(&self, transfer: &Transfer) -> Result<Started, NodeError> {
        let slots = transfer.slots.to_string();
        let to = transfer.target_id.as_str();
        let words = ["CLUSTERX", "MIGRATE", &slots, to, "async"];
        match self.text(&transfer.source, &words).await {
            Ok(_) => Ok(Started::Accepted),
            Err(NodeError::Refused(reason)) if reason.contains(BUSY) => Ok(Started::Busy),
            Err(NodeError::Refused(reason)) if reason.contains(MIGRATED) => {
                Ok(Started::AlreadyMigrated)
            }
            Err(error) => Err(error),
        }
    }

    async fn carry_on(&self, transfer: &Transfer) -> Result<Option<Migration>, NodeError> {
        let info = self.text(&transfer.source, &["CLUSTER", "INFO"]).await?;
        Ok(parse_migration(&info))
    }

    async fn stop(&self, _: &Transfer) -> Result<Stopped, NodeError> {
        // It has no command for that: the migration ends by itself.
        Ok(Stopped::NotYet)
    }

    async fn statistics(&self, node: &Access, _: &SlotSet) -> Result<Statistics, NodeError> {
        let info = self.text(node, &["INFO"]).await?;
        Ok(Statistics {
            ops_per_second: number(&info, "instantaneous_ops_per_sec"),
            memory_used: number(&info, "used_memory_rss"),
            disk_used: number(&info, "used_disk_size"),
            disk_total: number(&info, "disk_capacity"),
            data_bytes: number(&info, "used_db_size"),
            ..Statistics::default()
        })
    }

    async fn compares_histories(&self, node: &Access) -> Result<bool, NodeError> {
        // It can be set in the node's configuration file only.
        let get = command(&["CONFIG", "GET", "use-rsid-psync"]);
        match self.links.ask::<Vec<String>>(node, &get).await {
            Ok(pairs) => Ok(pairs.get(1).is_some_and(|value| value == "yes")),
            Err(NodeError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn pause(&self, node: &Access, time: Duration) -> Result<(), NodeError> {
        let ms = time.as_millis().to_string();
        self.text(node, &["CLIENT", "PAUSE", &ms, "WRITE"])
            .await
            .map(drop)
    }

    async fn resume(&self, node: &Access) -> Result<(), NodeError> {
        self.text(node, &["CLIENT", "UNPAUSE"]).await.map(drop)
    }

    async fn reset(&self, node: &Access) -> Result<(), NodeError> {
        match self.text(node, &["CLUSTER", "RESET"]).await {
            Err(NodeError::Refused(reason)) if reason.contains(NOT_INITIALISED) => Ok(()),
            answer => answer.map(drop),
        }
    }
}

/// Reads the lines of `CLUSTER INFO` about the last migration. Older servers name a single slot.
fn parse_migration(info: &str) -> Option<Migration> {
    let slots = field(info, "migrating_slot(s)").or_else(|| field(info, "migrating_slot"))?;
    let destination = field(info, "destination_node")?.parse().ok()?;
    let state = match field(info, "migrating_state")? {
        "start" => MigrationState::Running,
        "success" => MigrationState::Succeeded,
        "fail" => MigrationState::Failed,
        _ => return None,
    };
    Some(Migration::new(slots.parse().ok()?, destination, state))
}

/// Reads `CLUSTERX VERSION`: -1 for a node in no cluster.
fn parse_version(text: &str) -> Result<Option<u64>, NodeError> {
    let version: i64 = text
        .trim()
        .parse()
        .map_err(|_| NodeError::Nonsense(format!("CLUSTERX VERSION: {text:?}")))?;
    Ok(u64::try_from(version).ok())
}

/// What `SETNODES` takes: a line per node. Slots that no line names stay with their old owner, so a
/// topology must name them all.
fn lines(topology: &Topology) -> String {
    let mut text = String::new();
    for member in &topology.members {
        if !text.is_empty() {
            text.push('\n');
        }
        let Member {
            id,
            addr,
            role,
            master,
            slots,
        } = member;
        let (host, port) = (addr.host(), addr.port());
        // Writing to a string does not fail.
        let _ = match (role, master) {
            (Role::Slave, Some(master)) => write!(text, "{id} {host} {port} slave {master}"),
            _ => write!(text, "{id} {host} {port} master -"),
        };
        for range in slots.ranges() {
            let _ = write!(text, " {range}");
        }
    }
    text
}

/// Reads `CLUSTER NODES`: `<id> <host:port@bus> <flags> <master> <ping> <pong> <epoch> <link> <slots>`.
fn parse_nodes(text: &str) -> Result<Vec<Member>, String> {
    let line = |line: &str| -> Option<Member> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (addr, _) = fields.get(1)?.split_once('@').unwrap_or((fields[1], ""));
        let is_slave = fields
            .get(2)?
            .split(',')
            .any(|flag| flag == "slave" || flag == "replica");
        let mut slots = SlotSet::default();
        for word in fields.iter().skip(8) {
            // A migration under way: `[5->-<id>]`, `[5-<-<id>]`.
            if !word.starts_with('[') {
                slots.insert(word.parse::<SlotRange>().ok()?);
            }
        }
        Some(Member {
            id: fields[0].parse().ok()?,
            addr: addr.parse().ok()?,
            role: if is_slave { Role::Slave } else { Role::Master },
            master: fields.get(3)?.parse().ok(),
            slots,
        })
    };
    text.lines()
        .filter(|text| !text.trim().is_empty())
        .map(|text| line(text).ok_or_else(|| format!("CLUSTER NODES: {text:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "0123456789012345678901234567890123456789";
    const REPLICA: &str = "abcdefghijabcdefghijabcdefghijabcdefghij";

    fn topology() -> Topology {
        let mut slots = SlotSet::all();
        slots.remove("3300".parse().unwrap());
        let master = Member {
            id: MASTER.parse().unwrap(),
            addr: "127.0.0.1:17001".parse().unwrap(),
            role: Role::Master,
            master: None,
            slots,
        };
        let replica = Member {
            id: REPLICA.parse().unwrap(),
            addr: "127.0.0.1:17002".parse().unwrap(),
            role: Role::Slave,
            master: Some(MASTER.parse().unwrap()),
            slots: SlotSet::default(),
        };
        Topology {
            version: 7,
            members: vec![master, replica],
            removed: vec![],
            in_motion: SlotSet::default(),
            appointed: vec![],
        }
    }

    #[test]
    fn a_topology_is_written_as_setnodes_takes_it() {
        assert_eq!(
            lines(&topology()),
            format!(
                "{MASTER} 127.0.0.1 17001 master - 0-3299 3301-16383\n\
                 {REPLICA} 127.0.0.1 17002 slave {MASTER}"
            )
        );
    }

    #[test]
    fn cluster_nodes_reads_back_with_a_migration_under_way() {
        let text = format!(
            "{MASTER} 127.0.0.1:17001@27001 myself,master - 1 1 7 connected 0-3299 3301-16383 \
             [3300->-{REPLICA}]\n\
             {REPLICA} 127.0.0.1:17002@27002 slave {MASTER} 1 1 7 connected\n"
        );
        assert_eq!(parse_nodes(&text).unwrap(), topology().members);
        assert!(parse_nodes("nothing of the kind").is_err());
        assert!(parse_nodes(&format!("{MASTER} x y z")).is_err());
    }

    #[test]
    fn a_migration_is_read_as_newer_and_older_servers_tell_it() {
        let text = |slots: &str, state: &str| {
            format!("{slots}\r\ndestination_node: {REPLICA}\r\nmigrating_state: {state}\r\n")
        };
        let read = parse_migration(&text("migrating_slot(s): 5-9", "success")).unwrap();
        assert_eq!(read.slots.to_string(), "5-9");
        assert_eq!(read.destination.as_str(), REPLICA);
        assert_eq!(read.state, MigrationState::Succeeded);
        let old = parse_migration(&text("migrating_slot: 7", "fail")).unwrap();
        assert_eq!(
            (old.slots.to_string(), old.state),
            ("7".into(), MigrationState::Failed)
        );
        assert_eq!(parse_migration(&text("migrating_slot: -1", "none")), None);
        assert_eq!(parse_migration("cluster_state:ok\r\n"), None);
    }
}
