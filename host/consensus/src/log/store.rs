//! The log as openraft sees it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use raft_log::RaftLog;
use raft_log::api::raft_log_writer::RaftLogWriter;
use tokio::sync::oneshot;

use super::codec::{StoredLogId, StoredPayload, StoredVote};
use super::flush::{SharedLog, Waiter};
use crate::error::StartError;
use crate::raft::{Entry, LogId, TypeConfig, Vote};
use crate::telemetry::Telemetry;

/// Entries in memory, so that replication and apply seldom read the disk.
const CACHE_ENTRIES: usize = 10_000;
/// The same bound in bytes.
const CACHE_BYTES: usize = 16 << 20;
/// What one replication message carries at most, save a single larger entry.
const MAX_BATCH_BYTES: u64 = 4 << 20;

/// The durable log. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Arc<SharedLog>,
}

impl LogStore {
    /// Opens the log in `dir` (made where it does not exist) and recovers it: a torn last record is
    /// cut off, any other damage is an error that names the file.
    pub(crate) fn open(
        dir: &Path,
        data: &Path,
        chunk_bytes: u64,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, StartError> {
        std::fs::create_dir_all(dir).map_err(StartError::io("create", dir))?;
        let mut config = raft_log::Config::new(dir.display());
        config.log_cache_max_items = Some(CACHE_ENTRIES);
        config.log_cache_capacity = Some(CACHE_BYTES);
        config.wal.chunk_max_size = Some(usize::try_from(chunk_bytes).unwrap_or(usize::MAX));
        config.wal.read_buffer_size = Some(1 << 20);
        // What comes during one fsync shares the next; waiting for more would only add latency.
        config.wal.flush_batch_wait = Some(Duration::ZERO);
        let log = RaftLog::open(Arc::new(config)).map_err(|error| damaged(dir, data, &error))?;
        Ok(Self {
            log: Arc::new(SharedLog::new(log, telemetry)),
        })
    }

    /// The last entry that has been given back to the disk.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.log.with(|log| log.log_state().purged().map(|id| id.0))
    }

    /// The log's size on disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.log.with(|log| log.on_disk_size())
    }

    /// Returns when everything appended so far is on disk.
    pub(super) async fn flush(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.log.flush(Waiter::Task(done));
        wait.await
            .map_err(|_| io::Error::other("the log's thread has ended"))?
    }

    fn read(&self, from: u64, to: u64, max_bytes: u64) -> io::Result<Vec<Entry>> {
        self.log.with(|log| {
            let mut entries = Vec::new();
            let mut bytes = 0;
            for item in log.read(from, to) {
                let (StoredLogId(log_id), payload) = item?;
                bytes += payload.size();
                if bytes > max_bytes && !entries.is_empty() {
                    break;
                }
                entries.push(Entry {
                    log_id,
                    payload: payload.0,
                });
            }
            Ok(entries)
        })
    }
}

/// Names the chunk file that `raft-log` complains of.
fn damaged(dir: &Path, data: &Path, error: &io::Error) -> StartError {
    let reason = error.to_string();
    let chunk = reason
        .split_once("ChunkId(")
        .and_then(|(_, rest)| rest.split_once(')'));
    let file = match chunk {
        Some((id, _)) => dir.join(format!("r-{id}.wal")),
        None => dir.to_path_buf(),
    };
    StartError::DamagedLog {
        file,
        data: data.to_path_buf(),
        reason,
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        self.read(from, to, u64::MAX)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, MAX_BATCH_BYTES)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self
            .log
            .with(|log| log.log_state().vote().map(|vote| vote.0)))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        self.log.with(|log| {
            let state = log.log_state();
            Ok(LogState {
                last_purged_log_id: state.purged().map(|id| id.0),
                last_log_id: state.last().map(|id| id.0),
            })
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.log.with(|log| log.save_vote(StoredVote(*vote)))?;
        self.flush().await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // Without an fsync of its own: it goes to disk with the next append. What it saves is
        // replay after a restart, not safety.
        if let Some(committed) = committed {
            self.log.with(|log| {
                if Some(committed) <= log.log_state().last().map(|id| id.0) {
                    log.commit(StoredLogId(committed))?;
                }
                Ok::<_, io::Error>(())
            })?;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self
            .log
            .with(|log| log.log_state().committed().map(|id| id.0)))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records = entries
            .into_iter()
            .map(|entry| (StoredLogId(entry.log_id), StoredPayload(entry.payload)));
        // Readable as soon as this returns; durable when the callback says so.
        self.log.with(|log| log.append(records))?;
        self.log.flush(Waiter::Raft(callback));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let first_gone = last_log_id.map_or(0, |id| id.index + 1);
        self.log.with(|log| log.truncate(first_gone))?;
        self.flush().await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.log.with(|log| log.purge(StoredLogId(log_id)))?;
        // Whole files are removed behind the fsync of the purge record.
        self.flush().await
    }
}
