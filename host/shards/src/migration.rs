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
    /// About to be paused: what is on its way arrives first.
    Pausing,
    /// Kept from going on until it is resumed.
    Paused,
    /// About to be cancelled: what is on its way arrives first.
    Cancelling,
    /// The slots have the new owner.
    Done,
    /// Given up, for the reason that it names, until it is resumed.
    Failed,
    /// Taken back. Slots that had moved by then stay where they are.
    Cancelled,
}

impl JobState {
    /// Whether the source may be at it.
    pub(crate) fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Running | Self::Pausing | Self::Cancelling
        )
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
    /// How many of the slots have moved.
    #[serde(default)]
    pub slots_done: u16,
    /// How many keys have moved, where the engine says so.
    #[serde(default)]
    pub keys_moved: Option<u64>,
    /// How many bytes are still to go, where the engine says so.
    #[serde(default)]
    pub bytes_left: Option<u64>,
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
    /// Goes on to another state.
    pub(crate) fn enter(&mut self, state: JobState) {
        self.state = state;
        if state.is_over() {
            self.ended_at_ms = Some(now_ms());
            self.bytes_left = None;
        }
    }

    /// Notes how far it is.
    pub(crate) fn progressed(&mut self, keys: Option<u64>, bytes_left: Option<u64>) {
        if let Some(keys) = keys {
            self.keys_moved = Some(self.keys_moved.unwrap_or(0) + keys);
        }
        self.bytes_left = bytes_left;
    }

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

/// A migration as it is shown: with what follows from it and the time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobView {
    /// The migration.
    #[serde(flatten)]
    pub job: Job,
    /// How many slots it has.
    pub slots_total: u16,
    /// How fast the slots go, since it began.
    pub rate_slots_per_s: Option<f64>,
    /// When the last slot is there if it goes on like that. Milliseconds since 1970.
    pub expected_end_ms: Option<u64>,
}

impl JobView {
    pub(crate) fn of(job: Job, now_ms: u64) -> Self {
        let (total, done) = (job.slots.count(), job.slots_done);
        let until = job.ended_at_ms.unwrap_or(now_ms);
        let ms = job
            .started_at_ms
            .map(|started| until.saturating_sub(started));
        let rate = ms
            .filter(|ms| *ms > 0 && done > 0)
            .map(|ms| f64::from(done) * 1_000.0 / ms as f64);
        let goes_on = job.state.is_under_way() && done < total;
        let left = rate
            .filter(|_| goes_on)
            .map(|rate| f64::from(total - done) * 1_000.0 / rate);
        Self {
            slots_total: total,
            rate_slots_per_s: rate,
            expected_end_ms: left.map(|ms| now_ms.saturating_add(ms as u64)),
            job,
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
            slots_done: 0,
            keys_moved: None,
            bytes_left: None,
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
    fn the_end_of_a_migration_is_foreseen() {
        let mut queue = Migrations::default();
        let id = queue.add(range("0-99"), 1, false);
        let job = queue.get_mut(id).unwrap();
        let waiting = JobView::of(job.clone(), 5_000);
        assert_eq!((waiting.slots_total, waiting.rate_slots_per_s), (100, None));
        assert_eq!(waiting.expected_end_ms, None);

        job.started_at_ms = Some(1_000);
        job.slots_done = 40;
        job.enter(JobState::Running);
        let running = JobView::of(job.clone(), 5_000);
        assert_eq!(running.rate_slots_per_s, Some(10.0));
        assert_eq!(running.expected_end_ms, Some(11_000));

        job.slots_done = 100;
        job.enter(JobState::Done);
        let done = JobView::of(job.clone(), 9_000_000_000_000);
        assert_eq!(done.expected_end_ms, None);
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
