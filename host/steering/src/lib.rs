//! DNS steering: what shall stand in a zone, and the work that keeps it so.
//!
//! * `names`, `content`, `family`: the words of DNS, checked at the edge.
//! * `provider`: the port to DNS services; `plugin` implements it with installed plugins.
//! * `bindings`, `zones`, `sites`, `services`: what operators set, kept as `documents` in the store.
//! * `world`: what the store says of sites and services, followed by every member in memory.
//! * `detect`, `presence`: which public addresses a site has.
//! * `check`, `observe`: how sites and services are looked at, by every voter.
//! * `judge` → `assign`: what a majority calls up or down, and who serves which line (pure).
//! * `survey` → `compose` → `decide` → `round`: look at a zone, say what shall stand there and what has
//!   to change for it (pure), change it safely.
//! * `notify`, `webhooks`, `alarm`: who is told when something is wrong.
//! * `survivor`, `survive`: how sites keep lines served that have lost the group's quorum.
//! * `contract`: the contract `/v1` of DNS nodes, to and from what operators set here.
//! * `worker`: keeps doing so for all zones, on the member that leads.
//!
//! [`Steering`] is the way in.

#![forbid(unsafe_code)]

mod alarm;
mod asking;
mod assign;
mod beside;
mod bindings;
mod calls;
mod check;
mod clock;
mod clusters;
mod compose;
mod content;
mod contract;
mod decide;
mod detect;
mod documents;
mod error;
mod events;
mod family;
mod input;
mod judge;
mod lanes;
mod memory;
mod meter;
mod names;
mod notify;
mod observe;
mod options;
mod outbound;
mod ownership;
mod plan;
mod plugin;
mod presence;
mod provider;
mod round;
mod services;
mod sites;
mod status;
mod steering;
mod store;
mod survey;
mod survive;
pub mod survivor;
mod targets;
mod webhooks;
mod worker;
mod world;
mod zones;

#[cfg(any(test, feature = "testing"))]
pub mod suite;
#[cfg(any(test, feature = "testing"))]
pub mod twin;

pub use bindings::BindingView;
pub use check::{
    Check, Finding, HttpQuestion, Method, Pace, ProbeFailure, ProbeOptions, ProbeSetupError,
    Probed, Prober, Question, Sight, StatusRange, Tally, TlsQuestion, Verdict, Votes,
};
pub use clusters::{Clusters, NoClusters};
pub use content::canonical;
pub use contract::{
    CloudPlatform, ClusterInfo, Hidden, ManagedService, NodeInfo, Overview, ServedLine,
    ServiceOverview, SiteOverview, Timestamp,
};
pub use decide::{admissible, decide};
pub use detect::{
    AddressRecord, ByCommand, ByDns, ByInterface, BySources, DetectError, DetectOptions, Detection,
    Detector, Failure, Known, Reflector, Said, Tried, Warning, settle, validate_methods,
};
pub use documents::HistoryEntry;
pub use error::{ErrorKind, SteeringError};
pub use events::{EventKind, SteeringEvent};
pub use family::{Family, is_global};
pub use names::{
    BindingName, DomainName, LineCode, RecordType, ServiceName, SetId, SiteCode, Ttl, ZoneName,
};
pub use notify::{
    AlarmOptions, Alarms, Condition, Delivery, Message, MessageState, SendError, SendOptions,
    Sender, Template, Webhook, WebhookFormat, WebhookView,
};
pub use options::SteeringOptions;
pub use plan::{
    Action, ActionKind, Normalized, Observation, Owned, Ownership, Plan, Refusal, Situation, Wanted,
};
pub use provider::{
    Account, Caps, Change, ConnectError, DnsProvider, Features, Line, Outcome, PerItem,
    ProviderError, Providers, RecordData, RecordKey, RecordPage, RecordSet, RecordValue, Zone,
    ZonePage,
};
pub use services::{ClusterTarget, NodeRole, OwnerView, ServiceView};
pub use sites::{Intent, SiteOrder, SiteState, SiteView};
pub use status::{Trouble, TroubleKind, ZoneState, ZoneStatus};
pub use steering::{ActionView, PlanView, Ports, RefusalView, Steering};
pub use survive::SurvivorView;
pub use zones::{RecordsView, ZoneChange, ZoneView};

#[cfg(test)]
mod tests;
