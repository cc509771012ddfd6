//! What the black-box tests and the benchmark stand on: real processes, real servers, real clients.
//!
//! Everything runs on loopback, in temporary directories, and ends with the value that owns it. A
//! harness has one answer to a surprise: it panics with a sentence that says what was expected, and
//! each [`Process`] then prints the end of its log.

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness reports by panicking; the test that uses it shows the sentence"
)]

mod bind;
mod client;
mod cluster;
mod cocoa;
mod daemon;
mod directory;
mod dns_front;
mod etcd;
mod fronted_powerdns;
mod knot;
mod kvrocks;
mod load;
mod nameserver;
mod network;
mod plugin;
mod ports;
mod powerdns;
mod powerdns_updates;
mod process;
mod proxy;
mod redis;
mod resp;
mod wait;
mod wire;
mod workload;

pub use client::{Client, Reply};
pub use cluster::{Cluster, Setup};
pub use cocoa::CocoaStub;
pub use daemon::{Daemon, built_plugins};
pub use directory::{
    bytes_on_disk, checkpoint_file, files_containing, flip_bit, log_files, truncate,
};
pub use etcd::Etcd;
pub use fronted_powerdns::FrontedPowerDns;
pub use kvrocks::{Kvrocks, KvrocksNode, KvrocksOptions, hash_slot};
pub use load::{Load, Measured, Rng};
pub use nameserver::{NameServer, ShownRecord};
pub use network::Network;
pub use plugin::Plugin;
pub use portolan_vendors::{AliRecord, AliStub};
pub use ports::Port;
pub use powerdns::{PowerDns, PowerDnsOptions, RecordSet, dig, dig_from};
pub use process::Process;
pub use proxy::{Hold, HoldingProxy};
pub use redis::{
    ClusterClient, ClusterLoad, Flavour, KeyHistory, LoadReport, Loss, Losses, RedisOptions,
    RedisServer, SetError, redis_cluster_by_hand,
};
pub use resp::{Resp, RespClient};
pub use wait::{PATIENCE, eventually, eventually_within};
pub use wire::{Connection, request};
pub use workload::{History, Workload};
