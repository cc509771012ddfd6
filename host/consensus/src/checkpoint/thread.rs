//! The thread that keeps the checkpoint close behind the state.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Batch, CheckpointDir, CheckpointError, CheckpointStore, Meta};
use crate::snapshot::Image;
use crate::state::row_hash;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::types::{Key, Record, Space};

/// The keys that changed since the last checkpoint, with what the checkpoint holds of each.
pub(crate) type Dirty = HashMap<(Space, Key), Option<Record>>;

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
        dir: CheckpointDir,
        disk: Box<dyn CheckpointStore>,
        meta: Meta,
        store: Arc<Store>,
        interval: Duration,
        telemetry: Arc<Telemetry>,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let worker = Worker {
            dir,
            disk: Some(disk),
            meta,
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
        let ended = || CheckpointError::Store("the checkpoint thread has ended".into());
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

struct Worker {
    dir: CheckpointDir,
    /// None only after an install that failed half-way: nothing can be written any more.
    disk: Option<Box<dyn CheckpointStore>>,
    meta: Meta,
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
        if dirty.is_empty() && image.0.applied == self.meta.applied {
            return Ok(image);
        }
        let started = Instant::now();
        match self.write(&image, &dirty) {
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

    fn write(&mut self, image: &Image, dirty: &Dirty) -> Result<(), CheckpointError> {
        let mut meta = self.meta.clone();
        let mut rows = Vec::with_capacity(dirty.len());
        for ((space, key), before) in dirty {
            let after = image.0.get(*space, key);
            if let Some(before) = before {
                meta.hash = meta.hash.wrapping_sub(row_hash(*space, key, before));
                meta.rows -= 1;
            }
            if let Some(after) = after {
                meta.hash = meta.hash.wrapping_add(row_hash(*space, key, after));
                meta.rows += 1;
            }
            rows.push((*space, key.clone(), after.cloned()));
        }
        meta.applied = image.0.applied;
        meta.membership = image.0.membership.clone();
        let disk = self.disk.as_mut().ok_or_else(closed)?;
        disk.commit(Batch {
            rows,
            meta: meta.clone(),
        })?;
        self.meta = meta;
        Ok(())
    }

    fn install(&mut self, image: &Image) -> Result<(), CheckpointError> {
        let old = self.disk.take().ok_or_else(closed)?;
        let (disk, meta) = self.dir.replace(old, &image.0)?;
        self.disk = Some(disk);
        self.meta = meta;
        // From here on reads see it, and what changes next is dirty against it.
        self.store.install(image);
        Ok(())
    }
}

fn closed() -> CheckpointError {
    CheckpointError::Store("the checkpoint is closed after an install that failed".into())
}
