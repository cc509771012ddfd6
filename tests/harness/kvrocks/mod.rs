//! A test fixture: an in-process stand-in for Apache Kvrocks nodes in cluster mode.
//!
//! No package ships Kvrocks, so this speaks RESP2 on loopback and behaves as was recorded from a real
//! node: the exact error sentences, and the six traps that a controller must not step into (a test of
//! `blackbox/kvrocks/traps.rs` each). It is written from that record, without the controller's code, so that the two can
//! disagree. It is no database: keys hold strings, nothing expires, and "disk" is memory that survives
//! [`KvrocksNode::kill`].
//!
//! The nodes of one [`Kvrocks`] know each other by port, so that replication and slot migration between
//! them work; those two are links of their own, which a test cuts, holds and heals. What a client sees
//! is real TCP.

mod cluster;
mod clusterx;
mod commands;
mod data;
mod info;
mod migration;
mod network;
mod node;
mod process;
mod replication;
mod server;
mod slots;
mod store;
mod topology;
mod world;

use crate::resp::{self, RespClient};

pub use network::Kvrocks;
pub use node::KvrocksNode;
pub use process::KvrocksOptions;
pub use slots::hash_slot;
