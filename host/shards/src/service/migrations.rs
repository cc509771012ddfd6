//! What can be asked of a cluster's migrations.

use portolan_consensus::documents::{Stored, encode, until_settled};
use portolan_consensus::{Consistency, Revision, Space, Txn};

use super::Shards;
use crate::error::ShardsError;
use crate::events::now_ms;
use crate::keys;
use crate::migration::{JobState, JobView, Migrations, parts};
use crate::model::EngineKind;
use crate::names::Name;
use crate::slots::SlotRange;

/// What an operator can do to a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobAction {
    /// Takes it back.
    Cancel,
    /// Keeps it from starting.
    Pause,
    /// Lets one that is paused or was given up try again.
    Resume,
}

impl Shards {
    /// Queues the migration of slots to the shard at `target`, and answers the ids: one for each part
    /// that has one owner.
    ///
    /// # Errors
    /// [`ShardsError`]; nothing is queued then.
    pub async fn migrate_slots(
        &self,
        namespace: &str,
        name: &str,
        ranges: &[SlotRange],
        target: usize,
        slot_only: bool,
    ) -> Result<Vec<u64>, ShardsError> {
        until_settled(|| async {
            let (namespace, name, cluster) = self.find(namespace, name).await?;
            let target_id = cluster.document.shard(target)?.id;
            if slot_only && cluster.document.engine == EngineKind::Redis {
                return Err(ShardsError::invalid(
                    "slot_only",
                    "a Redis or Valkey node gives no slot away without its keys: leave this out",
                ));
            }
            let parts = parts(&cluster.document, ranges, target)
                .map_err(|message| ShardsError::invalid("slot", message))?;
            let (revision, mut queue) = self.queue(&namespace, &name).await?;
            let mut ids = Vec::new();
            for part in parts {
                if let Some(job) = queue.about(part) {
                    return Err(ShardsError::Conflict(format!(
                        "migration {} of the slots {} is not over: wait for it or cancel it",
                        job.id, job.slots
                    )));
                }
                ids.push(queue.add(part, target_id, slot_only));
            }
            let key = keys::migrations(&namespace, &name);
            let cluster_key = keys::cluster(&namespace, &name);
            let txn = Txn::new()
                .guard(Space::Shards, cluster_key, cluster.modified)
                .guard(Space::Shards, key.as_str(), revision)
                .put(Space::Shards, key, encode(&queue));
            self.documents.commit(txn).await?;
            Ok::<_, ShardsError>(ids)
        })
        .await
    }

    /// A cluster's migrations, oldest first.
    ///
    /// # Errors
    /// [`ShardsError::NotFound`].
    pub async fn migrations(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<JobView>, ShardsError> {
        let (namespace, name, _) = self.find(namespace, name).await?;
        let jobs = self.queue(&namespace, &name).await?.1.jobs;
        let now_ms = now_ms();
        Ok(jobs
            .into_iter()
            .map(|job| JobView::of(job, now_ms))
            .collect())
    }

    /// Cancels, pauses or resumes a migration.
    ///
    /// # Errors
    /// [`ShardsError::Conflict`] when it is too late for that.
    pub async fn change_migration(
        &self,
        namespace: &str,
        name: &str,
        id: u64,
        action: JobAction,
    ) -> Result<JobView, ShardsError> {
        until_settled(|| async {
            let (namespace, name, cluster) = self.find(namespace, name).await?;
            let (revision, mut queue) = self.queue(&namespace, &name).await?;
            let job = queue
                .get_mut(id)
                .ok_or_else(|| ShardsError::NotFound(format!("migration {id}")))?;
            if job.state.is_under_way() && !cluster.document.engine.can_stop_migrations() {
                return Err(ShardsError::Conflict(format!(
                    "migration {id} is under way, and Kvrocks cannot stop one: it ends by itself"
                )));
            }
            let state = match (action, job.state) {
                (JobAction::Cancel, JobState::Queued | JobState::Paused | JobState::Failed) => {
                    JobState::Cancelled
                }
                (JobAction::Pause, JobState::Queued | JobState::Paused) => JobState::Paused,
                (JobAction::Cancel, state) if state.is_under_way() => JobState::Cancelling,
                (JobAction::Pause, state) if state.is_under_way() => JobState::Pausing,
                (JobAction::Resume, JobState::Paused | JobState::Failed | JobState::Queued) => {
                    job.attempts = 0;
                    job.not_before_ms = 0;
                    JobState::Queued
                }
                (_, state) => {
                    return Err(ShardsError::Conflict(format!(
                        "migration {id} is {}: that cannot be changed any more",
                        format!("{state:?}").to_lowercase()
                    )));
                }
            };
            job.enter(state);
            let job = job.clone();
            let key = keys::migrations(&namespace, &name);
            let txn = Txn::new().guard(Space::Shards, key.as_str(), revision).put(
                Space::Shards,
                key,
                encode(&queue),
            );
            self.documents.commit(txn).await?;
            Ok(JobView::of(job, now_ms()))
        })
        .await
    }

    /// The queue and its revision.
    pub(crate) async fn queue(
        &self,
        namespace: &Name,
        name: &Name,
    ) -> Result<(Revision, Migrations), ShardsError> {
        let key = keys::migrations(namespace, name);
        let stored: Option<Stored<Migrations>> =
            self.documents.load(&key, Consistency::Linearizable).await?;
        Ok(match stored {
            Some(stored) => (stored.modified, stored.document),
            None => (Revision::ZERO, Migrations::default()),
        })
    }
}
