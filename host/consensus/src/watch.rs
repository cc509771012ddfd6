//! Watches: the changes of a prefix, in order, none left out.
//!
//! Recent changes stay in one bounded history that every watch reads at its own pace. A watch that
//! falls behind the history is told so and reads the state again; it never holds a writer up.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::types::{Event, Revision, Space};

/// How many changes are kept.
const MAX_EVENTS: usize = 16_384;
/// How many bytes of keys and values they may hold.
const MAX_BYTES: usize = 16 << 20;

/// Why a watch cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Changes between the last one seen and `oldest` are no longer kept: scan, and watch from the
    /// scan's revision.
    #[error("changes up to revision {oldest} are no longer kept; read the prefix again")]
    Compacted {
        /// All later changes can still be watched.
        oldest: Revision,
    },
    /// The member is stopping.
    #[error("the member is shutting down")]
    Closed,
}

struct Ring {
    events: VecDeque<Event>,
    bytes: usize,
    /// The number of the first event in `events`.
    first: u64,
    /// No change after this revision has been dropped.
    complete_after: Revision,
    closed: bool,
}

impl Ring {
    fn starting_after(revision: Revision, first: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            first,
            complete_after: revision,
            closed: false,
        }
    }

    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// The recent changes of all spaces.
pub(crate) struct History {
    ring: RwLock<Ring>,
    /// The number of the next event: wakes the watches.
    next: watch::Sender<u64>,
}

impl History {
    /// A history that begins right after `revision`.
    pub(crate) fn starting_after(revision: Revision) -> Arc<Self> {
        let ring = Ring::starting_after(revision, 0);
        Arc::new(Self {
            ring: RwLock::new(ring),
            next: watch::Sender::new(0),
        })
    }

    /// Adds changes, oldest first.
    pub(crate) fn extend(&self, events: impl IntoIterator<Item = Event>) {
        let mut ring = self.ring.write();
        for event in events {
            ring.bytes += event_bytes(&event);
            ring.events.push_back(event);
        }
        while ring.events.len() > MAX_EVENTS || ring.bytes > MAX_BYTES {
            let Some(dropped) = ring.events.pop_front() else {
                break;
            };
            ring.bytes -= event_bytes(&dropped);
            ring.first += 1;
            ring.complete_after = dropped.revision;
        }
        self.next.send_replace(ring.next());
    }

    /// Forgets everything: the state jumped to `revision` by a snapshot.
    pub(crate) fn restart_after(&self, revision: Revision) {
        let mut ring = self.ring.write();
        *ring = Ring::starting_after(revision, ring.next() + 1);
        self.next.send_replace(ring.next());
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        let mut ring = self.ring.write();
        ring.closed = true;
        self.next.send_replace(ring.next());
    }

    pub(crate) fn watch(self: &Arc<Self>, space: Space, prefix: String, from: Revision) -> Watch {
        let ring = self.ring.read();
        let cursor = if from < ring.complete_after {
            Cursor::Lost
        } else {
            let seen = ring.events.partition_point(|event| event.revision <= from);
            Cursor::At(ring.first + seen as u64)
        };
        drop(ring);
        Watch {
            history: self.clone(),
            space,
            prefix,
            cursor,
            next: self.next.subscribe(),
        }
    }
}

fn event_bytes(event: &Event) -> usize {
    event.key.len() + event.record.as_ref().map_or(0, |record| record.value.len())
}

enum Cursor {
    At(u64),
    Lost,
}

/// A watch of one prefix; made by [`crate::Member::watch`].
pub struct Watch {
    history: Arc<History>,
    space: Space,
    prefix: String,
    cursor: Cursor,
    next: watch::Receiver<u64>,
}

impl Watch {
    /// Waits for the next change. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`WatchError::Compacted`] when the watch fell too far behind, [`WatchError::Closed`] when the
    /// member stops. Neither goes away by calling again.
    pub async fn next(&mut self) -> Result<Event, WatchError> {
        loop {
            self.next.borrow_and_update();
            if let Some(event) = self.read()? {
                return Ok(event);
            }
            self.next.changed().await.map_err(|_| WatchError::Closed)?;
        }
    }

    /// The next change that is there already.
    fn read(&mut self) -> Result<Option<Event>, WatchError> {
        let ring = self.history.ring.read();
        if ring.closed {
            return Err(WatchError::Closed);
        }
        let lost = WatchError::Compacted {
            oldest: ring.complete_after,
        };
        let Cursor::At(at) = self.cursor else {
            return Err(lost);
        };
        let Some(skip) = at.checked_sub(ring.first) else {
            self.cursor = Cursor::Lost;
            return Err(lost);
        };
        for (offset, event) in ring.events.iter().enumerate().skip(skip as usize) {
            if event.space == self.space && event.key.starts_with(&self.prefix) {
                self.cursor = Cursor::At(ring.first + offset as u64 + 1);
                return Ok(Some(event.clone()));
            }
        }
        self.cursor = Cursor::At(ring.next());
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64, space: Space, key: &str) -> Event {
        Event {
            revision: Revision(revision),
            space,
            key: key.into(),
            record: None,
        }
    }

    #[tokio::test]
    async fn a_watch_sees_each_change_of_its_prefix_once_and_in_order() {
        let history = History::starting_after(Revision(10));
        history.extend([event(11, Space::User, "a/1"), event(11, Space::User, "b/1")]);
        let mut watch = history.watch(Space::User, "a/".into(), Revision(10));
        history.extend([
            event(12, Space::System, "a/2"),
            event(13, Space::User, "a/3"),
        ]);
        assert_eq!(watch.next().await.unwrap(), event(11, Space::User, "a/1"));
        assert_eq!(watch.next().await.unwrap(), event(13, Space::User, "a/3"));
    }

    #[tokio::test]
    async fn a_watch_waits_for_what_comes() {
        let history = History::starting_after(Revision(0));
        let mut watch = history.watch(Space::User, String::new(), Revision(0));
        let waiting = tokio::spawn(async move { watch.next().await });
        tokio::task::yield_now().await;
        history.extend([event(1, Space::User, "k")]);
        assert_eq!(waiting.await.unwrap().unwrap(), event(1, Space::User, "k"));
    }

    #[tokio::test]
    async fn a_watch_from_before_the_history_is_told_to_read_again() {
        let history = History::starting_after(Revision(10));
        let mut watch = history.watch(Space::User, String::new(), Revision(9));
        assert_eq!(
            watch.next().await,
            Err(WatchError::Compacted {
                oldest: Revision(10)
            })
        );
    }

    #[tokio::test]
    async fn a_watch_that_falls_behind_is_told_so_and_not_skipped_forward() {
        let history = History::starting_after(Revision(0));
        let mut watch = history.watch(Space::User, String::new(), Revision(0));
        for revision in 1..=MAX_EVENTS as u64 + 5 {
            history.extend([event(revision, Space::User, "k")]);
        }
        assert_eq!(
            watch.next().await,
            Err(WatchError::Compacted {
                oldest: Revision(5)
            })
        );
        // The next one can begin right there.
        let mut again = history.watch(Space::User, String::new(), Revision(5));
        assert_eq!(again.next().await.unwrap().revision, Revision(6));
    }

    #[tokio::test]
    async fn a_snapshot_ends_the_watches_before_it() {
        let history = History::starting_after(Revision(0));
        let mut watch = history.watch(Space::User, String::new(), Revision(0));
        history.restart_after(Revision(50));
        assert_eq!(
            watch.next().await,
            Err(WatchError::Compacted {
                oldest: Revision(50)
            })
        );
    }
}
