//! The port to the servers of a cluster: what the rest of the crate can ask of a node.
//!
//! The desired topology is the store's; an engine makes one node hear of it, and tells what a node
//! says of itself. It decides nothing.

pub mod kvrocks;
mod link;

use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::model::Role;
use crate::names::{NodeAddr, NodeId};
use crate::slots::{SlotRange, SlotSet};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitness {
    /// Whether it belongs to a cluster already.
    pub in_cluster: bool,
    /// Whether it holds no key.
    pub is_empty: bool,
}

/// How a node is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its id; none before it was in a cluster.
    pub id: Option<NodeId>,
    /// The version of its topology; none before it was in a cluster.
    pub version: Option<u64>,
    /// What it does, as it says.
    pub role: Role,
    /// How far its data goes: grows with each write.
    pub sequence: u64,
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

/// The last migration of a source, as it tells it. It tells that until the next one or a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Which slots.
    pub slots: SlotRange,
    /// To which master.
    pub destination: NodeId,
    /// How it goes.
    pub state: MigrationState,
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

    /// Makes a node, which has the id `id` there, take over a topology. One that has a higher version
    /// refuses, unless it is forced.
    async fn push(
        &self,
        node: &Access,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<(), NodeError>;

    /// Asks a master to send the keys of slots that it serves to another one.
    async fn migrate(
        &self,
        source: &Access,
        slots: SlotRange,
        to: &NodeId,
    ) -> Result<Started, NodeError>;

    /// The last migration of a master; none since its start.
    async fn migration(&self, source: &Access) -> Result<Option<Migration>, NodeError>;

    /// Holds a node's writes back for a time, or until [`Engine::resume`].
    async fn pause(&self, node: &Access, time: Duration) -> Result<(), NodeError>;

    /// Lets a node's writes go on.
    async fn resume(&self, node: &Access) -> Result<(), NodeError>;

    /// Makes a node forget its cluster. Its data stays.
    async fn reset(&self, node: &Access) -> Result<(), NodeError>;
}
