//! Carrying migrations out: one step after the other, each stored before it is taken.

use std::time::Duration;

use portolan_consensus::documents::{Stored, encode};
use portolan_consensus::{Consistency, Space, Txn};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::{Migration, MigrationState, NodeError, Started, Stopped, Transfer};
use crate::error::ShardsError;
use crate::events::{EventKind, now_ms};
use crate::keys;
use crate::migration::{Job, JobState, Migrations};
use crate::model::{Cluster, Shard};
use crate::service::{Place, Shards};
use crate::slots::SlotSet;

/// How long until a migration that goes on by itself is looked at again, and until a queue is.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// What comes next for a job.
#[derive(Debug)]
enum Next {
    /// Look again a little later.
    Wait,
    /// It is in this state now.
    State(JobState),
    /// It goes on, and this is how far it is.
    Progress(Migration),
    /// Slots go from one shard to another in the topology. The job is over where that brings all of its
    /// slots to where they should go.
    Move {
        slots: SlotSet,
        from: usize,
        to: usize,
        keys: Option<u64>,
    },
    /// This attempt has failed.
    Retry(String),
    /// No attempt can help.
    GiveUp(String),
}

impl Next {
    fn moving(slots: SlotSet, from: usize, to: usize) -> Self {
        Self::Move {
            slots,
            from,
            to,
            keys: None,
        }
    }
}

