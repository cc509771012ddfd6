//! Clusters, shards and nodes as the contract shows them: its fields and those of today's reference.

use serde::{Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::engine::{NodeError, Probe, Standing};
use crate::error::ShardsError;
use crate::migration::{Job, Migrations};
use crate::model::{Cluster, EngineKind, Node, Role, Shard, Traits};
use crate::names::{NodeAddr, NodeId};
use crate::plans::{Plan, PlanState, PlannedMove, RejectedMove};
use crate::secrets::Secrets;
use crate::slots::SlotRange;

/// A cluster.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterView {
    /// Its name.
    pub name: String,
    /// The version of its topology.
    pub version: u64,
    /// What its nodes are.
    pub engine: EngineKind,
    /// Addressed by their place in this list.
    pub shards: Vec<ShardView>,
}

/// A shard.
#[derive(Debug, Clone, Serialize)]
pub struct ShardView {
    /// In the order in which they were added.
    pub nodes: Vec<NodeView>,
    /// The slots; null where it serves none.
    pub slot_ranges: Option<Vec<SlotRange>>,
    /// The shard to which slots are migrated from here; -1 for none.
    pub target_shard_index: i64,
    /// What is migrated away.
    pub migrating_slot: MovingSlots,
    /// What is migrated here.
    pub import_slot: MovingSlots,
    /// Stays the same when shards before it go.
    pub id: u64,
    /// What the operator says of it.
    #[serde(flatten)]
    pub traits: Traits,
}

/// Slots on their way: -1 for none, a number for one, text for a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovingSlots(pub Option<SlotRange>);

impl Serialize for MovingSlots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_i64(-1),
            Some(slots) if slots.count() == 1 => serializer.serialize_i64(slots.first().into()),
            Some(slots) => slots.serialize(serializer),
        }
    }
}

/// A node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Where it is reached.
    pub addr: NodeAddr,
    /// What it does.
    pub role: Role,
    /// Its password; empty unless it was asked for.
    pub password: Zeroizing<String>,
    /// The password towards its master, which is the same.
    pub master_auth: Zeroizing<String>,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Whether it may keep writes that its master does not have; then it never becomes the master.
    pub needs_resync: bool,
    /// How it is at the moment, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
}

/// How a node is at the moment, as the member that was asked sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum NodeStatus {
    /// It answers.
    Up {
        /// What it says that it does.
        role: Role,
        /// The version of its topology, where its server has one.
        version: Option<u64>,
        /// How far its data goes.
        sequence: u64,
    },
    /// It reads its data from disk.
    Loading,
    /// It does not answer, or not as it should.
    Down {
        /// What is wrong.
        reason: String,
    },
}

impl NodeStatus {
    pub(crate) fn of(seen: Result<Probe, NodeError>) -> Self {
        match seen {
            Ok(probe) => Self::Up {
                role: probe.role,
                version: match probe.standing {
                    Standing::At(version) => Some(version),
                    Standing::Outside | Standing::Gossip => None,
                },
                sequence: probe.sequence,
            },
            Err(NodeError::Loading) => Self::Loading,
            Err(error) => Self::Down {
                reason: error.to_string(),
            },
        }
    }
}

/// Shows with passwords (some) or without.
pub(crate) type Reveal<'a> = Option<&'a Secrets>;

impl ClusterView {
    /// `moving` is the migration under way.
    pub(crate) fn of(
        name: &str,
        cluster: &Cluster,
        moving: Option<&Job>,
        reveal: Reveal,
    ) -> Result<Self, ShardsError> {
        let shards = cluster.shards.iter();
        let mut view = Self {
            name: name.to_owned(),
            version: cluster.version,
            engine: cluster.engine,
            shards: shards
                .map(|shard| ShardView::of(shard, reveal))
                .collect::<Result<_, _>>()?,
        };
        if let Some(job) = moving
            && let (Some(from), Some(to)) = (cluster.owner(job.slots), cluster.index_of(job.target))
        {
            let slots = MovingSlots(Some(job.slots));
            view.shards[from].migrating_slot = slots;
            view.shards[from].target_shard_index = i64::try_from(to).unwrap_or(-1);
            view.shards[to].import_slot = slots;
        }
        Ok(view)
    }
}

impl ShardView {
    fn of(shard: &Shard, reveal: Reveal) -> Result<Self, ShardsError> {
        let nodes = shard.nodes.iter();
        Ok(Self {
            nodes: nodes
                .map(|node| NodeView::of(node, reveal))
                .collect::<Result<_, _>>()?,
            slot_ranges: (!shard.slots.is_empty()).then(|| shard.slots.ranges().to_vec()),
            target_shard_index: -1,
            migrating_slot: MovingSlots(None),
            import_slot: MovingSlots(None),
            id: shard.id,
            traits: shard.traits.clone(),
        })
    }
}

impl NodeView {
    fn of(node: &Node, reveal: Reveal) -> Result<Self, ShardsError> {
        let password = match reveal {
            Some(secrets) => secrets.open(node)?.unwrap_or_default(),
            None => Zeroizing::default(),
        };
        Ok(Self {
            id: node.id.clone(),
            addr: node.addr.clone(),
            role: node.role,
            master_auth: password.clone(),
            password,
            created_at: node.created_at,
            needs_resync: node.needs_resync,
            status: None,
        })
    }
}

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
