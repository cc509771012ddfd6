//! Journals: what happened, as the last events of a kind, stored together with what they tell of.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::stream::{Stream, unfold};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::documents::{Document, DocumentError, Documents, Stored, encode};
use crate::{Consistency, Error, Revision, Txn, Watch, WatchError};

/// How many events are kept.
const KEPT: usize = 500;

/// What kind of event.
pub trait Kind: Copy + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<K: Copy + Serialize + DeserializeOwned + Send + Sync + 'static> Kind for K {}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEvent<K> {
    /// Grows by one with each event of the journal.
    pub number: u64,
    /// Milliseconds since 1970, by the clock of the member that wrote it.
    pub at_ms: u64,
    /// What kind.
    pub kind: K,
    /// What happened, in a sentence.
    pub text: String,
}

/// The last events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal<K> {
    next: u64,
    /// At most 500.
    pub entries: VecDeque<JournalEvent<K>>,
}

impl<K> Default for Journal<K> {
    fn default() -> Self {
        Self {
            next: 0,
            entries: VecDeque::new(),
        }
    }
}

impl<K: Kind> Document for Journal<K> {}

impl<K> Journal<K> {
    /// Adds an event, and lets the oldest go when there are too many.
    pub fn push(&mut self, kind: K, text: String) {
        self.entries.push_back(JournalEvent {
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

/// Milliseconds since 1970. A clock that stands before 1970 reads as 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Documents {
    /// The journal at `key`, if it was ever written to.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub async fn journal<K: Kind>(
        &self,
        key: &str,
        consistency: Consistency,
    ) -> Result<Option<Stored<Journal<K>>>, DocumentError> {
        self.load(key, consistency).await
    }

    /// Commits a change together with its events. That somebody else told an event meanwhile is no
    /// reason to decide anew.
    ///
    /// # Errors
    /// As [`Documents::commit`].
    pub async fn commit_with<K: Kind>(
        &self,
        change: Txn,
        key: &str,
        events: &[(K, String)],
    ) -> Result<Revision, DocumentError> {
        if events.is_empty() {
            return self.commit(change).await;
        }
        loop {
            let stored = self.journal(key, Consistency::Linearizable).await?;
            let revision = stored.as_ref().map_or(Revision::ZERO, |it| it.modified);
            let mut journal = stored.map(|it| it.document).unwrap_or_default();
            for (kind, text) in events {
                journal.push(*kind, text.clone());
            }
            let txn = change.clone().guard(self.space(), key, revision).put(
                self.space(),
                key,
                encode(&journal),
            );
            match self.commit(txn).await {
                // Each time another event was told: that cannot go on for long.
                Err(DocumentError::Store(Error::GuardFailed { key: lost, .. }))
                    if *lost == *key => {}
                committed => return committed,
            }
        }
    }

    /// The events of the journal at `key` after the one with the number `after` (all that are kept
    /// without it), and then each as it happens, until the journal is deleted or this member stops.
    /// `from` is a revision at which it was looked at.
    pub fn follow<K: Kind>(
        &self,
        key: String,
        from: Revision,
        after: Option<u64>,
    ) -> impl Stream<Item = JournalEvent<K>> + Send + use<K> {
        let start = Follower {
            changes: self.member().watch(self.space(), key.clone(), from),
            documents: self.clone(),
            next: after.map_or(0, |after| after.saturating_add(1)),
            ready: VecDeque::new(),
            is_first: true,
            key,
        };
        unfold(start, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        })
    }
}

/// Somebody who follows a journal.
struct Follower<K> {
    documents: Documents,
    key: String,
    changes: Watch,
    /// The number of the next event to tell.
    next: u64,
    ready: VecDeque<JournalEvent<K>>,
    is_first: bool,
}

impl<K: Kind> Follower<K> {
    async fn next(&mut self) -> Option<JournalEvent<K>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.next = event.number + 1;
                return Some(event);
            }
            if !std::mem::take(&mut self.is_first) {
                match self.changes.next().await {
                    // The watch is over all keys that begin like this one.
                    Ok(change) if *change.key != *self.key => continue,
                    Ok(change) if change.record.is_none() => return None,
                    Ok(_) => {}
                    Err(WatchError::Closed) => return None,
                    // Too much has changed meanwhile: the journal itself has what was missed.
                    Err(WatchError::Compacted { oldest }) => {
                        let (space, key) = (self.documents.space(), self.key.clone());
                        self.changes = self.documents.member().watch(space, key, oldest);
                    }
                }
            }
            let stored = self.documents.journal(&self.key, Consistency::Stale);
            let stored: Option<Stored<Journal<K>>> = stored.await.ok()?;
            let entries = stored.map(|stored| stored.document.entries);
            let entries = entries.unwrap_or_default().into_iter();
            self.ready = entries.filter(|event| event.number >= self.next).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_numbered_on() {
        let mut journal = Journal::default();
        for _ in 0..KEPT + 3 {
            journal.push((), "up".into());
        }
        assert_eq!(journal.entries.len(), KEPT);
        let numbers: Vec<u64> = journal.entries.iter().map(|event| event.number).collect();
        assert_eq!((numbers[0], numbers[KEPT - 1]), (3, KEPT as u64 + 2));
    }
}
