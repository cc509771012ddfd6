//! The state: every space's keys in memory, in order, ready to read.
//!
//! The maps share structure between clones (`imbl::OrdMap`), so a clone of the whole state is O(1):
//! a checkpoint, a snapshot for a lagging member and a long scan each work on a clone while writes go
//! on.

use std::ops::Bound;

use imbl::OrdMap;

use crate::raft::{LogId, Outcome, StoredMembership};
use crate::types::{Event, Key, Op, Page, Record, Revision, Scan, Space, Txn};

/// What a key costs in memory beside its bytes, about: counted into the live data.
pub(crate) const ROW_OVERHEAD: u64 = 96;

/// Everything that the log's entries have come to.
#[derive(Clone, Default)]
pub(crate) struct State {
    spaces: [OrdMap<Key, Record>; Space::ALL.len()],
    live_bytes: u64,
    /// The last entry that is in here.
    pub applied: Option<LogId>,
    /// The membership as of `applied`.
    pub membership: StoredMembership,
}

impl State {
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.applied.map_or(0, |id| id.index))
    }

    /// Keys, values and their overhead, in bytes.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) fn len(&self, space: Space) -> usize {
        self.spaces[space as usize].len()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.spaces.iter().map(|map| map.len() as u64).sum()
    }

    pub(crate) fn get(&self, space: Space, key: &str) -> Option<&Record> {
        self.spaces[space as usize].get(key)
    }

    pub(crate) fn scan(&self, space: Space, scan: &Scan) -> Page {
        let limit = scan.limit.unwrap_or(usize::MAX);
        let mut page = Page {
            revision: self.revision(),
            ..Page::default()
        };
        let start = match &scan.after {
            Some(after) if after.as_ref() >= scan.prefix.as_str() => {
                Bound::Excluded(after.as_ref())
            }
            _ => Bound::Included(scan.prefix.as_str()),
        };
        for (key, record) in self.spaces[space as usize].range::<_, str>((start, Bound::Unbounded))
        {
            if !key.starts_with(&scan.prefix) {
                break;
            }
            if page.items.len() == limit {
                page.more = true;
                break;
            }
            page.items.push((key.clone(), record.clone()));
        }
        page
    }

    /// All rows, space by space in key order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Space, &Key, &Record)> {
        self.iter_after(None)
    }

    /// Rows behind `after`, for a snapshot that is read piece by piece.
    pub(crate) fn iter_after<'a>(
        &'a self,
        after: Option<&'a (Space, Key)>,
    ) -> impl Iterator<Item = (Space, &'a Key, &'a Record)> {
        let first = after.map_or(Space::ALL[0], |(space, _)| *space);
        Space::ALL
            .into_iter()
            .filter(move |space| *space >= first)
            .flat_map(move |space| {
                let start = match after {
                    Some((last, key)) if space == *last => Bound::Excluded(key.as_ref()),
                    _ => Bound::Unbounded,
                };
                self.spaces[space as usize]
                    .range::<_, str>((start, Bound::Unbounded))
                    .map(move |(key, record)| (space, key, record))
            })
    }

    /// Puts a row as it was stored elsewhere, or removes it (loading, installing a snapshot).
    pub(crate) fn set(&mut self, space: Space, key: Key, record: Option<Record>) {
        let map = &mut self.spaces[space as usize];
        let old = match record {
            Some(record) => {
                self.live_bytes += row_bytes(&key, &record);
                map.insert(key.clone(), record)
            }
            None => map.remove(&key),
        };
        if let Some(old) = old {
            self.live_bytes -= row_bytes(&key, &old);
        }
    }

    /// Applies a transaction at `revision`, and tells each change to `changed`.
    pub(crate) fn apply(
        &mut self,
        revision: Revision,
        txn: &Txn,
        mut changed: impl FnMut(Event),
    ) -> Outcome {
        for guard in &txn.guards {
            let actual = self
                .get(guard.space, &guard.key)
                .map_or(Revision::ZERO, |record| record.modified);
            if actual != guard.expected {
                return Outcome::GuardFailed {
                    space: guard.space,
                    key: guard.key.clone(),
                    expected: guard.expected,
                    actual,
                };
            }
        }
        for op in &txn.ops {
            match op {
                Op::Put { space, key, value } => {
                    let map = &mut self.spaces[*space as usize];
                    let mut record = Record {
                        value: value.clone(),
                        created: revision,
                        modified: revision,
                    };
                    self.live_bytes += row_bytes(key, &record);
                    let before = match map.get_mut(key) {
                        Some(slot) => {
                            record.created = slot.created;
                            Some(std::mem::replace(slot, record.clone()))
                        }
                        None => map.insert(key.clone(), record.clone()),
                    };
                    if let Some(before) = &before {
                        self.live_bytes -= row_bytes(key, before);
                    }
                    changed(Event {
                        revision,
                        space: *space,
                        key: key.clone(),
                        record: Some(record),
                    });
                }
                Op::Delete { space, key } => {
                    let Some(before) = self.spaces[*space as usize].remove(key) else {
                        continue;
                    };
                    self.live_bytes -= row_bytes(key, &before);
                    changed(Event {
                        revision,
                        space: *space,
                        key: key.clone(),
                        record: None,
                    });
                }
            }
        }
        Outcome::Applied
    }
}

