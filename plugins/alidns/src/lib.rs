//! Portolan plugin for Alibaba Cloud DNS (API version 2015-01-09).
//!
//! The service knows records, each with an id, a line and a TTL of its own; the daemon knows record
//! sets. [`AliDns`] reads and writes records, of which [`portolan_plugin::records`] makes sets.
//! `record` translates them, `client` is the API's language and the meaning of its errors, [`acs3`] its
//! signature.

pub mod acs3;
mod alidns;
mod client;
mod line;
mod record;

pub use alidns::{AliDns, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(AliDns);
