//! The port to the servers of a cluster: what the rest of the crate can ask of a node.
//!
//! The desired topology is the store's; an engine makes one node hear of it, and tells what a node
//! says of itself. It decides nothing.

mod info;
pub mod kvrocks;
mod link;
pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::model::{EngineKind, Role};
use crate::names::{NodeAddr, NodeId};
use crate::slots::{SlotRange, SlotSet};

use self::kvrocks::Kvrocks;
use self::redis::Redis;
pub use link::Links;

/// How a node is reached.
#[derive(Clone)]
pub struct Access {
    /// Where.
    pub addr: NodeAddr,
    /// Its password; none where it takes none.
    pub password: Option<Zeroizing<String>>,
}

/// Why a node did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// No connection, or no answer in time.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It wants another password.
    #[error("refuses the password: {0}")]
    Password(String),
    /// It reads its data from disk; it is alive.
    #[error("is still loading its data")]
    Loading,
    /// It is not a server that this engine manages.
    #[error("{0}")]
    WrongServer(String),
    /// It answered with an error.
    #[error("answered: {0}")]
    Refused(String),
    /// Its answer is not what such a server says.
    #[error("gave an answer that makes no sense: {0}")]
    Nonsense(String),
}

/// Whether a node may be taken into a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitness {
    /// The id that it has by itself; none where it takes the one that it is given.
    pub id: Option<NodeId>,
    /// Whether it belongs to a cluster already.
    pub in_cluster: bool,
    /// Whether it holds no key.
    pub is_empty: bool,
}

/// What a node knows of its cluster's topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: it is in no cluster.
    Outside,
    /// The topology of this version.
    At(u64),
    /// What the nodes have told one another, which carries no version of ours.
    Gossip,
}

/// How a node is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its id; none before it was in a cluster.
    pub id: Option<NodeId>,
    /// What it knows of the topology.
    pub standing: Standing,
    /// What it does, as it says.
    pub role: Role,
    /// Whether it is a replica that has its master's data and hears of each write.
    pub is_linked: bool,
    /// How far its data goes: grows with each write.
    pub sequence: u64,
}

/// Slots on their way from one master to another.
#[derive(Clone)]
pub struct Transfer {
    /// Which slots.
    pub slots: SlotRange,
    /// How the master that has them is reached.
    pub source: Access,
    /// Its id.
    pub source_id: NodeId,
    /// How the master that gets them is reached.
    pub target: Access,
    /// Its id.
    pub target_id: NodeId,
    /// How often this has failed so far.
    pub attempts: u32,
}

/// What a node said to the request for a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It is under way.
    Accepted,
    /// It has given these slots away already, and waits to be told who serves them.
    AlreadyMigrated,
    /// It is busy with one migration.
    Busy,
}

/// How a migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationState {
    /// Keys are on their way.
    Running,
    /// All keys are there; the topology has to follow.
    Succeeded,
    /// It ended; the source has everything.
    Failed,
}

/// A migration, as its source tells it. Some tell that until the next one or a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Which slots.
    pub slots: SlotRange,
    /// To which master.
    pub destination: NodeId,
    /// How it goes.
    pub state: MigrationState,
    /// The slots that have the new owner already, where they go one by one.
    pub moved: SlotSet,
    /// How many keys went since the last question, where that is known.
    pub keys: Option<u64>,
    /// How many bytes are still to go, where that is known.
    pub bytes_left: Option<u64>,
    /// Why it failed, in the server's words.
    pub reason: Option<String>,
}

impl Migration {
    /// One of which only the state is known.
    pub(crate) fn new(slots: SlotRange, destination: NodeId, state: MigrationState) -> Self {
        Self {
            slots,
            destination,
            state,
            moved: SlotSet::default(),
            keys: None,
            bytes_left: None,
            reason: None,
        }
    }
}

/// What became of the request to stop a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing moves any more, and every slot has one owner.
    Yes,
    /// It takes longer: ask again.
    NotYet,
}

/// Whether a push found anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The node was told something.
    Changed,
    /// It was as it should be.
    Unchanged,
}

/// One line of a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node's id.
    pub id: NodeId,
    /// Where the others and the clients reach it.
    pub addr: NodeAddr,
    /// What it does.
    pub role: Role,
    /// The master that a replica follows.
    pub master: Option<NodeId>,
    /// The slots that a master serves.
    pub slots: SlotSet,
}

/// All nodes of a cluster at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The version.
    pub version: u64,
    /// The nodes.
    pub members: Vec<Member>,
    /// Nodes that were taken out, for engines whose nodes remember them.
    pub removed: Vec<NodeId>,
    /// Slots on their way from one master to another: where the nodes see to that by themselves, it is
    /// not for a topology to say who has them.
    pub in_motion: SlotSet,
    /// Masters that were appointed here and have not been seen to be masters since. Where nodes replace
    /// masters by themselves, only these are made masters: what the nodes decided is theirs to decide.
    pub appointed: Vec<NodeId>,
}

