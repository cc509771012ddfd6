//! Portolan plugin for Cloudflare DNS (API version 4).
//!
//! The service knows records, each with an id and a TTL of its own; the daemon knows record sets.
//! [`portolan_plugin::records`] makes sets of records and says which records a change touches. All of
//! that leaves as one call, which the service makes wholly or not at all: [`Cloudflare`] reads and
//! decides, `plan` says what has to be made together, `apply` sends it and finds the bad changes in a
//! batch that was refused. `record` translates records, `client` is the API's language, `failure` the
//! meaning of its errors, `names` the A-label form of a zone's name.

mod apply;
mod client;
mod cloudflare;
mod failure;
mod names;
mod plan;
mod record;

pub use cloudflare::{Cloudflare, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_provider!(Cloudflare);
