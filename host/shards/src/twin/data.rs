//! What a node holds: keys, and the log of changes that brought them there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::slot::hash_slot;
use crate::slots::{SlotRange, SlotSet};

/// One change.
#[derive(Debug)]
enum Change {
    Put(String, String),
    /// The keys of these slots are gone.
    Clear(SlotSet),
}

#[derive(Debug, Clone)]
struct Entry {
    at: Instant,
    change: Arc<Change>,
}

/// Keys and their log.
#[derive(Debug, Clone, Default)]
pub(super) struct Data {
    keys: BTreeMap<String, String>,
    log: Vec<Entry>,
    /// Two nodes with the same number have logs of which one begins as the other one.
    history: u64,
}

impl Data {
    /// How many changes there were.
    pub(super) fn sequence(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<&String> {
        self.keys.get(key)
    }

    pub(super) fn put(&mut self, key: &str, value: &str) {
        self.record(Change::Put(key.to_owned(), value.to_owned()));
    }

    pub(super) fn clear(&mut self, slots: SlotSet) {
        let any = self.keys.keys().any(|key| holds(&slots, key));
        if any {
            self.record(Change::Clear(slots));
        }
    }

    /// The keys of some slots.
    pub(super) fn of(&self, slots: &SlotSet) -> Vec<(String, String)> {
        let pairs = self.keys.iter().filter(|(key, _)| holds(slots, key));
        pairs.map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub(super) fn same_keys(&self, other: &Self) -> bool {
        self.keys == other.keys
    }

    /// From now on its log is its own: it takes writes.
    pub(super) fn branch(&mut self, history: u64) {
        self.history = history;
    }

    /// Takes what another one has and this one does not, as far as it is `lag` old. What does not
    /// continue this log replaces it.
    pub(super) fn follow(&mut self, master: &Self, lag: Duration, since: Instant) {
        let is_due = |at: Instant| lag.is_zero() || at.elapsed() >= lag;
        let continues = self.history == master.history && self.log.len() <= master.log.len();
        if !continues {
            if is_due(since) {
                self.clone_from(master);
            }
            return;
        }
        for entry in &master.log[self.log.len()..] {
            if !is_due(entry.at) {
                return;
            }
            self.log.push(entry.clone());
            apply(&mut self.keys, &entry.change);
        }
    }

    fn record(&mut self, change: Change) {
        apply(&mut self.keys, &change);
        self.log.push(Entry {
            at: Instant::now(),
            change: Arc::new(change),
        });
    }
}

fn apply(keys: &mut BTreeMap<String, String>, change: &Change) {
    match change {
        Change::Put(key, value) => {
            keys.insert(key.clone(), value.clone());
        }
        Change::Clear(slots) => keys.retain(|key, _| !holds(slots, key)),
    }
}

fn holds(slots: &SlotSet, key: &str) -> bool {
    SlotRange::single(hash_slot(key)).is_some_and(|slot| slots.contains(slot))
}