impl Shards {
    /// Takes a cluster's migrations as far as they go, until `ended`.
    pub(super) async fn carry_migrations(&self, place: &Place, ended: CancellationToken) {
        while !ended.is_cancelled() {
            match self.step(place).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, cluster = %place.1, "a migration's step was not stored");
                }
            }
            ended.run_until_cancelled(sleep(LOOK_AGAIN)).await;
        }
    }

    /// Whether another step may follow at once.
    async fn step(&self, place: &Place) -> Result<bool, ShardsError> {
        let key = keys::migrations(&place.0, &place.1);
        let queue: Option<Stored<Migrations>> =
            self.documents.load(&key, Consistency::Stale).await?;
        let Some(mut queue) = queue else {
            return Ok(false);
        };
        self.meter.queue(place, &queue.document);
        let Some(job) = queue.document.current(now_ms()).cloned() else {
            return Ok(false);
        };
        let Some(cluster) = self.here(place).await? else {
            return Ok(false);
        };
        let next = self.next(&cluster.document, &job).await;
        let Some(entry) = queue.document.get_mut(job.id) else {
            return Ok(false);
        };
        let before = entry.clone();
        let mut txn = Txn::new().guard(Space::Shards, key.as_str(), queue.modified);
        let (mut events, mut after) = (Vec::new(), None);
        // Where slots go to their target one by one, the nodes know by themselves.
        let mut is_news = false;
        match next {
            Next::Wait => {}
            Next::State(state) => {
                if state == JobState::Starting {
                    entry.started_at_ms = Some(now_ms());
                    let text = format!("slots {} are on their way", job.slots);
                    events.push((EventKind::MigrationStarted, text));
                }
                if state == JobState::Cancelled {
                    events.push((EventKind::MigrationFailed, cancelled(entry)));
                }
                entry.enter(state);
            }
            Next::Progress(migration) => entry.progressed(migration.keys, migration.bytes_left),
            Next::Move {
                slots,
                from,
                to,
                keys,
            } => {
                let mut moved = cluster.document.clone();
                moved.move_slots(&slots, from, to);
                entry.progressed(keys, None);
                let is_target = moved.shards[to].id == job.target;
                is_news = true;
                if is_target {
                    entry.slots_done += slots.count();
                }
                if is_target && moved.still_to_go(job.slots, to).is_empty() {
                    entry.reason = None;
                    entry.enter(JobState::Done);
                    let text = format!("slots {} went from shard {from} to shard {to}", job.slots);
                    events.push((EventKind::MigrationDone, text));
                } else if !is_target {
                    // Somebody had sent the keys elsewhere: from there it goes on.
                    entry.state = JobState::Queued;
                    let text = format!("slots {slots} went from shard {from} to shard {to}");
                    events.push((EventKind::MigrationDone, text));
                } else {
                    is_news = false;
                }
                let key = keys::cluster(&place.0, &place.1);
                txn = txn
                    .guard(Space::Shards, key.as_str(), cluster.modified)
                    .put(Space::Shards, key, encode(&moved));
                after = Some(moved);
            }
            Next::Retry(reason) => {
                entry.failed(reason);
                events.push((EventKind::MigrationFailed, failure(entry)));
            }
            Next::GiveUp(reason) => {
                entry.enter(JobState::Failed);
                entry.reason = Some(reason);
                events.push((EventKind::MigrationFailed, failure(entry)));
            }
        }
        if *entry == before && after.is_none() {
            return Ok(false);
        }
        let again = entry.state != before.state || after.is_some();
        txn = txn.put(Space::Shards, key, encode(&queue.document));
        self.commit_with(place, txn, &events).await?;
        if let Some(after) = after.filter(|_| is_news) {
            self.push_to_all(place, &after, false).await;
        }
        Ok(again)
    }

    async fn next(&self, cluster: &Cluster, job: &Job) -> Next {
        let Some(to) = cluster.index_of(job.target) else {
            return Next::GiveUp("the shard that they should go to is gone".into());
        };
        let remaining = cluster.still_to_go(job.slots, to);
        let Some(part) = remaining.ranges().first().copied() else {
            return Next::State(JobState::Done);
        };
        let Some(from) = cluster.owner(part) else {
            return Next::GiveUp("no one shard serves all of these slots any more".into());
        };
        if job.slot_only {
            return Next::moving(part.into(), from, to);
        }
        if job.state == JobState::Queued {
            return Next::State(JobState::Starting);
        }
        let masters = (cluster.shards[from].master(), cluster.shards[to].master());
        let (Some(source), Some(target)) = masters else {
            return Next::GiveUp("source or target has no master".into());
        };
        let access = (self.secrets.access(source), self.secrets.access(target));
        let transfer = match access {
            (Ok(source_access), Ok(target_access)) => Transfer {
                slots: part,
                source: source_access,
                source_id: source.id.clone(),
                target: target_access,
                target_id: target.id.clone(),
                attempts: job.attempts,
            },
            (Err(error), _) | (_, Err(error)) => return Next::Retry(error.to_string()),
        };
        let ends = Ends { transfer, from, to };
        match job.state {
            JobState::Cancelling => self.wind_up(cluster, &ends, JobState::Cancelled).await,
            JobState::Pausing => self.wind_up(cluster, &ends, JobState::Paused).await,
            _ => self.carry(cluster, job, &ends).await,
        }
    }

    /// Starts a migration, or sees how it goes.
    async fn carry(&self, cluster: &Cluster, job: &Job, ends: &Ends) -> Next {
        let Ends { transfer, from, to } = ends;
        let (from, to) = (*from, *to);
        let engine = self.engines.of(cluster.engine);
        let source = &transfer.source.addr;
        let all = SlotSet::from(transfer.slots);
        let started = if job.state == JobState::Starting {
            match engine.migrate(transfer).await {
                Ok(started) => Some(started),
                // A master that is down is the failover's business.
                Err(NodeError::Unreachable(_)) => return Next::Wait,
                Err(error) => return Next::Retry(format!("{source}: {error}")),
            }
        } else {
            None
        };
        if started == Some(Started::Accepted) {
            return Next::State(JobState::Running);
        }
        let status = match engine.carry_on(transfer).await {
            Ok(status) => status.filter(|status| status.slots == transfer.slots),
            Err(NodeError::Refused(reason)) => return Next::Retry(format!("{source}: {reason}")),
            Err(_) => return Next::Wait,
        };
        let ours = status
            .as_ref()
            .filter(|status| status.destination == transfer.target_id);
        match (started, status.as_ref(), ours) {
            (Some(Started::Accepted), ..) => Next::State(JobState::Running),
            (Some(Started::Busy), _, Some(_)) => Next::State(JobState::Running),
            (Some(Started::Busy), ..) => {
                Next::Retry(format!("{source} is busy with another migration"))
            }
            (Some(Started::AlreadyMigrated), _, Some(_)) => Next::moving(all, from, to),
            (Some(Started::AlreadyMigrated), Some(status), None) => {
                let destination = &status.destination;
                let mut shards = cluster.shards.iter();
                let is_master =
                    |shard: &Shard| shard.master().is_some_and(|m| m.id == *destination);
                match shards.position(is_master) {
                    // The keys are there, whoever sent them: only from there can they go on.
                    Some(holder) => Next::moving(all, from, holder),
                    None => Next::GiveUp(format!(
                        "{source} has given these slots to the node {destination}, which is no master \
                         of this cluster any more. It still has their keys and takes no writes to them: \
                         migrate any other slot away from it, which frees these, then resume this"
                    )),
                }
            }
            (Some(Started::AlreadyMigrated), None, _) => Next::GiveUp(format!(
                "{source} says that it has given some of these slots away, and not to whom: look for \
                 their keys, then move the slots alone (slot_only) to the shard that has them"
            )),
            (None, _, Some(ours)) => match ours.state {
                MigrationState::Succeeded => Next::Move {
                    slots: all,
                    from,
                    to,
                    keys: ours.keys,
                },
                MigrationState::Running if !ours.moved.is_empty() => Next::Move {
                    slots: ours.moved.clone(),
                    from,
                    to,
                    keys: ours.keys,
                },
                MigrationState::Running => Next::Progress(ours.clone()),
                MigrationState::Failed => Next::Retry(match &ours.reason {
                    Some(reason) => {
                        format!("{source} says that the migration has failed: {reason}")
                    }
                    None => format!("{source} says that the migration has failed"),
                }),
            },
            (None, _, None) => Next::Retry(format!(
                "{source} knows nothing of the migration any more: it was restarted or replaced"
            )),
        }
    }

    /// Stops a migration. What has moved so far stays where it is.
    async fn wind_up(&self, cluster: &Cluster, ends: &Ends, then: JobState) -> Next {
        let Ends { transfer, from, to } = ends;
        let engine = self.engines.of(cluster.engine);
        match engine.stop(transfer).await {
            Ok(Stopped::Yes) => {}
            Ok(Stopped::NotYet) | Err(NodeError::Unreachable(_)) => return Next::Wait,
            Err(error) => {
                tracing::warn!(%error, source = %transfer.source.addr, "a migration cannot be stopped yet");
                return Next::Wait;
            }
        }
        let Ok(Some(topology)) = engine.topology(&transfer.target).await else {
            return Next::Wait;
        };
        let mut members = topology.members.into_iter();
        let target = members.find(|member| member.id == transfer.target_id);
        let has = target.map(|target| target.slots).unwrap_or_default();
        let moved = has.common(&transfer.slots.into());
        if moved.is_empty() {
            Next::State(then)
        } else {
            Next::moving(moved, *from, *to)
        }
    }
}

/// Between which shards slots go.
struct Ends {
    transfer: Transfer,
    from: usize,
    to: usize,
}

fn cancelled(job: &Job) -> String {
    match job.slots_done {
        0 => format!("the migration of slots {} was cancelled", job.slots),
        done => format!(
            "the migration of slots {} was cancelled after {done} of them had moved; those stay where \
             they are",
            job.slots
        ),
    }
}

fn failure(job: &Job) -> String {
    let reason = job
        .reason
        .as_deref()
        .unwrap_or("for no reason that is known");
    match job.state {
        JobState::Failed => format!("slots {} are not moved: {reason}", job.slots),
        _ => format!(
            "slots {} were not moved in attempt {}: {reason}",
            job.slots, job.attempts
        ),
    }
}