fn row_bytes(key: &Key, record: &Record) -> u64 {
    (key.len() + record.value.len()) as u64 + ROW_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(state: &mut State, revision: u64, key: &str, value: &str) -> Outcome {
        let txn = Txn::new().put(Space::User, key, value.to_owned());
        state.apply(Revision(revision), &txn, |_| ())
    }

    #[test]
    fn a_put_keeps_the_revision_of_creation_until_the_key_is_deleted() {
        let mut state = State::default();
        put(&mut state, 3, "k", "a");
        put(&mut state, 5, "k", "b");
        let record = state.get(Space::User, "k").unwrap();
        assert_eq!(
            (record.created, record.modified),
            (Revision(3), Revision(5))
        );

        state.apply(Revision(6), &Txn::new().delete(Space::User, "k"), |_| ());
        put(&mut state, 7, "k", "c");
        assert_eq!(state.get(Space::User, "k").unwrap().created, Revision(7));
    }

    #[test]
    fn a_guard_that_fails_changes_nothing_and_says_what_it_found() {
        let mut state = State::default();
        put(&mut state, 3, "k", "a");
        let txn = Txn::new()
            .guard(Space::User, "k", Revision(2))
            .put(Space::User, "k", "b")
            .put(Space::User, "other", "b");
        let mut changes = 0;
        let outcome = state.apply(Revision(4), &txn, |_| changes += 1);
        let expected = Outcome::GuardFailed {
            space: Space::User,
            key: "k".into(),
            expected: Revision(2),
            actual: Revision(3),
        };
        assert_eq!(outcome, expected);
        assert_eq!(changes, 0);
        assert_eq!(state.get(Space::User, "other"), None);
    }

    #[test]
    fn live_bytes_return_to_zero_when_everything_is_deleted() {
        let mut state = State::default();
        put(&mut state, 1, "k", "a");
        put(&mut state, 2, "k", "longer");
        put(&mut state, 3, "l", "b");
        assert_eq!(state.live_bytes(), 2 * ROW_OVERHEAD + 1 + 6 + 1 + 1);
        let txn = Txn::new().delete(Space::User, "k").delete(Space::User, "l");
        state.apply(Revision(4), &txn, |_| ());
        assert_eq!(state.live_bytes(), 0);
    }

    #[test]
    fn a_scan_pages_through_a_prefix_and_stays_within_it() {
        let mut state = State::default();
        for key in ["a", "p/1", "p/2", "p/3", "q"] {
            put(&mut state, 1, key, "v");
        }
        let keys = |page: &Page| {
            page.items
                .iter()
                .map(|(key, _)| key.to_string())
                .collect::<Vec<_>>()
        };
        let first = state.scan(
            Space::User,
            &Scan {
                limit: Some(2),
                ..Scan::prefix("p/")
            },
        );
        assert_eq!(
            (keys(&first), first.more),
            (vec!["p/1".to_owned(), "p/2".to_owned()], true)
        );
        let after = Some(first.items[1].0.clone());
        let second = state.scan(
            Space::User,
            &Scan {
                after,
                ..Scan::prefix("p/")
            },
        );
        assert_eq!(
            (keys(&second), second.more),
            (vec!["p/3".to_owned()], false)
        );
    }

    #[test]
    fn spaces_do_not_meet() {
        let mut state = State::default();
        put(&mut state, 1, "k", "v");
        assert_eq!(state.get(Space::System, "k"), None);
        assert_eq!(state.scan(Space::Steering, &Scan::default()).items.len(), 0);
    }

    #[test]
    fn reading_in_pieces_yields_every_row_once() {
        let mut state = State::default();
        for (index, space) in Space::ALL.into_iter().enumerate() {
            for key in 0..=index {
                let txn = Txn::new().put(space, format!("k{key}"), "v");
                state.apply(Revision(1), &txn, |_| ());
            }
        }
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let piece: Vec<_> = state
                .iter_after(after.as_ref())
                .take(2)
                .map(|(space, key, _)| (space, key.clone()))
                .collect();
            let Some(last) = piece.last() else { break };
            after = Some(last.clone());
            rows.extend(piece);
        }
        let all: Vec<_> = state
            .iter()
            .map(|(space, key, _)| (space, key.clone()))
            .collect();
        assert_eq!(rows, all);
    }
}
