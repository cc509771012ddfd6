//! The thread that keeps the checkpoint close behind the state.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Checkpoint, CheckpointError};
use crate::snapshot::Image;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::types::{Key, Space};

/// The keys that changed since the last checkpoint.
pub(crate) type Dirty = HashSet<(Space, Key)>;

type Reply<T> = oneshot::Sender<Result<T, CheckpointError>>;

enum Job {
    /// Write what changed; answer with an image that the checkpoint covers.
    Commit(Reply<Image>),
    /// Replace everything by this image, in memory and on disk.
    Install(Image, Reply<()>),
    Stop(Reply<Image>),
}

/// Asks the checkpoint thread for work.
#[derive(Clone)]
pub(crate) struct Checkpointer {
    jobs: Sender<Job>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Checkpointer {
    pub(crate) fn start(
        checkpoint: Checkpoint,
        store: Arc<Store>,
        interval: Duration,
        telemetry: Arc<Telemetry>,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let worker = Worker {
            checkpoint,
            store,
            interval,
            telemetry,
        };
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || worker.run(&inbox))?;
        Ok(Self {
            jobs,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Brings the checkpoint up to the state as it is now.
    pub(crate) async fn commit(&self) -> Result<Image, CheckpointError> {
        self.ask(Job::Commit).await
    }

    /// Replaces the state, in memory and on disk.
    pub(crate) async fn install(&self, image: Image) -> Result<(), CheckpointError> {
        self.ask(|reply| Job::Install(image, reply)).await
    }

    /// Writes a last checkpoint and ends the thread.
    pub(crate) async fn stop(&self) -> Result<(), CheckpointError> {
        let result = self.ask(Job::Stop).await.map(drop);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // It answered: it is past its last write.
            let _ = thread.join();
        }
        result
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, CheckpointError> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(job(reply))
            .map_err(|_| CheckpointError::Ended)?;
        answer.await.map_err(|_| CheckpointError::Ended)?
    }
}

struct Worker {
    checkpoint: Checkpoint,
    store: Arc<Store>,
    interval: Duration,
    telemetry: Arc<Telemetry>,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Job>) {
        let mut due = Instant::now() + self.interval;
        loop {
            match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Job::Commit(reply)) => drop(reply.send(self.commit())),
                Ok(Job::Install(image, reply)) => drop(reply.send(self.install(&image))),
                Ok(Job::Stop(reply)) => {
                    let result = self.commit();
                    // Close the store before anybody hears that it is closed.
                    drop(self);
                    drop(reply.send(result));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.commit() {
                        tracing::error!(%error, "cannot write the checkpoint; the log keeps growing until it can");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            due = Instant::now() + self.interval;
        }
    }

    fn commit(&mut self) -> Result<Image, CheckpointError> {
        let (image, dirty) = self.store.take_dirty();
        if dirty.is_empty() && image.0.applied == self.checkpoint.applied() {
            return Ok(image);
        }
        let started = Instant::now();
        match self.checkpoint.commit(&image.0, &dirty) {
            Ok(()) => {
                self.telemetry
                    .checkpoint_seconds
                    .observe(started.elapsed().as_secs_f64());
                self.telemetry.checkpoint_rows.inc_by(dirty.len() as u64);
                Ok(image)
            }
            Err(error) => {
                self.store.give_back(dirty);
                Err(error)
            }
        }
    }

    fn install(&mut self, image: &Image) -> Result<(), CheckpointError> {
        self.checkpoint.rewrite(&image.0)?;
        // From here on reads see it, and what changes next is dirty against it.
        self.store.install(image);
        Ok(())
    }
}
