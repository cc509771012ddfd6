//! What happened to sites and lines.

use std::fmt;

use futures_util::Stream;
use portolan_consensus::{Consistency, JournalEvent, Revision, Txn};
use serde::{Deserialize, Serialize};

use crate::documents::keys;
use crate::error::SteeringError;
use crate::steering::Steering;

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A majority of the voters cannot reach what is checked.
    Down,
    /// What was down is up again; its lines return when it has been so for long enough.
    Up,
    /// An operator drained, forced or resumed a site.
    Site,
    /// A site's addresses changed.
    Address,
    /// A line has another site.
    Line,
}

impl EventKind {
    /// Whether somebody should look.
    fn is_trouble(self) -> bool {
        matches!(self, Self::Down)
    }
}

impl fmt::Display for EventKind {
    /// As in JSON: `down`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// An event of a site or line.
pub type SteeringEvent = JournalEvent<EventKind>;

impl Steering {
    /// What happened to sites and lines, oldest first.
    pub async fn events(&self) -> Result<Vec<SteeringEvent>, SteeringError> {
        let journal = self
            .store
            .journal(keys::EVENTS, Consistency::Linearizable)
            .await?;
        Ok(journal.map_or_else(Vec::new, |stored| stored.document.entries.into()))
    }

    /// The events after the one with the number `after` (all that are kept without it), and then each as
    /// it happens, until this member stops.
    pub async fn follow_events(
        &self,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = SteeringEvent> + Send + use<>, SteeringError> {
        let (_, revision) = self
            .store
            .names(keys::EVENTS, Consistency::Linearizable)
            .await?;
        Ok(self.store.follow(keys::EVENTS.to_owned(), revision, after))
    }

    /// Commits a change together with its events, and logs them.
    pub(crate) async fn commit_telling(
        &self,
        change: Txn,
        events: &[(EventKind, String)],
    ) -> Result<Revision, SteeringError> {
        let revision = self.store.commit_with(change, keys::EVENTS, events).await?;
        for (kind, text) in events {
            if kind.is_trouble() {
                tracing::warn!("{text}");
            } else {
                tracing::info!("{text}");
            }
        }
        Ok(revision)
    }
}
