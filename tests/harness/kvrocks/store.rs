//! A node's data and the log of writes that made it, which is what replication reads.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::slots::{SlotRange, hash_slot};

/// What a write did.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Set(Vec<u8>, Vec<u8>),
    Del(Vec<u8>),
}

/// A write in the log. Two logs share their history up to a position exactly where the writes there
/// have the same `id`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) change: Change,
}

/// Everything is kept from the first write on, so that a partial synchronisation is always possible
/// where the node takes its history for the master's.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    data: BTreeMap<Vec<u8>, Vec<u8>>,
    log: Vec<Entry>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Change {
    pub(super) fn key(&self) -> &[u8] {
        match self {
            Self::Set(key, _) | Self::Del(key) => key,
        }
    }
}

impl Store {
    /// The sequence number: how many writes made this data.
    pub(super) fn sequence(&self) -> usize {
        self.log.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Vec<u8>> {
        self.data.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.data.keys()
    }

    pub(super) fn keys_in(&self, range: SlotRange) -> Vec<Vec<u8>> {
        let keys = self.data.keys();
        keys.filter(|key| range.contains(hash_slot(key)))
            .cloned()
            .collect()
    }

    /// The writes after the first `sequence` ones.
    pub(super) fn since(&self, sequence: usize) -> &[Entry] {
        self.log.get(sequence..).unwrap_or_default()
    }

    /// Do both logs say the same up to the end of `other`?
    pub(super) fn continues(&self, other: &Self) -> bool {
        match other.log.last() {
            None => true,
            Some(last) => self
                .log
                .get(other.log.len() - 1)
                .is_some_and(|entry| entry.id == last.id),
        }
    }

    /// A write of this node's own.
    pub(super) fn write(&mut self, change: Change) {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.apply(Entry { id, change });
    }

    /// A write, as the master logged it.
    pub(super) fn apply(&mut self, entry: Entry) {
        match &entry.change {
            Change::Set(key, value) => {
                self.data.insert(key.clone(), value.clone());
            }
            Change::Del(key) => {
                self.data.remove(key);
            }
        }
        self.log.push(entry);
    }

    pub(super) fn clear(&mut self, range: SlotRange) {
        for key in self.keys_in(range) {
            self.write(Change::Del(key));
        }
    }
}
