//! The catalogue, in sled: one entry, changed in one durable step.
//!
//! sled's own `flush` does not wait for the disk on Linux (it issues `sync_file_range`), so every
//! change ends with an `fsync` of its files and their directory.

use std::fs::{self, File};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CheckpointError, Entry};

const KEY: &[u8] = b"checkpoint";
const VERSION: u8 = 1;
/// sled's page cache, for the one entry.
const CACHE_BYTES: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u8,
    entry: Entry,
}

pub(super) struct Catalogue {
    db: sled::Db,
    dir: PathBuf,
}

impl Catalogue {
    pub(super) fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            // Flushed by `write` alone.
            .flush_every_ms(None);
        // sled panics on some kinds of damage where it should answer with an error.
        let db = std::panic::catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|_| CheckpointError::Catalogue("it cannot be opened".into()))??;
        Ok(Self {
            db,
            dir: dir.to_path_buf(),
        })
    }

    /// The entry; none in a new catalogue.
    pub(super) fn read(&self) -> Result<Option<Entry>, CheckpointError> {
        let Some(bytes) = self.db.get(KEY)? else {
            return Ok(None);
        };
        let stored: Stored = postcard::from_bytes(&bytes)
            .map_err(|error| CheckpointError::Catalogue(error.to_string()))?;
        if stored.version != VERSION {
            return Err(CheckpointError::Catalogue(format!(
                "version {}, this daemon reads version {VERSION}",
                stored.version
            )));
        }
        Ok(Some(stored.entry))
    }

    /// Returns when the entry is on disk.
    pub(super) fn write(&self, entry: &Entry) -> Result<(), CheckpointError> {
        let stored = Stored {
            version: VERSION,
            entry: entry.clone(),
        };
        let bytes = postcard::to_stdvec(&stored)
            .map_err(|error| CheckpointError::Catalogue(error.to_string()))?;
        self.db.insert(KEY, bytes)?;
        self.db.flush()?;
        sync_tree(&self.dir)?;
        Ok(())
    }
}

impl From<sled::Error> for CheckpointError {
    fn from(error: sled::Error) -> Self {
        CheckpointError::Catalogue(error.to_string())
    }
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
