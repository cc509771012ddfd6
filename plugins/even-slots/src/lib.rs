//! Portolan migration policy that gives every shard the number of slots that its weight calls for, and
//! moves as few slots as that takes.

mod even_slots;

pub use even_slots::{EvenSlots, Settings};

portolan_plugin::manifest!("manifest.json");
portolan_plugin::export_policy!(EvenSlots);
