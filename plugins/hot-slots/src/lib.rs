//! Portolan migration policy that moves load away from hot shards.

mod balance;
mod hot_slots;
mod load;
mod metric;

pub use hot_slots::{HotSlots, Settings};
pub use metric::Load;

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_policy!(HotSlots);
