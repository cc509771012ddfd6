use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::types::{Key, Record, Revision, Space, Txn};

fn root() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("state");
    (temp, root)
}

/// A state and what changed in it since the last commit.
#[derive(Default)]
struct Living {
    state: State,
    changes: Changes,
    revision: u64,
}

impl Living {
    fn apply(&mut self, txn: &Txn) {
        self.revision += 1;
        self.state.apply(Revision(self.revision), txn, |change| {
            let key = (change.space, change.key);
            self.changes.rows.insert(key, change.record);
        });
    }

    fn put(&mut self, space: Space, key: &str, value: &str) {
        self.apply(&Txn::new().put(space, key, value.to_owned()));
    }

    fn commit(&mut self, checkpoint: &mut Checkpoint) {
        checkpoint
            .commit(&std::mem::take(&mut self.changes))
            .unwrap();
    }
}

fn filled(keys: usize) -> Living {
    let mut living = Living::default();
    for key in 0..keys {
        living.put(Space::ALL[key % 5], &format!("k{key}"), &format!("v{key}"));
    }
    living
}

fn rows(state: &State) -> Vec<(Space, Key, Record)> {
    state
        .iter()
        .map(|(s, k, r)| (s, k.clone(), r.clone()))
        .collect()
}

fn assert_holds(root: &Path, state: &State) {
    let (_, loaded) = Checkpoint::open(root).unwrap();
    assert_eq!(rows(&loaded), rows(state));
    assert_eq!(loaded.live_bytes(), state.live_bytes());
}

#[test]
fn what_is_committed_is_there_after_a_reopen() {
    let (_temp, root) = root();
    let mut living = filled(25_000);
    {
        let (mut checkpoint, empty) = Checkpoint::open(&root).unwrap();
        assert_eq!(empty.rows(), 0);
        living.commit(&mut checkpoint);
        living.apply(&Txn::new().delete(Space::User, "k0"));
        living.put(Space::Shards, "k1", "again");
        living.commit(&mut checkpoint);
    }
    assert_holds(&root, &living.state);
}

#[test]
fn what_was_written_but_not_entered_does_not_count_and_is_written_over() {
    let (_temp, root) = root();
    let mut living = filled(100);
    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    living.commit(&mut checkpoint);
    // A crash after the rows, before the catalogue: longer than what comes next.
    let after = living.state.clone();
    let other = filled(1_000);
    let all = other.state.iter().map(|(s, k, r)| (s, k, Some(r)));
    checkpoint
        .rows
        .append(checkpoint.entry.extent, all)
        .unwrap();
    drop(checkpoint);
    assert_holds(&root, &after);

    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    living.put(Space::User, "k0", "later");
    living.commit(&mut checkpoint);
    drop(checkpoint);
    assert_holds(&root, &living.state);
}

#[test]
fn a_rewritten_checkpoint_holds_the_new_state_alone() {
    let (_temp, root) = root();
    let mut old = Living::default();
    old.put(Space::User, "old", "x");
    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    old.commit(&mut checkpoint);
    let new = filled(25_000);
    checkpoint.rewrite(&new.state).unwrap();
    drop(checkpoint);
    assert_holds(&root, &new.state);
}

#[test]
fn a_rewrite_that_was_interrupted_leaves_the_old_checkpoint() {
    let (_temp, root) = root();
    let mut living = filled(3);
    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    living.commit(&mut checkpoint);
    drop(checkpoint);
    let half = rows_path(&root, 2);
    fs::write(&half, b"half of a new file").unwrap();
    assert_holds(&root, &living.state);
    assert!(!half.exists());
}

#[test]
fn the_file_stays_in_proportion_to_the_live_data() {
    let (_temp, root) = root();
    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    let mut living = Living::default();
    let value = "v".repeat(1_000);
    for _ in 0..50 {
        for key in 0..100 {
            living.put(Space::User, &format!("k{key}"), &value);
        }
        if checkpoint.is_stale(living.state.live_bytes()) {
            checkpoint.rewrite(&living.state).unwrap();
        }
        living.commit(&mut checkpoint);
        let files = entries(&root, ROWS).unwrap();
        assert_eq!(files.len(), 1);
        let bytes = fs::metadata(&files[0]).unwrap().len();
        // What one commit adds comes on top of the bound.
        let bound = 3 * living.state.live_bytes() + SLACK;
        assert!(bytes <= bound, "{bytes} bytes, bound {bound}");
    }
    assert!(checkpoint.entry.file > 2, "it was never written anew");
    drop(checkpoint);
    assert_holds(&root, &living.state);
}

#[test]
fn any_flipped_bit_in_the_rows_is_noticed() {
    let (_temp, root) = root();
    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    for round in 0..3 {
        let mut living = filled(3);
        living.put(Space::User, "round", &round.to_string());
        living.commit(&mut checkpoint);
    }
    drop(checkpoint);
    let path = rows_path(&root, 1);
    let bytes = fs::read(&path).unwrap();
    let catalogue = Catalogue::open(&root.join(CATALOGUE)).unwrap();
    let entry = catalogue.read().unwrap().unwrap();
    let open = || RowsFile::open(&path, entry.extent, |_, _, _| ());
    assert!(open().is_ok());
    let file = fs::File::options().write(true).open(&path).unwrap();
    for (at, byte) in bytes.iter().enumerate() {
        file.write_all_at(&[byte ^ 0x10], at as u64).unwrap();
        assert!(open().is_err(), "byte {at}");
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    file.set_len(bytes.len() as u64 - 1).unwrap();
    assert!(open().is_err(), "a shorter file");
}

#[test]
fn rows_of_another_commit_are_noticed_though_they_are_whole() {
    let (_temp, root) = root();
    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    let mut living = filled(1);
    living.put(Space::User, "k", "1");
    living.commit(&mut checkpoint);
    let extent = checkpoint.entry.extent;
    // The same length, other content, a right checksum.
    let mut other = filled(1);
    other.put(Space::User, "k", "2");
    let all = other.state.iter().map(|(s, k, r)| (s, k, Some(r)));
    let forged = checkpoint.rows.append(Extent::default(), all).unwrap();
    assert_eq!(forged.bytes, extent.bytes);
    drop(checkpoint);
    assert!(matches!(
        Checkpoint::open(&root),
        Err(CheckpointError::Rows { .. })
    ));
}

#[test]
fn a_damaged_checkpoint_is_put_aside_and_a_new_one_begun() {
    let (_temp, root) = root();
    let mut living = filled(3);
    let (mut checkpoint, _) = Checkpoint::open(&root).unwrap();
    living.commit(&mut checkpoint);
    drop(checkpoint);
    fs::remove_file(rows_path(&root, 1)).unwrap();
    assert!(Checkpoint::open(&root).is_err());

    let aside = set_aside(&root).unwrap();
    assert!(aside.join(CATALOGUE).exists());
    let (_, loaded) = Checkpoint::open(&root).unwrap();
    assert_eq!(loaded.rows(), 0);
    assert!(aside.exists());
}