/// What a node tells of its load. What its server does not count is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// How many commands it carries out.
    pub ops_per_second: Option<f64>,
    /// Bytes of memory in use, and how many it may use.
    pub memory_used: Option<u64>,
    /// See `memory_used`.
    pub memory_limit: Option<u64>,
    /// Bytes of disk in use, and how many there are.
    pub disk_used: Option<u64>,
    /// See `disk_used`.
    pub disk_total: Option<u64>,
    /// How many keys it has.
    pub keys: Option<u64>,
    /// How many bytes they and their values take.
    pub data_bytes: Option<u64>,
    /// Per slot, where the server counts that. Totals since the server's start, save for the keys.
    pub slots: Vec<SlotStatistics>,
}

/// What a node tells of one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotStatistics {
    /// Which.
    pub slot: u16,
    /// How many keys it has.
    pub keys: u64,
    /// Microseconds of CPU that its commands took.
    pub cpu_usec: Option<u64>,
    /// Bytes that its commands and answers had.
    pub network_bytes: Option<u64>,
}

/// What kind of server a cluster is made of, and how it is spoken to.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Looks whether a node is such a server, and may be taken into a cluster.
    async fn inspect(&self, node: &Access) -> Result<Fitness, NodeError>;

    /// Asks a node how it is.
    async fn probe(&self, node: &Access) -> Result<Probe, NodeError>;

    /// The topology as a node has it; none when it belongs to no cluster.
    async fn topology(&self, node: &Access) -> Result<Option<Topology>, NodeError>;

    /// Makes a node, which has the id `id` there, take over a topology. One that knows better (a higher
    /// version, slots that nobody here gave to it) refuses, unless it is forced.
    async fn push(
        &self,
        node: &Access,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError>;

    /// Asks the source to send the keys of slots to the target. Asking once more is harmless.
    async fn migrate(&self, transfer: &Transfer) -> Result<Started, NodeError>;

    /// How the last migration of the source goes; none since its start. Where servers do not move keys
    /// by themselves, this call moves some.
    async fn carry_on(&self, transfer: &Transfer) -> Result<Option<Migration>, NodeError>;

    /// Stops a migration. Slots that have the new owner stay there.
    async fn stop(&self, transfer: &Transfer) -> Result<Stopped, NodeError>;

    /// What a master that serves `slots` tells of its load.
    async fn statistics(&self, node: &Access, slots: &SlotSet) -> Result<Statistics, NodeError>;

    /// Whether a node that becomes a replica compares its history with its master's, and drops what only
    /// it has.
    async fn compares_histories(&self, node: &Access) -> Result<bool, NodeError>;

    /// Holds a node's writes back for a time, or until [`Engine::resume`].
    async fn pause(&self, node: &Access, time: Duration) -> Result<(), NodeError>;

    /// Lets a node's writes go on.
    async fn resume(&self, node: &Access) -> Result<(), NodeError>;

    /// Makes a node forget its cluster. A master's data stays.
    async fn reset(&self, node: &Access) -> Result<(), NodeError>;
}

/// The engines that there are.
#[derive(Clone)]
pub struct Engines {
    kvrocks: Arc<dyn Engine>,
    redis: Arc<dyn Engine>,
}

impl Engines {
    /// Those for real servers, whose connections a node shows under `client_name`.
    pub fn new(client_name: &str) -> Self {
        Self {
            kvrocks: Arc::new(Kvrocks::new(client_name)),
            redis: Arc::new(Redis::new(client_name)),
        }
    }

    /// The same engine for all kinds of servers.
    pub fn only(engine: Arc<dyn Engine>) -> Self {
        Self {
            kvrocks: engine.clone(),
            redis: engine,
        }
    }

    /// The engine for this kind of servers.
    pub fn of(&self, kind: EngineKind) -> &dyn Engine {
        match kind {
            EngineKind::Kvrocks => &*self.kvrocks,
            EngineKind::Redis => &*self.redis,
        }
    }

    /// Which kind of server a node is, and whether it may be taken into a cluster.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::WrongServer`] for one that no engine knows.
    pub async fn detect(&self, node: &Access) -> Result<(EngineKind, Fitness), NodeError> {
        match self.kvrocks.inspect(node).await {
            Err(NodeError::WrongServer(_)) => {
                Ok((EngineKind::Redis, self.redis.inspect(node).await?))
            }
            fitness => Ok((EngineKind::Kvrocks, fitness?)),
        }
    }
}
