use super::*;
use crate::types::{Revision, Txn};

fn record(value: &str, revision: u64) -> Record {
    Record {
        value: value.to_owned().into(),
        created: Revision(revision),
        modified: Revision(revision),
    }
}

fn meta_of(state: &State) -> Meta {
    let hash = state
        .iter()
        .fold(0u64, |sum, (s, k, r)| sum.wrapping_add(row_hash(s, k, r)));
    Meta {
        rows: state.rows(),
        hash,
        ..Meta::default()
    }
}

fn dir() -> (tempfile::TempDir, CheckpointDir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = CheckpointDir::new(temp.path().join("state")).unwrap();
    (temp, dir)
}

fn filled(keys: usize) -> State {
    let mut state = State::default();
    for key in 0..keys {
        let txn = Txn::new().put(Space::ALL[key % 5], format!("k{key}"), format!("v{key}"));
        state.apply(Revision(key as u64 + 1), &txn, |_| ());
    }
    state
}

fn rows(state: &State) -> Vec<(Space, Key, Record)> {
    state
        .iter()
        .map(|(s, k, r)| (s, k.clone(), r.clone()))
        .collect()
}

#[test]
fn what_is_committed_is_there_after_a_reopen() {
    let (_temp, dir) = dir();
    let state = filled(100);
    {
        let (mut store, empty, _) = dir.open().unwrap();
        assert_eq!(empty.rows(), 0);
        let all = rows(&state)
            .into_iter()
            .map(|(s, k, r)| (s, k, Some(r)))
            .collect();
        store
            .commit(Batch {
                rows: all,
                meta: meta_of(&state),
            })
            .unwrap();
    }
    let (_store, loaded, _) = dir.open().unwrap();
    assert_eq!(rows(&loaded), rows(&state));
    assert_eq!(loaded.live_bytes(), state.live_bytes());
}

#[test]
fn a_replaced_checkpoint_holds_the_new_state_alone() {
    let (_temp, dir) = dir();
    let (mut store, _, _) = dir.open().unwrap();
    let old = vec![(Space::User, Key::from("old"), Some(record("x", 1)))];
    let mut before = State::default();
    before.insert(Space::User, "old".into(), record("x", 1));
    store
        .commit(Batch {
            rows: old,
            meta: meta_of(&before),
        })
        .unwrap();

    let state = filled(25_000);
    let (store, _) = dir.replace(store, &state).unwrap();
    drop(store);
    let (_store, loaded, _) = dir.open().unwrap();
    assert_eq!(rows(&loaded), rows(&state));
}

#[test]
fn an_install_that_was_interrupted_leaves_the_old_checkpoint() {
    let (_temp, dir) = dir();
    let (mut store, _, _) = dir.open().unwrap();
    let state = filled(3);
    let all = rows(&state)
        .into_iter()
        .map(|(s, k, r)| (s, k, Some(r)))
        .collect();
    store
        .commit(Batch {
            rows: all,
            meta: meta_of(&state),
        })
        .unwrap();
    drop(store);
    // Half of a new generation, not named by CURRENT.
    let mut half = sled::SledStore::open(&dir.path(2)).unwrap();
    let row = vec![(Space::User, Key::from("new"), Some(record("x", 9)))];
    half.commit(Batch {
        rows: row,
        meta: Meta::default(),
    })
    .unwrap();
    drop(half);

    let (_store, loaded, _) = dir.open().unwrap();
    assert_eq!(rows(&loaded), rows(&state));
    assert!(!dir.path(2).exists());
}

#[test]
fn content_that_does_not_match_its_checksum_is_refused() {
    let (_temp, dir) = dir();
    let (mut store, _, _) = dir.open().unwrap();
    let row = vec![(Space::User, Key::from("k"), Some(record("changed", 1)))];
    let mut other = State::default();
    other.insert(Space::User, "k".into(), record("written", 1));
    store
        .commit(Batch {
            rows: row,
            meta: meta_of(&other),
        })
        .unwrap();
    drop(store);
    assert!(matches!(dir.open(), Err(CheckpointError::Checksum { .. })));
    // And can be put aside, so that the member starts anew.
    let aside = dir.set_aside().unwrap();
    assert!(aside.exists());
    let (_store, loaded, _) = dir.open().unwrap();
    assert_eq!(loaded.rows(), 0);
}
