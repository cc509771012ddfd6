//! Portolan plugin for the HTTP API of the PowerDNS authoritative server.
//!
//! [`PowerDns`] reads the zone, decides (`plan`), and writes with `PATCH`; `api` is the server's
//! language, `rrset` the translation between its record sets and ours.

mod api;
mod plan;
mod powerdns;
mod rrset;

pub use powerdns::{PowerDns, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(PowerDns);
