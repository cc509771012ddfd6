//! Real Redis 7 and Valkey 9 servers on loopback, and clients of a cluster of them.
//!
//! The clients share no code with the daemon, so that the two can disagree.

mod by_hand;
mod client;
mod load;
mod report;
mod server;

pub use by_hand::redis_cluster_by_hand;
pub use client::{ClusterClient, SetError};
pub use load::ClusterLoad;
pub use report::{KeyHistory, LoadReport, Loss, Losses};
pub use server::{Flavour, RedisOptions, RedisServer};
