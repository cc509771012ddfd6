//! What happened to a cluster: the last events, oldest first, kept beside it in the store.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use portolan_consensus::JournalEvent;
use serde::{Deserialize, Serialize};

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A node does not answer any more.
    NodeDown,
    /// A node answers again.
    NodeUp,
    /// A node that was behind, or differed, was given the topology.
    TopologyPushed,
    /// A node has a higher version than the store, or would not take the topology.
    Conflict,
    /// A former master has writes that its successor does not have.
    NeedsResync,
    /// A replica became the master.
    Failover,
    /// A master is down and was not replaced.
    FailoverRefused,
    /// Slots are on their way to another shard.
    MigrationStarted,
    /// Slots have another owner.
    MigrationDone,
    /// Slots were not moved, now or at all.
    MigrationFailed,
    /// A policy's plan is carried out.
    Plan,
    /// A cluster that is to balance itself could not.
    PlanFailed,
}

impl EventKind {
    /// Whether somebody should look.
    pub(crate) fn is_trouble(self) -> bool {
        matches!(
            self,
            Self::NodeDown
                | Self::Conflict
                | Self::NeedsResync
                | Self::FailoverRefused
                | Self::MigrationFailed
                | Self::PlanFailed
        )
    }
}

impl fmt::Display for EventKind {
    /// As in JSON: `node-down`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An event that is to be stored.
pub(crate) type NewEvent = (EventKind, String);

/// One event of a cluster.
pub type Event = JournalEvent<EventKind>;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}
