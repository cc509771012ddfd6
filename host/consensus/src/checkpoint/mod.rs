//! The checkpoint: the state on disk, behind the log.
//!
//! Reads never come here. A background thread ([`thread`]) writes changed keys together with the id of
//! the entry that they reflect, in one atomic batch, about once a second; what a durable checkpoint
//! covers may leave the log, and a restart replays the log from there. The store is sled ([`sled`]);
//! the port below is all that the rest knows of it, so another store is one file.

mod sled;
mod thread;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use self::thread::{Checkpointer, Dirty};
use crate::raft::{LogId, StoredMembership};
use crate::state::{State, row_hash};
use crate::types::{Key, Record, Space};

/// What a checkpoint says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The last entry that it reflects.
    pub applied: Option<LogId>,
    /// The membership as of that entry.
    pub membership: StoredMembership,
    /// How many rows it holds.
    pub rows: u64,
    /// The wrapping sum of its rows' hashes.
    pub hash: u64,
}

/// Rows to write (or remove), and what the checkpoint comes to with them.
pub(crate) struct Batch {
    pub rows: Vec<(Space, Key, Option<Record>)>,
    pub meta: Meta,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Store(String),
    #[error("it holds less than the log has given back")]
    Behind,
    #[error("its content does not match its checksum: {found} rows, {expected} were written")]
    Checksum { found: u64, expected: u64 },
}

/// The port: an on-disk map that takes a batch wholly or not at all.
pub(crate) trait CheckpointStore: Send {
    /// Everything that was committed; none in a new store. Not verified yet.
    fn load(&self) -> Result<Option<(State, Meta)>, CheckpointError>;
    /// Writes a batch and returns when it is on disk.
    fn commit(&mut self, batch: Batch) -> Result<(), CheckpointError>;
}

/// Where the checkpoint lives: numbered generations, of which `CURRENT` names the one in use. An
/// installed snapshot is written beside the old generation and takes its place by one rename.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointDir {
    root: PathBuf,
}

impl CheckpointDir {
    pub(crate) fn new(root: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn current(&self) -> std::io::Result<u64> {
        match std::fs::read_to_string(self.root.join("CURRENT")) {
            Ok(text) => text.trim().parse().map_err(std::io::Error::other),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(1),
            Err(error) => Err(error),
        }
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.root.join(format!("{generation:06}"))
    }

    fn set_current(&self, generation: u64) -> std::io::Result<()> {
        crate::files::write_atomically(
            &self.root.join("CURRENT"),
            format!("{generation}\n").as_bytes(),
            0o600,
        )
    }

    /// Opens the generation in use and verifies it. Generations that an interrupted install left
    /// behind are removed.
    pub(crate) fn open(&self) -> Result<(Box<dyn CheckpointStore>, State, Meta), CheckpointError> {
        let generation = self.current()?;
        for entry in std::fs::read_dir(&self.root)? {
            let path = entry?.path();
            let number = path
                .file_name()
                .and_then(|name| name.to_str()?.parse::<u64>().ok());
            if number.is_some_and(|number| number != generation) {
                std::fs::remove_dir_all(&path)?;
            }
        }
        let store = sled::SledStore::open(&self.path(generation))?;
        let (state, meta) = store.load()?.unwrap_or_default();
        verify(&state, &meta)?;
        Ok((Box::new(store), state, meta))
    }

    /// Writes `state` as a new generation, takes it into use and removes the old one. `old` is closed
    /// when this returns, whatever it returns.
    pub(crate) fn replace(
        &self,
        old: Box<dyn CheckpointStore>,
        state: &State,
    ) -> Result<(Box<dyn CheckpointStore>, Meta), CheckpointError> {
        drop(old);
        let previous = self.current()?;
        let next = previous + 1;
        let mut store = sled::SledStore::open(&self.path(next))?;
        let mut meta = Meta::default();
        // In pieces: one batch of everything would hold the state in memory twice over. The last
        // batch names the applied entry; until `CURRENT` names this generation none of it counts.
        let mut rows = state.iter().peekable();
        loop {
            let mut piece = Vec::new();
            for (space, key, record) in rows.by_ref().take(10_000) {
                meta.hash = meta.hash.wrapping_add(row_hash(space, key, record));
                meta.rows += 1;
                piece.push((space, key.clone(), Some(record.clone())));
            }
            let last = rows.peek().is_none();
            if last {
                meta.applied = state.applied;
                meta.membership = state.membership.clone();
            }
            store.commit(Batch {
                rows: piece,
                meta: meta.clone(),
            })?;
            if last {
                break;
            }
        }
        self.set_current(next)?;
        std::fs::remove_dir_all(self.path(previous))?;
        Ok((Box::new(store), meta))
    }

    /// Puts a damaged generation aside under another name, and answers that name.
    pub(crate) fn set_aside(&self) -> std::io::Result<PathBuf> {
        let generation = self.current()?;
        let damaged = (1u32..)
            .map(|n| self.root.join(format!("{generation:06}.damaged-{n}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| self.root.join("damaged"));
        match std::fs::rename(self.path(generation), &damaged) {
            // Nothing is left to keep.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result?,
        }
        self.set_current(generation + 1)?;
        Ok(damaged)
    }
}

fn verify(state: &State, meta: &Meta) -> Result<(), CheckpointError> {
    let hash = state.iter().fold(0u64, |sum, (space, key, record)| {
        sum.wrapping_add(row_hash(space, key, record))
    });
    if hash == meta.hash && state.rows() == meta.rows {
        Ok(())
    } else {
        Err(CheckpointError::Checksum {
            found: state.rows(),
            expected: meta.rows,
        })
    }
}

#[cfg(test)]
mod tests;
