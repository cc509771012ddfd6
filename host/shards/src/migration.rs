//! The queue of a cluster's slot migrations: documents and pure functions.

use std::collections::VecDeque;

use portolan_consensus::documents::Document;
use serde::{Deserialize, Serialize};

use crate::events::now_ms;
use crate::model::Cluster;
use crate::slots::SlotRange;

/// How many migrations that have ended are remembered.
const KEPT: usize = 100;
/// A migration that has failed so often waits for somebody to look.
pub(crate) const MAX_ATTEMPTS: u32 = 5;
/// The pause after a first failure; doubled with each further one.
const BACKOFF_MS: u64 = 1_000;

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its turn, or for the next attempt.
    Queued,
    /// The source is being asked; whether it was is not known after a crash.
    Starting,
    /// Keys are on their way.
    Running,
    /// Kept from starting until it is resumed.
    Paused,
    /// The slots have the new owner.
    Done,
    /// Given up, for the reason that it names, until it is resumed.
    Failed,
    /// Taken back before it began.
    Cancelled,
}

impl JobState {
    /// Whether the source may be at it.
    pub(crate) fn is_under_way(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }

    /// Whether nothing more happens to it.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// One migration: some slots to one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Grows with each migration of the cluster.
    pub id: u64,
    /// Which slots.
    pub slots: SlotRange,
    /// The id of the shard that they go to (not its place, which shifts).
    pub target: u64,
    /// Whether only the ownership moves, and the keys stay where they are.
    pub slot_only: bool,
    /// Where it stands.
    pub state: JobState,
    /// How often it has failed.
    pub attempts: u32,
    /// Why it failed or waits.
    pub reason: Option<String>,
    /// Milliseconds since 1970.
    pub created_at_ms: u64,
    /// When keys began to move.
    pub started_at_ms: Option<u64>,
    /// When it was over.
    pub ended_at_ms: Option<u64>,
    /// No attempt before this.
    pub(crate) not_before_ms: u64,
}

impl Job {
    /// Notes a failure: another attempt later, or none any more.
    pub(crate) fn failed(&mut self, reason: String) {
        self.attempts += 1;
        self.reason = Some(reason);
        if self.attempts < MAX_ATTEMPTS {
            self.state = JobState::Queued;
            self.not_before_ms = now_ms() + (BACKOFF_MS << self.attempts.min(10));
        } else {
            self.state = JobState::Failed;
        }
    }
}

/// A cluster's migrations, oldest first. One at a time runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Migrations {
    next: u64,
    pub(crate) jobs: VecDeque<Job>,
}

impl Document for Migrations {}

impl Migrations {
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// The job whose turn it is: one under way, otherwise the first that may begin.
    pub(crate) fn current(&self, now_ms: u64) -> Option<&Job> {
        let mut jobs = self.jobs.iter();
        jobs.clone()
            .find(|job| job.state.is_under_way())
            .or_else(|| {
                jobs.find(|job| job.state == JobState::Queued && job.not_before_ms <= now_ms)
            })
    }

    /// A job that is not over and has to do with these slots.
    pub(crate) fn about(&self, slots: SlotRange) -> Option<&Job> {
        let mut jobs = self.jobs.iter();
        jobs.find(|job| !job.state.is_over() && job.slots.overlaps(slots))
    }

    /// A job that is not over and goes to this shard.
    pub(crate) fn towards(&self, shard: u64) -> Option<&Job> {
        let mut jobs = self.jobs.iter();
        jobs.find(|job| !job.state.is_over() && job.target == shard)
    }

    /// Adds a migration, and answers its id.
    pub(crate) fn add(&mut self, slots: SlotRange, target: u64, slot_only: bool) -> u64 {
        let id = self.next;
        self.next += 1;
        self.jobs.push_back(Job {
            id,
            slots,
            target,
            slot_only,
            state: JobState::Queued,
            attempts: 0,
            reason: None,
            created_at_ms: now_ms(),
            started_at_ms: None,
            ended_at_ms: None,
            not_before_ms: 0,
        });
        let over = self.jobs.iter().filter(|job| job.state.is_over()).count();
        if over > KEPT
            && let Some(oldest) = self.jobs.iter().position(|job| job.state.is_over())
        {
            self.jobs.remove(oldest);
        }
        id
    }
}

/// Cuts ranges up so that each part has one owner, other than the shard at `target`.
///
/// # Errors
/// The sentence for who asked, when a part has no owner to move from.
pub(crate) fn parts(
    cluster: &Cluster,
    ranges: &[SlotRange],
    target: usize,
) -> Result<Vec<SlotRange>, String> {
    let mut parts = Vec::new();
    for range in ranges {
        let mut covered = 0;
        for (index, shard) in cluster.shards.iter().enumerate() {
            for part in shard.slots.ranges() {
                let Some(part) = part.common(*range) else {
                    continue;
                };
                if index == target {
                    return Err(format!("shard {target} serves the slots {part} already"));
                }
                covered += part.count();
                parts.push(part);
            }
        }
        if covered != range.count() {
            return Err(format!("nobody serves some of the slots {range}"));
        }
    }
    parts.sort_unstable();
    match parts.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
        Some(pair) => Err(format!("the slots {} are named twice", pair[1])),
        None => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::cluster;

    fn range(text: &str) -> SlotRange {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_cut_at_their_owners() {
        let texts = |ranges: &[&str], target| {
            let ranges: Vec<_> = ranges.iter().map(|text| range(text)).collect();
            parts(&cluster(3, 1), &ranges, target)
                .map(|parts| parts.iter().map(SlotRange::to_string).collect::<Vec<_>>())
        };
        assert_eq!(texts(&["0-5", "9"], 2).unwrap(), ["0-5", "9"]);
        assert_eq!(
            texts(&["5000-6000"], 2).unwrap(),
            ["5000-5460", "5461-6000"]
        );
        assert!(
            texts(&["5000-6000"], 1)
                .unwrap_err()
                .contains("5461-6000 already")
        );
        assert!(texts(&["1-5", "3"], 2).unwrap_err().contains("twice"));
    }

    #[test]
    fn one_at_a_time_runs_and_what_fails_again_and_again_is_parked() {
        let mut queue = Migrations::default();
        let first = queue.add(range("1"), 1, false);
        let second = queue.add(range("2"), 1, false);
        assert_eq!(queue.current(now_ms()).unwrap().id, first);
        queue.get_mut(second).unwrap().state = JobState::Running;
        assert_eq!(
            queue.current(now_ms()).unwrap().id,
            second,
            "it is under way"
        );
        queue.get_mut(second).unwrap().state = JobState::Done;

        for attempt in 1..=MAX_ATTEMPTS {
            assert!(queue.current(u64::MAX).is_some());
            let job = queue.get_mut(first).unwrap();
            job.failed("no luck".into());
            assert_eq!(job.attempts, attempt);
            assert!(queue.current(now_ms()).is_none(), "not at once");
        }
        assert_eq!(queue.get_mut(first).unwrap().state, JobState::Failed);
        assert!(queue.current(u64::MAX).is_none());
        assert!(queue.about(range("0-5")).is_some(), "it may be resumed");
        assert!(queue.towards(1).is_some() && queue.towards(2).is_none());
    }
}
