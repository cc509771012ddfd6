//! Portolan plugin for the HTTP API of the PowerDNS authoritative server.
//!
//! [`PowerDns`] reads the zone, decides (`plan`), and writes with `PATCH`; `api` is the server's
//! language, `rrset` the translation between its record sets and ours, `lines` the same for addresses that
//! differ by line.

mod api;
mod lines;
mod plan;
mod powerdns;
mod rrset;
mod zone;

pub use powerdns::{PowerDns, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(PowerDns);
