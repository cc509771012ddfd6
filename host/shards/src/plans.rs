//! Plans: which slots a policy wants on another shard, what the host thinks of each move, and what
//! became of it.

mod automatic;
mod check;
mod snapshot;
mod view;

use std::collections::VecDeque;

use portolan_consensus::documents::Document;
use portolan_sandbox::migration as policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::automatic::{Automatic, Hours};
pub(crate) use self::check::Checks;
pub(crate) use self::snapshot::{Sample, Surroundings, snapshot};
pub use self::view::{Explanation, PlanView};
use crate::events::now_ms;
use crate::migration::{JobState, Migrations};
use crate::model::Cluster;
use crate::slots::SlotRange;

/// How many plans are remembered.
const KEPT: usize = 50;

/// One move of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// Which slots.
    pub slots: SlotRange,
    /// The id of the shard that has them.
    pub from_shard: u64,
    /// The id of the shard that gets them.
    pub to_shard: u64,
    /// The higher goes first.
    pub priority: u32,
    /// The policy's code for why.
    pub reason: String,
    /// Why, in a sentence.
    pub text: String,
    /// By how much it lowers the score.
    pub expected_gain: f64,
    /// How much data that is, where it is known.
    pub estimated_bytes: Option<u64>,
    /// Why the host does not make this move; none where it does.
    pub refused: Option<String>,
    /// The migration that makes it.
    pub migration: Option<u64>,
}

/// A move that the policy looked at and did not propose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedMove {
    /// Which slots.
    pub slots: SlotRange,
    /// The id of the shard that has them.
    pub from_shard: u64,
    /// The id of the shard where they would have gone.
    pub to_shard: Option<u64>,
    /// The policy's code for why not.
    pub reason: String,
    /// Why not, in a sentence.
    pub text: String,
}

/// A plan as it stands in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Grows with each plan of the cluster.
    pub id: u64,
    /// Whose plan it is.
    pub policy: String,
    /// What the policy was told.
    pub settings: Value,
    /// Why it was asked.
    pub trigger: String,
    /// The version of the topology that it is for.
    pub version: u64,
    /// Milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it was applied.
    pub applied_at_ms: Option<u64>,
    /// In the order in which they are made.
    pub moves: Vec<PlannedMove>,
    /// How far the cluster is from what the policy aims at; 0 is best.
    pub score_before: f64,
    /// The same after all moves.
    pub score_after: f64,
    /// Why there are no moves.
    pub nothing_to_do: Vec<String>,
    /// What was considered and turned down.
    pub rejected: Vec<RejectedMove>,
}

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanState {
    /// It has no moves.
    NothingToDo,
    /// It can be applied.
    Proposed,
    /// The topology has changed since; it cannot be applied any more.
    Stale,
    /// Its moves are being made.
    Applying,
    /// All its moves are made.
    Done,
    /// Some of its moves were not made.
    Failed,
}

impl Plan {
    /// A policy's plan, highest priority first, with what the host thinks of each move.
    pub(crate) fn of(
        request: &Request,
        version: u64,
        plan: policy::Plan,
        refused: impl Fn(&PlannedMove) -> Option<String>,
    ) -> Self {
        // The sandbox has checked that they are ranges.
        let range = |range: policy::SlotRange| SlotRange::new(range.first, range.last);
        let moves = plan.moves.into_iter().filter_map(|proposed| {
            Some(PlannedMove {
                slots: range(proposed.range)?,
                from_shard: proposed.from_shard,
                to_shard: proposed.to_shard,
                priority: proposed.priority,
                reason: proposed.reason,
                text: proposed.text,
                expected_gain: proposed.expected_gain,
                estimated_bytes: proposed.estimated_bytes,
                refused: None,
                migration: None,
            })
        });
        let mut moves: Vec<PlannedMove> = moves.collect();
        moves.sort_by_key(|planned| std::cmp::Reverse(planned.priority));
        for planned in &mut moves {
            planned.refused = refused(planned);
        }
        let rejected = plan.rejected.into_iter().filter_map(|rejected| {
            Some(RejectedMove {
                slots: range(rejected.range)?,
                from_shard: rejected.from_shard,
                to_shard: rejected.to_shard,
                reason: rejected.reason,
                text: rejected.text,
            })
        });
        Self {
            id: 0,
            policy: request.policy.clone(),
            settings: request.settings.clone(),
            trigger: request.trigger.to_string(),
            version,
            created_at_ms: now_ms(),
            applied_at_ms: None,
            moves,
            score_before: plan.score_before,
            score_after: plan.score_after,
            nothing_to_do: plan.nothing_to_do,
            rejected: rejected.collect(),
        }
    }

