//! The thread that keeps the checkpoint close behind the state.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Changes, Checkpoint, CheckpointError};
use crate::snapshot::Image;
use crate::store::Store;
use crate::telemetry::Telemetry;

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
                    // Without the image: while one is held, every change copies what it touches.
                    let (_, changes) = self.store.take_changes();
                    if let Err(error) = self.write(changes) {
                        tracing::error!(%error, "cannot write the checkpoint; the log keeps growing until it can");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            due = Instant::now() + self.interval;
        }
    }

    fn commit(&mut self) -> Result<Image, CheckpointError> {
        let (image, changes) = self.store.take_changes();
        self.write(changes)?;
        Ok(image)
    }

    /// Brings the checkpoint up to these changes, or beyond them.
    fn write(&mut self, changes: Changes) -> Result<(), CheckpointError> {
        if changes.rows.is_empty() && changes.applied == self.checkpoint.applied() {
            return Ok(());
        }
        let started = Instant::now();
        let written = if self.checkpoint.is_stale(self.store.live_bytes()) {
            self.checkpoint.rewrite(&self.store.image().0)
        } else {
            self.checkpoint.commit(&changes)
        };
        match written {
            Ok(()) => {
                self.telemetry
                    .checkpoint_seconds
                    .observe(started.elapsed().as_secs_f64());
                self.telemetry
                    .checkpoint_rows
                    .inc_by(changes.rows.len() as u64);
            }
            Err(_) => self.store.give_back(changes),
        }
        written
    }

    fn install(&mut self, image: &Image) -> Result<(), CheckpointError> {
        self.checkpoint.rewrite(&image.0)?;
        // From here on reads see it, and what changes next is dirty against it.
        self.store.install(image);
        Ok(())
    }
}
