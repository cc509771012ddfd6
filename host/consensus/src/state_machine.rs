//! The state machine as openraft sees it.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};

use crate::checkpoint::Checkpointer;
use crate::raft::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use crate::snapshot::Image;
use crate::store::Store;

/// Entries that one lock of the state applies at most.
const APPLY_BATCH: usize = 1_024;

/// Applies committed entries to the [`Store`], and makes and takes snapshots.
#[derive(Clone)]
pub(crate) struct StateMachine {
    store: Arc<Store>,
    checkpointer: Checkpointer,
}

impl StateMachine {
    pub(crate) fn new(store: Arc<Store>, checkpointer: Checkpointer) -> Self {
        Self {
            store,
            checkpointer,
        }
    }

    /// A snapshot frees the log up to its entry, so it is one that the checkpoint covers durably.
    async fn durable_snapshot(&self) -> io::Result<Snapshot> {
        let image = self.checkpointer.commit().await.map_err(io::Error::other)?;
        Ok(Snapshot {
            meta: image.meta(),
            snapshot: image,
        })
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        self.durable_snapshot().await
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Image;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok(self.store.applied())
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut batches = entries.ready_chunks(APPLY_BATCH);
        while let Some(batch) = batches.next().await {
            let batch = batch.into_iter().collect::<Result<Vec<_>, _>>()?;
            let outcomes = self.store.apply(batch.iter().map(|(entry, _)| entry));
            for ((_, responder), outcome) in batch.into_iter().zip(outcomes) {
                if let Some(responder) = responder {
                    responder.send(outcome);
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Image,
    ) -> Result<(), io::Error> {
        tracing::info!(
            revision = meta.last_log_id.map_or(0, |id| id.index),
            rows = snapshot.0.rows(),
            "installing a snapshot"
        );
        self.checkpointer
            .install(snapshot)
            .await
            .map_err(io::Error::other)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        if self.store.applied().0.is_none() {
            return Ok(None);
        }
        self.durable_snapshot().await.map(Some)
    }
}
