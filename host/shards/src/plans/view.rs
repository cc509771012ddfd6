//! Plans as they are shown, and explained.

use serde::Serialize;
use serde_json::Value;

use super::{Plan, PlanState, PlannedMove, RejectedMove};
use crate::migration::Migrations;
use crate::model::Cluster;

/// A plan as it is shown: with shards by their place as well.
#[derive(Debug, Clone, Serialize)]
pub struct PlanView {
    /// Its id.
    pub id: u64,
    /// Where it stands.
    pub state: PlanState,
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
    /// When it was applied. Milliseconds since 1970.
    pub applied_at_ms: Option<u64>,
    /// In the order in which they are made.
    pub moves: Vec<MoveView>,
    /// How far the cluster is from what the policy aims at; 0 is best.
    pub score_before: f64,
    /// The same after all moves.
    pub score_after: f64,
    /// Why there are no moves.
    pub nothing_to_do: Vec<String>,
    /// What was considered and turned down.
    pub rejected: Vec<RejectedView>,
}

/// A move as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct MoveView {
    /// The place of the shard that has the slots; none once it is gone.
    pub from: Option<usize>,
    /// The place of the shard that gets them; none once it is gone.
    pub to: Option<usize>,
    /// The move.
    #[serde(flatten)]
    pub planned: PlannedMove,
}

/// A move that was turned down, as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct RejectedView {
    /// The place of the shard that has the slots; none once it is gone.
    pub from: Option<usize>,
    /// The place of the shard that would have got them.
    pub to: Option<usize>,
    /// The move.
    #[serde(flatten)]
    pub rejected: RejectedMove,
}

impl PlanView {
    pub(crate) fn of(plan: &Plan, cluster: &Cluster, queue: &Migrations) -> Self {
        let moves = plan.moves.iter().map(|planned| MoveView {
            from: cluster.index_of(planned.from_shard),
            to: cluster.index_of(planned.to_shard),
            planned: planned.clone(),
        });
        let rejected = plan.rejected.iter().map(|rejected| RejectedView {
            from: cluster.index_of(rejected.from_shard),
            to: rejected.to_shard.and_then(|to| cluster.index_of(to)),
            rejected: rejected.clone(),
        });
        Self {
            id: plan.id,
            state: plan.state(cluster, queue),
            policy: plan.policy.clone(),
            settings: plan.settings.clone(),
            trigger: plan.trigger.clone(),
            version: plan.version,
            created_at_ms: plan.created_at_ms,
            applied_at_ms: plan.applied_at_ms,
            moves: moves.collect(),
            score_before: plan.score_before,
            score_after: plan.score_after,
            nothing_to_do: plan.nothing_to_do.clone(),
            rejected: rejected.collect(),
        }
    }
}

/// Why a plan is as it is, in sentences.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// What it comes to.
    pub summary: String,
    /// Why each move, and what the host thinks of it.
    pub moves: Vec<String>,
    /// Why there are no moves.
    pub nothing_to_do: Vec<String>,
    /// What was turned down, and why.
    pub rejected: Vec<String>,
}

impl Explanation {
    pub(crate) fn of(plan: &PlanView) -> Self {
        let shard = |place: Option<usize>| match place {
            Some(index) => format!("shard {index}"),
            None => "a shard that is gone".to_owned(),
        };
        let slots: u32 = plan
            .moves
            .iter()
            .filter(|step| step.planned.refused.is_none())
            .map(|step| u32::from(step.planned.slots.count()))
            .sum();
        let moves = plan.moves.iter().map(|step| {
            let planned = &step.planned;
            let (from, to) = (shard(step.from), shard(step.to));
            let verdict = match (&planned.refused, planned.migration) {
                (Some(refused), _) => format!("refused by the host: {refused}"),
                (None, Some(id)) => format!("made by migration {id}"),
                (None, None) => "can be made".to_owned(),
            };
            format!(
                "slots {} from {from} to {to}: {} ({}); {verdict}",
                planned.slots, planned.text, planned.reason
            )
        });
        let rejected = plan.rejected.iter().map(|step| {
            let rejected = &step.rejected;
            let to = match rejected.to_shard {
                Some(_) => format!(" to {}", shard(step.to)),
                None => String::new(),
            };
            format!(
                "slots {} from {}{to}: {} ({})",
                rejected.slots,
                shard(step.from),
                rejected.text,
                rejected.reason
            )
        });
        Self {
            summary: format!(
                "plan {} of {} for version {}: {} of {} moves can be made, {slots} slots; score {:.4} \
                 before, {:.4} after all of them",
                plan.id,
                plan.policy,
                plan.version,
                plan.moves
                    .iter()
                    .filter(|step| step.planned.refused.is_none())
                    .count(),
                plan.moves.len(),
                plan.score_before,
                plan.score_after
            ),
            moves: moves.collect(),
            nothing_to_do: plan.nothing_to_do.clone(),
            rejected: rejected.collect(),
        }
    }
}
