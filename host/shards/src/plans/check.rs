//! What must hold for a move, whatever a policy says.

use std::collections::HashMap;

use super::PlannedMove;
use crate::engine::{NodeError, Probe};
use crate::migration::Migrations;
use crate::model::{Cluster, Node};
use crate::names::NodeId;
use crate::slots::SlotSet;

/// What moves are checked against.
pub(crate) struct Checks<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) queue: &'a Migrations,
    pub(crate) seen: &'a HashMap<NodeId, Result<Probe, NodeError>>,
    pub(crate) excluded: &'a SlotSet,
    /// A slot that was moved is left where it is for so long. Milliseconds.
    pub(crate) cool_down_ms: u64,
    pub(crate) now_ms: u64,
}

impl Checks<'_> {
    /// Why a move is not made; none where it is.
    pub(crate) fn refuse(&self, planned: &PlannedMove) -> Option<String> {
        self.check(planned).err()
    }

    fn check(&self, planned: &PlannedMove) -> Result<(), String> {
        let place = |id: u64| {
            let index = self.cluster.index_of(id);
            index.ok_or_else(|| format!("the cluster has no shard with the id {id} any more"))
        };
        let (from, to) = (place(planned.from_shard)?, place(planned.to_shard)?);
        if from == to {
            return Err(format!("shard {from} has these slots already"));
        }
        if !self.cluster.shards[from].slots.contains(planned.slots) {
            return Err(format!("shard {from} does not serve all of these slots"));
        }
        if self.excluded.overlaps(planned.slots) {
            return Err("some of these slots are excluded from being moved".into());
        }
        if self.cluster.shards[to].traits.draining {
            return Err(format!("shard {to} is being drained"));
        }
        self.is_healthy(self.cluster.shards[from].master(), from)?;
        self.is_healthy(self.cluster.shards[to].master(), to)?;
        if let Some(job) = self.queue.about(planned.slots) {
            return Err(format!("migration {} moves some of these slots", job.id));
        }
        let mut recent = self.queue.jobs.iter().filter(|job| {
            job.slots.overlaps(planned.slots)
                && job
                    .ended_at_ms
                    .is_some_and(|ended| self.now_ms.saturating_sub(ended) < self.cool_down_ms)
        });
        match recent.next() {
            Some(job) => Err(format!(
                "migration {} moved some of these slots less than {} s ago",
                job.id,
                self.cool_down_ms / 1_000
            )),
            None => Ok(()),
        }
    }

    fn is_healthy(&self, master: Option<&Node>, shard: usize) -> Result<(), String> {
        let master = master.ok_or_else(|| format!("shard {shard} has no master"))?;
        match self.seen.get(&master.id) {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(format!(
                "the master of shard {shard}: {}: {error}",
                master.addr
            )),
            None => Err(format!(
                "the master of shard {shard} was not asked how it is"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Standing;
    use crate::migration::JobState;
    use crate::model::{Role, samples::cluster};

    fn planned(slots: &str, from_shard: u64, to_shard: u64) -> PlannedMove {
        PlannedMove {
            slots: slots.parse().unwrap(),
            from_shard,
            to_shard,
            priority: 1,
            reason: "x".into(),
            text: "x".into(),
            expected_gain: 0.0,
            estimated_bytes: None,
            refused: None,
            migration: None,
        }
    }

    #[test]
    fn whatever_a_policy_says_a_move_must_hold() {
        let mut cluster = cluster(3, 1);
        cluster.shards[2].traits.draining = true;
        let mut queue = Migrations::default();
        queue.add("7".parse().unwrap(), 1, false);
        let old = queue.add("20-29".parse().unwrap(), 0, false);
        let job = queue.get_mut(old).unwrap();
        job.enter(JobState::Done);
        job.ended_at_ms = Some(1_000);
        let answers = Ok(Probe {
            id: None,
            standing: Standing::Gossip,
            role: Role::Master,
            is_linked: false,
            sequence: 1,
        });
        let ids: Vec<NodeId> = cluster.nodes().map(|(_, node)| node.id.clone()).collect();
        let mut seen: HashMap<_, _> = ids.iter().map(|id| (id.clone(), answers.clone())).collect();
        let excluded = SlotSet::from("100-199".parse::<crate::SlotRange>().unwrap());
        let refuse = |seen: &HashMap<_, _>, now_ms, planned: PlannedMove| {
            let checks = Checks {
                cluster: &cluster,
                queue: &queue,
                seen,
                excluded: &excluded,
                cool_down_ms: 5_000,
                now_ms,
            };
            checks.refuse(&planned)
        };
        let now = 10_000;
        assert_eq!(refuse(&seen, now, planned("0-5", 0, 1)), None);
        for (planned, part) in [
            (planned("0-5", 9, 1), "no shard with the id 9"),
            (planned("0-5", 0, 9), "no shard with the id 9"),
            (planned("0-5", 0, 0), "has these slots already"),
            (planned("0-5", 1, 0), "does not serve all"),
            (planned("5000-6000", 0, 1), "does not serve all"),
            (planned("99-100", 0, 1), "excluded"),
            (planned("0-5", 0, 2), "is being drained"),
            (planned("0-9", 0, 1), "migration 0 moves some"),
        ] {
            let refused = refuse(&seen, now, planned).unwrap();
            assert!(refused.contains(part), "{refused}");
        }
        let soon = refuse(&seen, 5_000, planned("25-40", 0, 1)).unwrap();
        assert!(soon.contains("less than 5 s ago"), "{soon}");
        assert_eq!(refuse(&seen, 6_000, planned("25-40", 0, 1)), None);

        let gone = Err(NodeError::Unreachable("gone".into()));
        seen.insert(ids[1].clone(), gone);
        let unhealthy = refuse(&seen, now, planned("0-5", 0, 1)).unwrap();
        assert!(unhealthy.contains("the master of shard 1"), "{unhealthy}");
    }
}
