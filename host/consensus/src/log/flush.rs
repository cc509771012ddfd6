//! Group commit: at most one fsync is under way, and whoever comes meanwhile shares the next.
//!
//! An fsync is asked of `raft-log`'s own thread, which calls back from there when it is done. That
//! thread must never wait for the log's lock, whose holder may be waiting for the thread to take more;
//! so an fsync is begun by whoever gets the lock without waiting, and whoever had it looks again behind
//! the unlock ([`SharedLog::with`]).

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use openraft::storage::IOFlushed;
use parking_lot::{Condvar, Mutex};
use raft_log::RaftLog;
use raft_log::api::raft_log_writer::RaftLogWriter;
use tokio::sync::oneshot;

use super::codec::LogTypes;
use crate::raft::TypeConfig;
use crate::telemetry::Telemetry;

/// Who waits for an fsync.
pub(super) enum Waiter {
    /// openraft, for appended entries.
    Raft(IOFlushed<TypeConfig>),
    /// A task of ours, for votes, truncation and purges.
    Task(oneshot::Sender<io::Result<()>>),
}

impl Waiter {
    fn complete(self, result: &io::Result<()>) {
        let result = result
            .as_ref()
            .copied()
            .map_err(|e| io::Error::new(e.kind(), e.to_string()));
        match self {
            Waiter::Raft(callback) => callback.io_completed(result),
            // The task may have gone away meanwhile; then nobody needs the answer.
            Waiter::Task(sender) => drop(sender.send(result)),
        }
    }
}

#[derive(Default)]
struct Queue {
    /// Who came since the last fsync was begun.
    waiters: Vec<Waiter>,
    under_way: bool,
}

struct Flusher {
    queue: Mutex<Queue>,
    idle: Condvar,
    telemetry: Arc<Telemetry>,
}

/// The log and its group commit.
pub(super) struct SharedLog {
    log: Arc<Mutex<RaftLog<LogTypes>>>,
    flusher: Arc<Flusher>,
}

impl SharedLog {
    pub(super) fn new(log: RaftLog<LogTypes>, telemetry: Arc<Telemetry>) -> Self {
        let flusher = Flusher {
            queue: Mutex::default(),
            idle: Condvar::new(),
            telemetry,
        };
        Self {
            log: Arc::new(Mutex::new(log)),
            flusher: Arc::new(flusher),
        }
    }

    /// Works on the log.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut RaftLog<LogTypes>) -> T) -> T {
        let result = work(&mut self.log.lock());
        begin(&self.flusher, &self.log);
        result
    }

    /// `waiter` hears when everything appended so far is on disk.
    pub(super) fn flush(&self, waiter: Waiter) {
        self.flusher.queue.lock().waiters.push(waiter);
        begin(&self.flusher, &self.log);
    }
}

impl Drop for SharedLog {
    /// Waits until the log's thread is done with the log: it must not be what drops it, since the log
    /// waits for its thread then.
    fn drop(&mut self) {
        let mut queue = self.flusher.queue.lock();
        while queue.under_way || !queue.waiters.is_empty() {
            self.flusher.idle.wait(&mut queue);
        }
    }
}

/// Begins an fsync where somebody waits for one and none is under way. Where the log is locked, its
/// holder does it.
fn begin(flusher: &Arc<Flusher>, log: &Arc<Mutex<RaftLog<LogTypes>>>) {
    let is_wanted = |queue: &Queue| !queue.under_way && !queue.waiters.is_empty();
    while is_wanted(&flusher.queue.lock()) {
        let Some(mut locked) = log.try_lock() else {
            return;
        };
        let mut queue = flusher.queue.lock();
        if !is_wanted(&queue) {
            // Once more behind the unlock: somebody may have found the log locked by us.
            continue;
        }
        queue.under_way = true;
        let waiters = std::mem::take(&mut queue.waiters);
        drop(queue);
        let under_way = UnderWay {
            flusher: flusher.clone(),
            log: Arc::downgrade(log),
            waiters,
            began: Instant::now(),
        };
        if let Err(error) = locked.flush(true, Some(under_way)) {
            // Those who wait have heard it when `UnderWay` was dropped.
            tracing::error!(%error, "cannot write the raft log; this member stops");
        }
    }
}

/// One fsync, on its way through `raft-log`'s thread.
pub(crate) struct UnderWay {
    flusher: Arc<Flusher>,
    /// Weak: see `SharedLog`'s drop.
    log: Weak<Mutex<RaftLog<LogTypes>>>,
    waiters: Vec<Waiter>,
    began: Instant,
}

impl raft_log::Callback for UnderWay {
    fn send(mut self, result: io::Result<()>) {
        let took = self.began.elapsed().as_secs_f64();
        self.flusher.telemetry.log_fsync_seconds.observe(took);
        if let Err(error) = &result {
            tracing::error!(%error, "cannot write the raft log; this member stops");
        }
        for waiter in self.waiters.drain(..) {
            waiter.complete(&result);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Dropped unanswered: the log's thread has ended, and with it all hope for who came since.
        let mut lost = std::mem::take(&mut self.waiters);
        let more = {
            let mut queue = self.flusher.queue.lock();
            queue.under_way = false;
            if !lost.is_empty() {
                lost.append(&mut queue.waiters);
            }
            self.flusher.idle.notify_all();
            !queue.waiters.is_empty()
        };
        let ended = Err(io::Error::other("the log's thread has ended"));
        for waiter in lost {
            waiter.complete(&ended);
        }
        if more && let Some(log) = self.log.upgrade() {
            begin(&self.flusher, &log);
        }
    }
}
