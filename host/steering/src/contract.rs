//! The contract `/v1` of DNS nodes, as an earlier daemon speaks it, in both directions.
//!
//! | contract | here |
//! |---|---|
//! | node (`otherCocoaSyncer`) | a site: `nodeCode` is its code, `nodeName` its name, `ISPs` its lines |
//! | `ISPs: ["None"]` | no lines, and it never takes one over |
//! | `networkType` | the families of its addresses; the contract itself has no addresses |
//! | service (`cocoaManagedService`) | a service; the nodes that list it are the sites that it runs at |
//! | platform (`cloudPlatformInfo`) | a provider binding: `Ali` is the plugin `alidns` |
//!
//! * `wire`: what goes over the wire, field by field. Secrets are read and never shown.
//! * `terms`: lines and network types.
//! * `kept`: what the contract has and a site lacks, kept beside it as it was given.
//! * `standing` → `convert` → `act`: what stands, what a push makes of it (pure), and doing so.
//! * `show`: our documents as the contract has them (pure). `overview`: the same for people.

mod act;
mod convert;
mod kept;
mod overview;
mod show;
mod standing;
mod terms;
#[cfg(test)]
mod tests;
mod wire;

pub use self::overview::{Overview, ServedLine, ServiceOverview, SiteOverview};
pub use self::wire::{CloudPlatform, ClusterInfo, Hidden, ManagedService, NodeInfo, Timestamp};
