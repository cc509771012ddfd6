//! The thread that makes the log durable: many appends, one fsync.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
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
    waiters: Vec<Waiter>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// Hands waiters to the writer thread, and ends it on drop.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        log: Arc<Mutex<RaftLog<LogTypes>>>,
        telemetry: Arc<Telemetry>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("raft-log-writer".into())
                .spawn(move || run(&shared, &log, &telemetry))?
        };
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// `waiter` hears when everything appended so far is on disk.
    pub(super) fn flush(&self, waiter: Waiter) {
        self.shared.queue.lock().waiters.push(waiter);
        self.shared.wake.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has logged it, and its waiters have failed already.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, log: &Mutex<RaftLog<LogTypes>>, telemetry: &Telemetry) {
    loop {
        let waiters = {
            let mut queue = shared.queue.lock();
            while queue.waiters.is_empty() && !queue.closed {
                shared.wake.wait(&mut queue);
            }
            if queue.waiters.is_empty() {
                return;
            }
            std::mem::take(&mut queue.waiters)
        };
        let started = Instant::now();
        let result = flush(log);
        telemetry
            .log_fsync_seconds
            .observe(started.elapsed().as_secs_f64());
        if let Err(error) = &result {
            tracing::error!(%error, "cannot write the raft log; this member stops");
        }
        for waiter in waiters {
            waiter.complete(&result);
        }
    }
}

fn flush(log: &Mutex<RaftLog<LogTypes>>) -> io::Result<()> {
    let (done, wait) = std::sync::mpsc::sync_channel(1);
    log.lock().flush(true, Some(done))?;
    wait.recv()
        .map_err(|_| io::Error::other("the log's flush worker has ended"))?
}
