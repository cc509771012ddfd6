//! Portolan migration policy that empties shards, so that they can be taken away.

mod drain;

pub use drain::{Drain, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_policy!(Drain);