    /// The moves that the host makes.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &PlannedMove> {
        self.moves
            .iter()
            .filter(|planned| planned.refused.is_none())
    }

    /// Where it stands.
    pub(crate) fn state(&self, cluster: &Cluster, queue: &Migrations) -> PlanState {
        if self.applied_at_ms.is_none() {
            return match self.accepted().next() {
                None => PlanState::NothingToDo,
                Some(_) if self.version != cluster.version => PlanState::Stale,
                Some(_) => PlanState::Proposed,
            };
        }
        let ids = self.moves.iter().filter_map(|planned| planned.migration);
        // One that is forgotten was over long ago.
        let states: Vec<JobState> = ids
            .filter_map(|id| queue.jobs.iter().find(|job| job.id == id))
            .map(|job| job.state)
            .collect();
        let failed = |state: &JobState| matches!(state, JobState::Failed | JobState::Cancelled);
        if states
            .iter()
            .any(|state| !state.is_over() && !failed(state))
        {
            PlanState::Applying
        } else if states.iter().any(failed) {
            PlanState::Failed
        } else {
            PlanState::Done
        }
    }
}

/// What is asked of a policy.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which policy.
    pub policy: String,
    /// Its settings: a JSON object.
    pub settings: Value,
    /// Why it is asked.
    pub trigger: policy::Trigger,
    /// How much it may ask for.
    pub budget: policy::Budget,
}

/// A cluster's last plans, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plans {
    next: u64,
    pub(crate) entries: VecDeque<Plan>,
    /// When the cluster was last balanced by itself. Milliseconds since 1970.
    #[serde(default)]
    pub(crate) automatic_at_ms: u64,
}

impl Document for Plans {}

impl Plans {
    /// Adds a plan, and answers it with its id.
    pub(crate) fn add(&mut self, mut plan: Plan) -> Plan {
        plan.id = self.next;
        self.next += 1;
        self.entries.push_back(plan.clone());
        while self.entries.len() > KEPT {
            self.entries.pop_front();
        }
        plan
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Plan> {
        self.entries.iter_mut().find(|plan| plan.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::cluster;
    use serde_json::json;

    fn planned(slots: &str, refused: Option<&str>) -> PlannedMove {
        PlannedMove {
            slots: slots.parse().unwrap(),
            from_shard: 0,
            to_shard: 1,
            priority: 1,
            reason: "above-share".into(),
            text: "for a test".into(),
            expected_gain: 1.0,
            estimated_bytes: None,
            refused: refused.map(str::to_owned),
            migration: None,
        }
    }

    fn plan(moves: Vec<PlannedMove>) -> Plan {
        Plan {
            id: 0,
            policy: "even-slots".into(),
            settings: json!({}),
            trigger: "manual".into(),
            version: 1,
            created_at_ms: 0,
            applied_at_ms: None,
            moves,
            score_before: 1.0,
            score_after: 0.0,
            nothing_to_do: vec![],
            rejected: vec![],
        }
    }

    #[test]
    fn where_a_plan_stands_follows_from_its_migrations() {
        let mut cluster = cluster(2, 1);
        let mut queue = Migrations::default();
        assert_eq!(plan(vec![]).state(&cluster, &queue), PlanState::NothingToDo);
        let refused = plan(vec![planned("1", Some("no"))]);
        assert_eq!(refused.state(&cluster, &queue), PlanState::NothingToDo);

        let mut good = plan(vec![planned("1", None), planned("2", None)]);
        assert_eq!(good.state(&cluster, &queue), PlanState::Proposed);
        cluster.version = 2;
        assert_eq!(good.state(&cluster, &queue), PlanState::Stale);

        good.applied_at_ms = Some(1);
        for planned in &mut good.moves {
            planned.migration = Some(queue.add(planned.slots, 1, false));
        }
        assert_eq!(good.state(&cluster, &queue), PlanState::Applying);
        queue.get_mut(0).unwrap().enter(JobState::Done);
        assert_eq!(good.state(&cluster, &queue), PlanState::Applying);
        queue.get_mut(1).unwrap().enter(JobState::Cancelled);
        assert_eq!(good.state(&cluster, &queue), PlanState::Failed);
        queue.get_mut(1).unwrap().enter(JobState::Done);
        assert_eq!(good.state(&cluster, &queue), PlanState::Done);
    }
}
