//! The checkpoint in sled.
//!
//! sled's own `flush` does not wait for the disk on Linux (it issues `sync_file_range`), so every
//! commit ends with an `fsync` of its files and their directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Batch, CheckpointError, CheckpointStore, Meta};
use crate::state::State;
use crate::types::{Key, Record, Revision, Space};

/// Behind every space's rows: no space has this number.
const META_KEY: &[u8] = &[0xFF];
const META_VERSION: u8 = 1;
/// sled's page cache; the state itself is in memory already.
const CACHE_BYTES: u64 = 16 << 20;
/// A row is its two revisions (8 bytes each, big endian) and its value.
const ROW_HEADER: usize = 16;

#[derive(Serialize, Deserialize)]
struct StoredMeta {
    version: u8,
    meta: Meta,
}

pub(super) struct SledStore {
    db: sled::Db,
    dir: PathBuf,
}

impl SledStore {
    pub(super) fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            // Flushed by `commit` alone.
            .flush_every_ms(None)
            .open()?;
        Ok(Self {
            db,
            dir: dir.to_path_buf(),
        })
    }
}

impl From<sled::Error> for CheckpointError {
    fn from(error: sled::Error) -> Self {
        CheckpointError::Store(error.to_string())
    }
}

impl CheckpointStore for SledStore {
    fn load(&self) -> Result<Option<(State, Meta)>, CheckpointError> {
        let Some(meta) = self.db.get(META_KEY)? else {
            return Ok(None);
        };
        let stored: StoredMeta =
            postcard::from_bytes(&meta).map_err(|e| CheckpointError::Store(e.to_string()))?;
        if stored.version != META_VERSION {
            return Err(CheckpointError::Store(format!(
                "checkpoint of version {}, this daemon reads version {META_VERSION}",
                stored.version
            )));
        }
        let mut state = State::default();
        for row in self.db.range(..META_KEY) {
            let (key, value) = row?;
            let (space, key, record) = decode(&key, &value)?;
            state.insert(space, key, record);
        }
        state.applied = stored.meta.applied;
        state.membership = stored.meta.membership.clone();
        Ok(Some((state, stored.meta)))
    }

    fn commit(&mut self, batch: Batch) -> Result<(), CheckpointError> {
        let mut writes = sled::Batch::default();
        for (space, key, record) in &batch.rows {
            match record {
                Some(record) => writes.insert(encode_key(*space, key), encode_record(record)),
                None => writes.remove(encode_key(*space, key)),
            }
        }
        let meta = StoredMeta {
            version: META_VERSION,
            meta: batch.meta,
        };
        let meta = postcard::to_stdvec(&meta).map_err(|e| CheckpointError::Store(e.to_string()))?;
        writes.insert(META_KEY, meta);
        self.db.apply_batch(writes)?;
        self.db.flush()?;
        sync_tree(&self.dir)?;
        Ok(())
    }
}

fn encode_key(space: Space, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(space as u8);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

fn encode_record(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROW_HEADER + record.value.len());
    bytes.extend_from_slice(&record.created.0.to_be_bytes());
    bytes.extend_from_slice(&record.modified.0.to_be_bytes());
    bytes.extend_from_slice(&record.value);
    bytes
}

fn decode(key: &[u8], value: &[u8]) -> Result<(Space, Key, Record), CheckpointError> {
    let damaged = || CheckpointError::Store("a row that cannot be read".into());
    let (space, key) = key.split_first().ok_or_else(damaged)?;
    let space = *Space::ALL.get(usize::from(*space)).ok_or_else(damaged)?;
    let key = std::str::from_utf8(key).map_err(|_| damaged())?;
    let (created, rest) = value.split_first_chunk().ok_or_else(damaged)?;
    let (modified, value) = rest.split_first_chunk().ok_or_else(damaged)?;
    debug_assert_eq!(ROW_HEADER, created.len() + modified.len());
    let record = Record {
        value: Bytes::copy_from_slice(value),
        created: Revision(u64::from_be_bytes(*created)),
        modified: Revision(u64::from_be_bytes(*modified)),
    };
    Ok((space, key.into(), record))
}

/// Puts a directory's files and entries on disk, those of its directories first.
fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            match File::open(entry.path()) {
                Ok(file) => file.sync_all()?,
                // sled removes files of its own in the background.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    File::open(dir)?.sync_all()
}
