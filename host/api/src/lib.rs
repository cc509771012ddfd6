//! Portolan's HTTP interface: the KV contract, the contract of DNS nodes under `/v1`, the native API under
//! `/api/v1`, health, measurements, and the door through which members reach one another.
//!
//! A request passes the server ([`serve`]), the table of routes ([`router`]) and its route's edge,
//! which authorises ([`authorise`]), bounds and counts it; a handler parses it and calls a domain
//! crate; what fails becomes an answer in one place ([`ApiError`]).

#![forbid(unsafe_code)]

mod accept;
mod address;
mod cluster;
mod dns;
mod edge;
mod error;
mod health;
mod identity;
mod json;
mod kv;
mod metrics;
mod params;
mod peers;
mod plugins;
mod raft_peers;
mod router;
mod serve;
mod shards;
mod sse;
mod state;
mod v1;

pub use address::{AddressError, check_address};
pub use error::ApiError;
pub use identity::{Role, Scope, authorise};
pub use metrics::{HttpMetrics, register_process};
pub use router::router;
pub use serve::{Door, serve};
pub use state::ApiState;
pub use v1::ContractSecret;

#[cfg(test)]
mod tests;
