//! A cluster's history: its events, stored together with what they tell of.

use futures_util::stream::Stream;
use portolan_consensus::documents::{Stored, encode};
use portolan_consensus::{Consistency, Revision, Space, Txn};

use super::{Place, Shards};
use crate::error::ShardsError;
use crate::events::{Event, NewEvent};
use crate::keys;
use crate::model::Cluster;

impl Shards {
    /// What happened to a cluster, oldest first.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn events(&self, namespace: &str, name: &str) -> Result<Vec<Event>, ShardsError> {
        let (namespace, name, _) = self.find(namespace, name).await?;
        let key = keys::events(&namespace, &name);
        let events = self.documents.journal(&key, Consistency::Linearizable);
        let events = events.await?;
        Ok(events.map_or_else(Vec::new, |stored| stored.document.entries.into()))
    }

    /// The events of a cluster after the one with the number `after` (all that are kept without it), and
    /// then each as it happens, until the cluster is gone or this member stops.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn follow_events(
        &self,
        namespace: &str,
        name: &str,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Event> + Send + use<>, ShardsError> {
        let (namespace, name, stored) = self.find(namespace, name).await?;
        let key = keys::events(&namespace, &name);
        Ok(self.documents.follow(key, stored.modified, after))
    }

    /// Stores events.
    pub(crate) async fn record(
        &self,
        place: &Place,
        events: &[NewEvent],
    ) -> Result<(), ShardsError> {
        self.commit_with(place, Txn::new(), events).await.map(drop)
    }

    /// Commits a changed cluster together with events, if it is still the one that this was decided on.
    /// Answers it as it is then.
    pub(crate) async fn amend(
        &self,
        place: &Place,
        stored: &Stored<Cluster>,
        after: Cluster,
        events: &[NewEvent],
    ) -> Result<Stored<Cluster>, ShardsError> {
        let key = keys::cluster(&place.0, &place.1);
        let txn = Txn::new()
            .guard(Space::Shards, key.as_str(), stored.modified)
            .put(Space::Shards, key, encode(&after));
        Ok(Stored {
            modified: self.commit_with(place, txn, events).await?,
            document: after,
            created: stored.created,
        })
    }

    /// Commits a change together with its events, and logs them.
    pub(crate) async fn commit_with(
        &self,
        place: &Place,
        change: Txn,
        events: &[NewEvent],
    ) -> Result<Revision, ShardsError> {
        let key = keys::events(&place.0, &place.1);
        let modified = self.documents.commit_with(change, &key, events).await?;
        for (kind, text) in events {
            self.meter.event(place, *kind);
            if kind.is_trouble() {
                tracing::warn!(namespace = %place.0, cluster = %place.1, "{text}");
            } else {
                tracing::info!(namespace = %place.0, cluster = %place.1, "{text}");
            }
        }
        Ok(modified)
    }
}
