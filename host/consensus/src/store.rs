//! The living state and all who look at it: reads, watches, the checkpoint.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::checkpoint::Changes;
use crate::raft::{Entry, LogId, Outcome, Payload, StoredMembership};
use crate::snapshot::Image;
use crate::state::State;
use crate::types::{Event, Key, Page, Record, Revision, Scan, Space};
use crate::watch::{History, Watch};

/// The state in memory. Entries are applied by the Raft core alone, one batch at a time; everybody
/// reads.
pub(crate) struct Store {
    state: RwLock<State>,
    /// Locked after `state`, never before it.
    unwritten: Mutex<HashMap<(Space, Key), Option<Record>>>,
    history: Arc<History>,
    applied: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new(state: State) -> Arc<Self> {
        let revision = state.revision();
        Arc::new(Self {
            state: RwLock::new(state),
            unwritten: Mutex::default(),
            history: History::starting_after(revision),
            applied: watch::Sender::new(revision.0),
        })
    }

    pub(crate) fn get(&self, space: Space, key: &str) -> Option<Record> {
        self.state.read().get(space, key).cloned()
    }

    /// Works on a clone, so that a long scan holds nobody up.
    pub(crate) fn scan(&self, space: Space, scan: &Scan) -> Page {
        let state = self.state.read().clone();
        state.scan(space, scan)
    }

    pub(crate) fn watch(&self, space: Space, prefix: String, from: Revision) -> Watch {
        self.history.watch(space, prefix, from)
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.state.read().live_bytes()
    }

    pub(crate) fn keys(&self, space: Space) -> usize {
        self.state.read().len(space)
    }

    pub(crate) fn applied(&self) -> (Option<LogId>, StoredMembership) {
        let state = self.state.read();
        (state.applied, state.membership.clone())
    }

    pub(crate) fn image(&self) -> Image {
        Image(Arc::new(self.state.read().clone()))
    }

    /// Waits until the entry at `index` is applied here.
    pub(crate) async fn applied_to(&self, index: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives in `self`: it cannot be gone while we are borrowed.
        let _ = applied.wait_for(|applied| *applied >= index).await;
    }

    /// Applies entries, and answers what became of each, in order.
    pub(crate) fn apply<'a>(&self, entries: impl Iterator<Item = &'a Entry>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut state = self.state.write();
        let mut unwritten = self.unwritten.lock();
        for entry in entries {
            let outcome = match &entry.payload {
                Payload::Blank => Outcome::Applied,
                Payload::Membership(membership) => {
                    state.membership =
                        StoredMembership::new(Some(entry.log_id), membership.clone());
                    Outcome::Applied
                }
                Payload::Normal(command) => {
                    let revision = Revision(entry.log_id.index);
                    state.apply(revision, &command.0, |event| {
                        unwritten.insert((event.space, event.key.clone()), event.record.clone());
                        events.push(event);
                    })
                }
            };
            state.applied = Some(entry.log_id);
            outcomes.push(outcome);
        }
        let applied = state.revision().0;
        drop(unwritten);
        drop(state);
        self.history.extend(events);
        self.applied.send_replace(applied);
        outcomes
    }

    /// The state as it is, and what changed since this was last asked.
    pub(crate) fn take_changes(&self) -> (Image, Changes) {
        let state = self.state.read();
        let changes = Changes {
            rows: std::mem::take(&mut *self.unwritten.lock()),
            applied: state.applied,
            membership: state.membership.clone(),
        };
        (Image(Arc::new(state.clone())), changes)
    }

    /// Takes back what could not be written.
    pub(crate) fn give_back(&self, changes: Changes) {
        let mut unwritten = self.unwritten.lock();
        for (key, record) in changes.rows {
            // What has changed again meanwhile is newer.
            unwritten.entry(key).or_insert(record);
        }
    }

    /// Ends all watches: nothing will change here any more.
    pub(crate) fn close(&self) {
        self.history.close();
    }

    /// Jumps to another state.
    pub(crate) fn install(&self, image: &Image) {
        let mut state = self.state.write();
        self.unwritten.lock().clear();
        *state = (*image.0).clone();
        let revision = state.revision();
        drop(state);
        self.history.restart_after(revision);
        self.applied.send_replace(revision.0);
    }
}
