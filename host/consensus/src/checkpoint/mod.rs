//! The checkpoint: the state on disk, behind the log.
//!
//! Reads never come here. A background thread ([`thread`]) writes what changed about once a second;
//! what a durable checkpoint covers may leave the log, and a restart replays the log from there.
//!
//! It is two things: a *rows file* ([`rows`]), to which changed rows are appended and which is written
//! anew from the state when more of it is stale than live; and the *catalogue* ([`catalogue`], in sled),
//! which says in one durable step which rows file counts, how much of it, and which entry it reflects.
//! What stands in the directory beyond the catalogue's word is left from a crash, and means nothing.

mod catalogue;
mod rows;
mod thread;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::catalogue::Catalogue;
use self::rows::{Extent, RowsFile};
pub(crate) use self::thread::Checkpointer;
use crate::raft::{LogId, StoredMembership};
use crate::state::State;
use crate::types::{Key, Record, Space};

/// A rows file may grow by this much beyond twice the live data before it is written anew.
const SLACK: u64 = 1 << 20;

const CATALOGUE: &str = "catalogue";
const ROWS: &str = "rows-";
const DAMAGED: &str = "damaged-";

/// Which rows count, and what they reflect: what the catalogue holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The number in the rows file's name.
    file: u64,
    /// How much of that file counts.
    extent: Extent,
    /// The last log entry that it reflects.
    applied: Option<LogId>,
    /// The membership as of that entry.
    membership: StoredMembership,
}

/// What happened since the last checkpoint.
#[derive(Default)]
pub(crate) struct Changes {
    /// What each key that changed holds now; none where it was deleted.
    pub rows: HashMap<(Space, Key), Option<Record>>,
    /// The entry with which it holds that.
    pub applied: Option<LogId>,
    /// The membership as of that entry.
    pub membership: StoredMembership,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("catalogue: {0}")]
    Catalogue(String),
    #[error("it holds less than the log has given back")]
    Behind,
    #[error("{}: {reason}", file.display())]
    Rows { file: PathBuf, reason: String },
    #[error("the checkpoint thread has ended")]
    Ended,
}

/// An open checkpoint.
pub(crate) struct Checkpoint {
    root: PathBuf,
    catalogue: Catalogue,
    rows: RowsFile,
    entry: Entry,
}

impl Checkpoint {
    /// Opens the checkpoint in `root` (made where it does not exist) and reads the state that it holds.
    pub(crate) fn open(root: &Path) -> Result<(Self, State), CheckpointError> {
        std::fs::create_dir_all(root)?;
        let catalogue = Catalogue::open(&root.join(CATALOGUE))?;
        let mut state = State::default();
        let (rows, entry) = match catalogue.read()? {
            Some(entry) => {
                let path = rows_path(root, entry.file);
                let rows = RowsFile::open(&path, entry.extent, |space, key, record| {
                    state.set(space, key, record);
                })?;
                (rows, entry)
            }
            None => {
                let path = rows_path(root, 1);
                // sled opens as an empty store what it cannot make sense of.
                if RowsFile::has_rows(&path)? {
                    let reason = "it is empty, though there are rows".into();
                    return Err(CheckpointError::Catalogue(reason));
                }
                let rows = RowsFile::create(&path)?;
                File::open(root)?.sync_all()?;
                let entry = Entry {
                    file: 1,
                    ..Entry::default()
                };
                catalogue.write(&entry)?;
                (rows, entry)
            }
        };
        state.applied = entry.applied;
        state.membership = entry.membership.clone();
        let checkpoint = Self {
            root: root.to_path_buf(),
            catalogue,
            rows,
            entry,
        };
        checkpoint.remove_others()?;
        Ok((checkpoint, state))
    }

    /// The last log entry that it reflects.
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.entry.applied
    }

    /// Whether it is time to [`rewrite`](Self::rewrite) it, with so many bytes of live data.
    pub(crate) fn is_stale(&self, live_bytes: u64) -> bool {
        self.entry.extent.bytes > 2 * live_bytes + SLACK
    }

    /// Adds what changed since the last commit or rewrite; returns when it is on disk. After an error
    /// the checkpoint is where it was.
    pub(crate) fn commit(&mut self, changes: &Changes) -> Result<(), CheckpointError> {
        let rows = changes
            .rows
            .iter()
            .map(|((space, key), record)| (*space, key, record.as_ref()));
        let extent = self.rows.append(self.entry.extent, rows)?;
        self.enter(Entry {
            file: self.entry.file,
            extent,
            applied: changes.applied,
            membership: changes.membership.clone(),
        })
    }

    /// Writes all of `state` into a new rows file, which takes the old one's place.
    pub(crate) fn rewrite(&mut self, state: &State) -> Result<(), CheckpointError> {
        let number = self.entry.file + 1;
        let mut rows = RowsFile::create(&rows_path(&self.root, number))?;
        let all = state
            .iter()
            .map(|(space, key, record)| (space, key, Some(record)));
        let extent = rows.append(Extent::default(), all)?;
        File::open(&self.root)?.sync_all()?;
        self.enter(Entry {
            file: number,
            extent,
            applied: state.applied,
            membership: state.membership.clone(),
        })?;
        self.rows = rows;
        self.remove_others()
    }

    /// Makes these rows the ones that count.
    fn enter(&mut self, entry: Entry) -> Result<(), CheckpointError> {
        self.catalogue.write(&entry)?;
        self.entry = entry;
        Ok(())
    }

    /// Removes the rows files that do not count (any more).
    fn remove_others(&self) -> Result<(), CheckpointError> {
        let current = rows_path(&self.root, self.entry.file);
        for path in entries(&self.root, ROWS)? {
            if path != current {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Puts a damaged checkpoint aside in a directory beside it, and answers which.
pub(crate) fn set_aside(root: &Path) -> std::io::Result<PathBuf> {
    let damaged = (1u32..)
        .map(|n| root.join(format!("{DAMAGED}{n}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| root.join(DAMAGED));
    std::fs::create_dir_all(&damaged)?;
    for prefix in [CATALOGUE, ROWS] {
        for path in entries(root, prefix)? {
            if let Some(name) = path.file_name() {
                std::fs::rename(&path, damaged.join(name))?;
            }
        }
    }
    File::open(root)?.sync_all()?;
    Ok(damaged)
}

fn rows_path(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{ROWS}{number:06}"))
}

/// What in `root` has a name that begins with `prefix`.
fn entries(root: &Path, prefix: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
