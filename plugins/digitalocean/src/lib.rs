//! Portolan plugin for DigitalOcean DNS (the domains API, version 2).
//!
//! The service knows records, each with an id and a TTL of its own; the daemon knows record sets.
//! `portolan_plugin::records` groups records into sets and changes those, by way of `account`, which
//! reads and writes single records; `record` translates their values, `client` is the API's language and
//! the meaning of its errors.

mod account;
mod client;
mod digitalocean;
mod record;

pub use digitalocean::{DigitalOcean, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(DigitalOcean);
