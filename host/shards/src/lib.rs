//! Sharded clusters: namespaces of clusters of Kvrocks, Redis or Valkey servers (*nodes*), each split
//! into *shards* of a master and its replicas that own *slots*.
//!
//! The desired topology of a cluster is a document in the store's `shards` space ([`Cluster`]); every
//! change of it is a pure function of the model, committed before the first node hears of it. How a node
//! is spoken to is an [`engine`]; who proposes which slots to move is a policy ([`Policies`]).
//!
//! [`Shards`] is what the API sees of this. The leader probes all nodes, mends what differs, replaces
//! masters, carries migrations out and lets clusters balance themselves ([`Shards::run`]).
//!
//! The crate knows the store (`portolan-consensus`) and the plugin host (`portolan-sandbox`), and not
//! the DNS side: what joins the two is an event in the store.

#![forbid(unsafe_code)]

mod control;
pub mod engine;
mod error;
mod events;
mod keys;
mod meter;
mod migration;
mod model;
mod names;
mod options;
mod plans;
mod policy;
mod secrets;
mod service;
mod slots;
mod views;

#[cfg(any(test, feature = "testing"))]
pub mod suite;
#[cfg(any(test, feature = "testing"))]
pub mod twin;

pub use engine::NodeError;
pub use error::ShardsError;
pub use events::{Event, EventKind};
pub use migration::{Job, JobState, JobView};
pub use model::{Cluster, EngineKind, Node, Role, Shard, Traits};
pub use names::{BadName, Name, NodeAddr, NodeId};
pub use options::{ClusterSettings, ShardsOptions};
pub use plans::{
    Automatic, Explanation, Hours, Plan, PlanState, PlanView, PlannedMove, RejectedMove, Request,
};
pub use policy::{NoPolicies, Policies, PolicyFailure};
pub use portolan_sandbox::migration::{Budget, Trigger};
pub use service::{JobAction, NewCluster, NewNodes, Push, Shards};
pub use slots::{NotSlots, SLOTS, SlotRange, SlotSet, parse_ranges};
pub use views::{ClusterView, NodeStatus, NodeView, ShardView};
