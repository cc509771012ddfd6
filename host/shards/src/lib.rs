//! Sharded clusters: namespaces of clusters of Kvrocks servers (*nodes*), each split into *shards* of a
//! master and its replicas that own *slots*.
//!
//! The desired topology of a cluster is a document in the store's `shards` space ([`Cluster`]); every
//! change of it is a pure function of the model, committed before the first node hears of it. How a node
//! is spoken to is an [`engine`].
//!
//! What stands: the model, the Kvrocks engine, and the contract's namespaces, clusters, shards, nodes,
//! failover and slot migration ([`Shards`]). The leader probes all nodes, mends what differs, replaces
//! masters and carries migrations out ([`Shards::run`]). What is still to come: rebalancing, Redis and
//! Valkey.
//!
//! The crate knows the store (`portolan-consensus`), and not the DNS side: what joins the two is an
//! event in the store.

#![forbid(unsafe_code)]

mod control;
pub mod engine;
mod error;
mod events;
mod keys;
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
pub use plans::{Automatic, Hours, Plan, PlanState, PlannedMove, RejectedMove, Request};
pub use policy::{NoPolicies, Policies, PolicyFailure};
pub use portolan_sandbox::migration::{Budget, Trigger};
pub use service::{JobAction, NewCluster, NewNodes, Push, Shards};
pub use slots::{NotSlots, SLOTS, SlotRange, SlotSet, parse_ranges};
pub use views::{ClusterView, Explanation, NodeStatus, NodeView, PlanView, ShardView};
