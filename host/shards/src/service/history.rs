//! A cluster's history: its events, stored together with what they tell of.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{Stream, unfold};
use portolan_consensus::documents::{DocumentError, Stored, encode};
use portolan_consensus::{Consistency, Error, Revision, Space, Txn, Watch, WatchError};

use super::{Place, Shards};
use crate::error::ShardsError;
use crate::events::{Event, Events, NewEvent};
use crate::keys;
use crate::model::Cluster;

impl Shards {
    /// What happened to a cluster, oldest first.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn events(&self, namespace: &str, name: &str) -> Result<Vec<Event>, ShardsError> {
        let (namespace, name, _) = self.find(namespace, name).await?;
        let events = self.stored_events(&(namespace, name)).await?;
        Ok(events.map_or_else(Vec::new, |stored| stored.document.entries.into()))
    }

    /// The events of a cluster after the one with the number `after` (all that are kept without it), and
    /// then each as it happens, until the cluster is gone or this member stops.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn follow_events(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Event> + Send + 'static, ShardsError> {
        let (namespace, name, stored) = self.find(namespace, name).await?;
        let place = (namespace, name);
        let changes = |from| {
            let key = keys::events(&place.0, &place.1);
            self.member.watch(Space::Shards, key, from)
        };
        let start = Follower {
            changes: changes(stored.modified),
            shards: self.clone(),
            next: after.map_or(0, |after| after.saturating_add(1)),
            ready: VecDeque::new(),
            is_first: true,
            place,
        };
        Ok(unfold(start, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        }))
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

    /// Commits a change together with its events, and logs them. That somebody else stored an event
    /// meanwhile is no reason to decide anew.
    pub(crate) async fn commit_with(
        &self,
        place: &Place,
        change: Txn,
        events: &[NewEvent],
    ) -> Result<Revision, ShardsError> {
        let key = keys::events(&place.0, &place.1);
        let modified = loop {
            let mut txn = change.clone();
            if !events.is_empty() {
                let stored = self.stored_events(place).await?;
                let revision = stored.as_ref().map_or(Revision::ZERO, |s| s.modified);
                let mut document = stored.map(|s| s.document).unwrap_or_default();
                for (kind, text) in events {
                    document.push(*kind, text.clone());
                }
                let (key, text) = (key.as_str(), encode(&document));
                txn = txn
                    .guard(Space::Shards, key, revision)
                    .put(Space::Shards, key, text);
            }
            match self.documents.commit(txn).await {
                // Each time another event was stored: that cannot go on for long.
                Err(DocumentError::Store(Error::GuardFailed { key: lost, .. }))
                    if *lost == *key => {}
                committed => break committed?,
            }
        };
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

    async fn stored_events(&self, place: &Place) -> Result<Option<Stored<Events>>, ShardsError> {
        let key = keys::events(&place.0, &place.1);
        Ok(self.documents.load(&key, Consistency::Linearizable).await?)
    }
}

/// Somebody who follows a cluster's events.
struct Follower {
    shards: Arc<Shards>,
    place: Place,
    changes: Watch,
    /// The number of the next event to tell.
    next: u64,
    ready: VecDeque<Event>,
    is_first: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.next = event.number + 1;
                return Some(event);
            }
            let key = keys::events(&self.place.0, &self.place.1);
            if !std::mem::take(&mut self.is_first) {
                match self.changes.next().await {
                    // The watch is over all keys that begin like this one.
                    Ok(change) if *change.key != *key => continue,
                    Ok(change) if change.record.is_none() => return None,
                    Ok(_) => {}
                    Err(WatchError::Closed) => return None,
                    // Too much has changed meanwhile: the history itself has what was missed.
                    Err(WatchError::Compacted { oldest }) => {
                        let key = key.clone();
                        self.changes = self.shards.member.watch(Space::Shards, key, oldest);
                    }
                }
            }
            let load = self.shards.documents.load(&key, Consistency::Stale);
            let stored: Option<Stored<Events>> = load.await.ok()?;
            let entries = stored.map(|stored| stored.document.entries);
            let entries = entries.unwrap_or_default().into_iter();
            self.ready = entries.filter(|event| event.number >= self.next).collect();
        }
    }
}
