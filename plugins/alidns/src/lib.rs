//! Portolan plugin for Alibaba Cloud DNS (API version 2015-01-09).
//!
//! The service knows records, each with an id, a line and a TTL of its own; the daemon knows record
//! sets. [`AliDns`] reads records and groups them (`record`), plans which records to update, add,
//! switch and delete for a changed set (`steps`), and does so one call after the other (`apply`).
//! `client` is the API's language and the meaning of its errors, [`acs3`] its signature.

pub mod acs3;
mod alidns;
mod apply;
mod client;
mod line;
mod record;
mod steps;

pub use alidns::{AliDns, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(AliDns);
