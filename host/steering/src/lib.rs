//! DNS steering: what shall stand in a zone, and the work that keeps it so.
//!
//! Today it knows provider bindings and wanted record sets. Sites, lines with priorities, services
//! and their health will one day decide what is wanted; nothing below that changes then.
//!
//! * `names`, `content`: the words of DNS, checked at the edge.
//! * `provider`: the port to DNS services; `plugin` implements it with installed plugins.
//! * `bindings`, `zones`: what operators set, kept as `documents` in the store.
//! * `survey` → `decide` → `round`: look at a zone, decide what to change (pure), change it safely.
//! * `worker`: keeps doing so for all zones, on the member that leads.
//!
//! [`Steering`] is the way in.

#![forbid(unsafe_code)]

mod bindings;
mod calls;
mod clock;
mod content;
mod decide;
mod documents;
mod error;
mod family;
mod input;
mod lanes;
mod memory;
mod meter;
mod names;
mod options;
mod ownership;
mod plan;
mod plugin;
mod provider;
mod round;
mod status;
mod steering;
mod store;
mod survey;
mod worker;
mod zones;

#[cfg(any(test, feature = "testing"))]
pub mod suite;
#[cfg(any(test, feature = "testing"))]
pub mod twin;

pub use bindings::BindingView;
pub use content::canonical;
pub use decide::{admissible, decide};
pub use documents::HistoryEntry;
pub use error::{ErrorKind, SteeringError};
pub use family::{Family, is_global};
pub use names::{BindingName, DomainName, LineCode, RecordType, SetId, Ttl, ZoneName};
pub use options::SteeringOptions;
pub use plan::{
    Action, ActionKind, Normalized, Observation, Owned, Ownership, Plan, Refusal, Situation, Wanted,
};
pub use provider::{
    Account, Caps, Change, ConnectError, DnsProvider, Features, Line, Outcome, PerItem,
    ProviderError, Providers, RecordData, RecordKey, RecordPage, RecordSet, RecordValue, Zone,
    ZonePage,
};
pub use status::{Trouble, TroubleKind, ZoneState, ZoneStatus};
pub use steering::{ActionView, PlanView, RefusalView, Steering};
pub use zones::RecordsView;

#[cfg(test)]
mod tests;
