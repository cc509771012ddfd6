//! Portolan from outside: real processes, real disks, a real DNS server.
//!
//! One module per story. Nothing here asserts how fast something is (the benchmark does): a test waits
//! with [`portolan_tests::PATIENCE`] for what must come, and fails when it does not.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests"
)]

mod dns;
mod shape;
mod stage;

mod command_line;
mod daemon_lifecycle;
mod dashboard;
mod dns_alidns;
mod dns_contract;
mod dns_follows_cluster;
mod dns_lines;
mod dns_powerdns;
mod dns_survivor;
mod dns_vendors;
mod dns_without_leader;
mod engine_suite;
mod kv_contract;
mod kv_errors;
mod kvrocks;
mod membership;
mod plugins;
mod readme_tour;
mod redis_clusters;
mod redis_engine;
mod redis_harness;
mod replication_faults;
mod shards_contract;
mod shards_failover;
mod shards_migration;
mod shards_operations;
mod shards_rebalance;
mod storage_faults;
