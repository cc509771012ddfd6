//! What happened to a cluster: the last events, oldest first, kept beside it in the store.

use std::collections::VecDeque;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

/// How many events are kept.
const KEPT: usize = 500;

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

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with each event of the cluster.
    pub number: u64,
    /// Milliseconds since 1970, by the clock of the member that wrote it.
    pub at_ms: u64,
    /// What kind.
    pub kind: EventKind,
    /// What happened, in a sentence.
    pub text: String,
}

/// A cluster's last events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Events {
    next: u64,
    pub(crate) entries: VecDeque<Event>,
}

impl Document for Events {}

impl Events {
    pub(crate) fn push(&mut self, kind: EventKind, text: String) {
        self.entries.push_back(Event {
            number: self.next,
            at_ms: now_ms(),
            kind,
            text,
        });
        self.next += 1;
        while self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_numbered_on() {
        let mut events = Events::default();
        for _ in 0..KEPT + 3 {
            events.push(EventKind::NodeUp, "up".into());
        }
        assert_eq!(events.entries.len(), KEPT);
        let numbers: Vec<u64> = events.entries.iter().map(|event| event.number).collect();
        assert_eq!((numbers[0], numbers[KEPT - 1]), (3, KEPT as u64 + 2));
    }
}
