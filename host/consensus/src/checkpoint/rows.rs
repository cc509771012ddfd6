//! The rows file: rows in the order in which they were written; a later one replaces an earlier one of
//! the same key.
//!
//! After eight bytes that name the format come frames: `length u32, crc32 u32` (big endian) and a body of rows in
//! postcard, each a space, a key and its record (none where the key was deleted). How much of the file
//! counts stands elsewhere: what lies behind that is overwritten.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::CheckpointError;
use crate::types::{Key, Record, Space};

/// Names the format and its version.
const MAGIC: &[u8; 8] = b"PTLROWS\x01";
const HEADER: usize = 8;
/// About how many bytes of rows share a frame.
const FRAME_BYTES: usize = 256 << 10;
/// So much is written before it is put on disk: a single large sync would hold up the log's.
const SYNC_BYTES: u64 = 8 << 20;

/// The part of a rows file that counts: the frames within its first `bytes` bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    pub(super) bytes: u64,
    /// Every frame's checksum, each hashed with those before it.
    chain: u64,
}

impl Extent {
    fn start(self) -> u64 {
        self.bytes.max(MAGIC.len() as u64)
    }

    /// This and one frame more.
    fn and(self, frame: usize, crc: u32) -> Self {
        Self {
            bytes: self.start() + frame as u64,
            chain: xxh3_64_with_seed(&crc.to_be_bytes(), self.chain),
        }
    }
}

pub(super) struct RowsFile {
    path: PathBuf,
    file: File,
}

impl RowsFile {
    /// An empty file, in place of one that an interrupted rewrite may have left.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all_at(MAGIC, 0)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
        })
    }

    /// Whether there is a file with more than the beginning.
    pub(super) fn has_rows(path: &Path) -> io::Result<bool> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(metadata.len() > MAGIC.len() as u64),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens a file and tells every row within `extent`, in order.
    pub(super) fn open(
        path: &Path,
        extent: Extent,
        row: impl FnMut(Space, Key, Option<Record>),
    ) -> Result<Self, CheckpointError> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut rows = Self {
            path: path.to_path_buf(),
            file,
        };
        rows.read(extent, row)?;
        Ok(rows)
    }

    fn read(
        &mut self,
        extent: Extent,
        mut row: impl FnMut(Space, Key, Option<Record>),
    ) -> Result<(), CheckpointError> {
        let mut magic = [0; MAGIC.len()];
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = io::BufReader::with_capacity(FRAME_BYTES, &self.file);
        reader.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(self.damaged("not a rows file of this version"));
        }
        let mut seen = Extent::default();
        let mut body = Vec::new();
        while seen.bytes < extent.bytes {
            let (mut length, mut crc) = ([0; 4], [0; 4]);
            reader.read_exact(&mut length)?;
            reader.read_exact(&mut crc)?;
            let (length, crc) = (u32::from_be_bytes(length) as usize, u32::from_be_bytes(crc));
            if seen.start() + (HEADER + length) as u64 > extent.bytes {
                return Err(self.damaged("a frame reaches beyond the end"));
            }
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
            if crc32fast::hash(&body) != crc {
                return Err(self.damaged(&format!("a wrong checksum at byte {}", seen.start())));
            }
            seen = seen.and(HEADER + length, crc);
            let mut rest = body.as_slice();
            while !rest.is_empty() {
                let ((space, key, record), behind) = postcard::take_from_bytes(rest)
                    .map_err(|error| self.damaged(&error.to_string()))?;
                row(space, key, record);
                rest = behind;
            }
        }
        if seen != extent {
            return Err(self.damaged("its frames are not those that were written"));
        }
        Ok(())
    }

    /// Writes rows behind `extent`, and answers the extent with them once they are on disk.
    pub(super) fn append<'a>(
        &mut self,
        extent: Extent,
        rows: impl Iterator<Item = (Space, &'a Key, Option<&'a Record>)>,
    ) -> Result<Extent, CheckpointError> {
        let mut written = extent;
        let mut synced = extent.bytes;
        let mut frame = vec![0; HEADER];
        let mut rows = rows.peekable();
        while let Some(row) = rows.next() {
            frame = postcard::to_extend(&row, frame)
                .map_err(|error| self.damaged(&error.to_string()))?;
            if frame.len() < FRAME_BYTES && rows.peek().is_some() {
                continue;
            }
            let body = &frame[HEADER..];
            let length = u32::try_from(body.len())
                .map_err(|_| self.damaged("a row that is too long for a frame"))?;
            let crc = crc32fast::hash(body);
            frame[..4].copy_from_slice(&length.to_be_bytes());
            frame[4..HEADER].copy_from_slice(&crc.to_be_bytes());
            self.file.write_all_at(&frame, written.start())?;
            written = written.and(frame.len(), crc);
            frame.truncate(HEADER);
            if written.bytes - synced > SYNC_BYTES {
                self.file.sync_data()?;
                synced = written.bytes;
            }
        }
        self.file.sync_data()?;
        Ok(written)
    }

    fn damaged(&self, reason: &str) -> CheckpointError {
        CheckpointError::Rows {
            file: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}
