//! Carrying migrations out: one step after the other, each stored before it is taken.

use portolan_consensus::documents::{Stored, encode};
use portolan_consensus::{Consistency, Space, Txn};

use super::Place;
use crate::engine::{MigrationState, NodeError, Started};
use crate::error::ShardsError;
use crate::events::{EventKind, now_ms};
use crate::keys;
use crate::migration::{Job, JobState, Migrations};
use crate::model::Cluster;
use crate::service::Shards;

/// More steps than one job takes in a round, were everything instant.
const STEPS: usize = 4;

/// What comes next for a job.
#[derive(Debug)]
enum Next {
    /// Look again in the next round.
    Wait,
    /// It is in this state now.
    State(JobState),
    /// The slots go from one shard to another in the topology. The job is over where it led there.
    Move { from: usize, to: usize },
    /// This attempt has failed.
    Retry(String),
    /// No attempt can help.
    GiveUp(String),
}

impl Shards {
    /// Takes the current migration as far as it goes without waiting.
    pub(super) async fn migrate(&self, place: &Place, mut cluster: Stored<Cluster>) {
        for _ in 0..STEPS {
            match self.step(place, &mut cluster).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, cluster = %place.1, "a migration's step was not stored");
                    return;
                }
            }
        }
    }

    /// Whether another step may follow at once.
    async fn step(
        &self,
        place: &Place,
        cluster: &mut Stored<Cluster>,
    ) -> Result<bool, ShardsError> {
        let key = keys::migrations(&place.0, &place.1);
        let queue: Option<Stored<Migrations>> =
            self.documents.load(&key, Consistency::Stale).await?;
        let Some(mut queue) = queue else {
            return Ok(false);
        };
        let Some(job) = queue.document.current(now_ms()).cloned() else {
            return Ok(false);
        };
        let next = self.next(&cluster.document, &job).await;
        if matches!(next, Next::Wait) {
            return Ok(false);
        }
        let Some(entry) = queue.document.get_mut(job.id) else {
            return Ok(false);
        };
        let mut txn = Txn::new().guard(Space::Shards, key.as_str(), queue.modified);
        let mut events = Vec::new();
        let mut after = None;
        match next {
            Next::Wait => {}
            Next::State(state) => {
                if state == JobState::Starting {
                    entry.started_at_ms = Some(now_ms());
                    let text = format!("slots {} are on their way", job.slots);
                    events.push((EventKind::MigrationStarted, text));
                }
                if state.is_over() {
                    entry.ended_at_ms = Some(now_ms());
                }
                entry.state = state;
            }
            Next::Move { from, to } => {
                let mut moved = cluster.document.clone();
                moved.move_slots(job.slots, from, to);
                let text = format!("slots {} went from shard {from} to shard {to}", job.slots);
                events.push((EventKind::MigrationDone, text));
                entry.reason = None;
                if moved.shards[to].id == job.target {
                    entry.state = JobState::Done;
                    entry.ended_at_ms = Some(now_ms());
                } else {
                    // Somebody had sent the keys elsewhere: from there it goes on.
                    entry.state = JobState::Queued;
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
                entry.state = JobState::Failed;
                entry.reason = Some(reason);
                events.push((EventKind::MigrationFailed, failure(entry)));
            }
        }
        let again = entry.state.is_under_way();
        txn = txn.put(Space::Shards, key, encode(&queue.document));
        if !events.is_empty() {
            txn = self.with_events(txn, place, &events).await?;
        }
        let modified = self.documents.commit(txn).await?;
        for (_, text) in events {
            tracing::info!(cluster = %place.1, "{text}");
        }
        let Some(after) = after else {
            return Ok(again);
        };
        self.push_to_all(&after, false).await;
        cluster.document = after;
        cluster.modified = modified;
        // The next in the queue need not wait for the next round.
        Ok(true)
    }

    async fn next(&self, cluster: &Cluster, job: &Job) -> Next {
        let Some(to) = cluster.index_of(job.target) else {
            return Next::GiveUp("the shard that they should go to is gone".into());
        };
        let Some(from) = cluster.owner(job.slots) else {
            return Next::GiveUp("no one shard serves all of these slots any more".into());
        };
        if from == to {
            return Next::State(JobState::Done);
        }
        if job.slot_only {
            return Next::Move { from, to };
        }
        let masters = (cluster.shards[from].master(), cluster.shards[to].master());
        let (Some(source), Some(target)) = masters else {
            return Next::GiveUp("source or target has no master".into());
        };
        let access = match self.secrets.access(source) {
            Ok(access) => access,
            Err(error) => return Next::Retry(error.to_string()),
        };
        if job.state == JobState::Queued {
            return Next::State(JobState::Starting);
        }
        let started = if job.state == JobState::Starting {
            match self.engine.migrate(&access, job.slots, &target.id).await {
                Ok(started) => Some(started),
                // A master that is down is the failover's business.
                Err(NodeError::Unreachable(_)) => return Next::Wait,
                Err(error) => return Next::Retry(format!("{}: {error}", source.addr)),
            }
        } else {
            None
        };
        let status = match self.engine.migration(&access).await {
            Ok(status) => status.filter(|status| status.slots == job.slots),
            Err(_) => return Next::Wait,
        };
        let ours = status
            .as_ref()
            .filter(|status| status.destination == target.id);
        match (started, status.as_ref(), ours) {
            (Some(Started::Accepted), ..) => Next::State(JobState::Running),
            (Some(Started::Busy), _, Some(_)) => Next::State(JobState::Running),
            (Some(Started::Busy), ..) => {
                Next::Retry(format!("{} is busy with another migration", source.addr))
            }
            (Some(Started::AlreadyMigrated), _, Some(_)) => Next::Move { from, to },
            (Some(Started::AlreadyMigrated), Some(status), None) => {
                let mut shards = cluster.shards.iter();
                let holder =
                    shards.position(|shard| shard.nodes.iter().any(|n| n.id == status.destination));
                match holder {
                    // The keys are there, whoever sent them: only from there can they go on.
                    Some(holder) => Next::Move { from, to: holder },
                    None => Next::GiveUp(format!(
                        "{} has given these slots to the node {}, which is not in this cluster",
                        source.addr, status.destination
                    )),
                }
            }
            (Some(Started::AlreadyMigrated), None, _) => Next::GiveUp(format!(
                "{} says that it has given some of these slots away, and not to whom: look for their \
                 keys, then move the slots alone (slot_only) to the shard that has them",
                source.addr
            )),
            (None, _, Some(ours)) => match ours.state {
                MigrationState::Running => Next::Wait,
                MigrationState::Succeeded => Next::Move { from, to },
                MigrationState::Failed => Next::Retry(format!(
                    "{} says that the migration has failed",
                    source.addr
                )),
            },
            (None, _, None) => Next::Retry(format!(
                "{} knows nothing of the migration any more: it was restarted or replaced",
                source.addr
            )),
        }
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
