//! What a policy is shown: a pure function of the cluster, its queue and what its nodes said.

use std::collections::HashMap;

use portolan_sandbox::migration as policy;

use crate::engine::{NodeError, Probe, SlotStatistics, Statistics};
use crate::migration::{Job, JobState, Migrations};
use crate::model::{Cluster, Role};
use crate::names::{Name, NodeId};
use crate::slots::{SlotRange, SlotSet};

/// What the masters said of their load, twice, so that rates follow from totals.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// By master.
    pub(crate) first: HashMap<NodeId, Statistics>,
    /// By master; empty where nothing needed a second look.
    pub(crate) second: HashMap<NodeId, Statistics>,
    /// Between the two. Seconds.
    pub(crate) seconds: f64,
    /// When the last one was taken. Milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// Everything around the cluster that a policy is shown.
pub(crate) struct Surroundings<'a> {
    pub(crate) namespace: &'a Name,
    pub(crate) name: &'a Name,
    pub(crate) queue: &'a Migrations,
    pub(crate) seen: &'a HashMap<NodeId, Result<Probe, NodeError>>,
    pub(crate) sample: &'a Sample,
    pub(crate) excluded: &'a SlotSet,
    pub(crate) cool_down_ms: u64,
    pub(crate) max_fill_percent: u32,
    pub(crate) trigger: policy::Trigger,
    pub(crate) now_ms: u64,
}

/// What a policy is shown.
pub(crate) fn snapshot(cluster: &Cluster, around: &Surroundings<'_>) -> policy::Snapshot {
    let shards = cluster.shards.iter().zip(0..).map(|(shard, index)| {
        let labels = shard.traits.labels.iter();
        policy::Shard {
            id: shard.id,
            index,
            slots: ranges(&shard.slots),
            weight: shard.traits.weight,
            zone: shard.traits.zone.clone(),
            labels: labels.map(|(k, v)| (k.clone(), v.clone())).collect(),
            draining: shard.traits.draining,
        }
    });
    let jobs = || around.queue.jobs.iter();
    let active = jobs().filter(|job| !job.state.is_over() && job.state != JobState::Failed);
    let active = active.flat_map(|job| {
        let to = cluster.index_of(job.target);
        let parts = to.map(|to| cluster.still_to_go(job.slots, to));
        let parts = parts.unwrap_or_default();
        let parts = parts.ranges().iter().filter_map(|part| {
            Some(policy::ActiveMove {
                range: range(*part),
                from_shard: cluster.shards[cluster.owner(*part)?].id,
                to_shard: job.target,
                started_at_ms: job.started_at_ms.unwrap_or(job.created_at_ms),
            })
        });
        parts.collect::<Vec<_>>()
    });
    let mut recent: Vec<policy::RecentMove> =
        jobs().filter_map(|job| recent(cluster, job)).collect();
    recent.sort_by_key(|recent| std::cmp::Reverse(recent.ended_at_ms));
    policy::Snapshot {
        cluster: around.name.to_string(),
        namespace: around.namespace.to_string(),
        version: cluster.version,
        sampled_at_ms: around.sample.at_ms,
        sample_age_ms: around.now_ms.saturating_sub(around.sample.at_ms),
        shards: shards.collect(),
        nodes: nodes(cluster, around),
        statistics: statistics(cluster, around.sample),
        active: active.collect(),
        recent,
        limits: policy::Limits {
            cool_down_ms: around.cool_down_ms,
            max_slots_per_move: None,
            max_fill_percent: Some(around.max_fill_percent),
        },
        excluded: ranges(around.excluded),
        trigger: around.trigger,
        seed: seed(cluster.version),
    }
}

/// The same for as long as the version is, and otherwise unlike its neighbours (SplitMix64).
fn seed(version: u64) -> u64 {
    let mut z = version.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn range(range: SlotRange) -> policy::SlotRange {
    policy::SlotRange {
        first: range.first(),
        last: range.last(),
    }
}

fn ranges(slots: &SlotSet) -> Vec<policy::SlotRange> {
    slots.ranges().iter().copied().map(range).collect()
}

fn recent(cluster: &Cluster, job: &Job) -> Option<policy::RecentMove> {
    let ended_at_ms = job.ended_at_ms?;
    Some(policy::RecentMove {
        range: range(job.slots),
        // Where they came from is not kept; who has them now is as good for one that was not done.
        from_shard: match cluster.owner(job.slots) {
            Some(owner) => cluster.shards[owner].id,
            None => job.target,
        },
        to_shard: job.target,
        outcome: match job.state {
            JobState::Done => policy::MoveOutcome::Done,
            JobState::Cancelled => policy::MoveOutcome::Cancelled,
            _ => policy::MoveOutcome::Failed,
        },
        ended_at_ms,
    })
}

fn nodes(cluster: &Cluster, around: &Surroundings<'_>) -> Vec<policy::Node> {
    let sequence = |id: &NodeId| {
        let probe = around.seen.get(id)?.as_ref().ok()?;
        Some(probe.sequence)
    };
    let nodes = cluster.nodes().map(|(index, node)| {
        let master = cluster.shards[index].master();
        let at = master.and_then(|master| sequence(&master.id));
        let behind = at
            .zip(sequence(&node.id))
            .map(|(master, replica)| master.saturating_sub(replica));
        let load = around.sample.first.get(&node.id);
        policy::Node {
            id: node.id.to_string(),
            shard: u32::try_from(index).unwrap_or(u32::MAX),
            role: match node.role {
                Role::Master => policy::Role::Master,
                Role::Slave => policy::Role::Replica,
            },
            reachable: matches!(around.seen.get(&node.id), Some(Ok(_))),
            lag: behind.filter(|_| node.role == Role::Slave),
            disk_used: load.and_then(|load| load.disk_used),
            disk_total: load.and_then(|load| load.disk_total),
            memory_used: load.and_then(|load| load.memory_used),
            memory_total: load.and_then(|load| load.memory_limit),
        }
    });
    nodes.collect()
}

/// By slot where the servers count that, otherwise by range: what is known of a master only is taken to
/// be spread evenly over its slots.
fn statistics(cluster: &Cluster, sample: &Sample) -> Vec<policy::SlotStatistics> {
    let mut statistics = Vec::new();
    for shard in &cluster.shards {
        let Some(master) = shard.master() else {
            continue;
        };
        let Some(load) = sample.first.get(&master.id) else {
            continue;
        };
        let keys: u64 = load.slots.iter().map(|slot| slot.keys).sum();
        let bytes_per_key = load
            .data_bytes
            .filter(|_| keys > 0)
            .map(|bytes| bytes as f64 / keys as f64);
        let count = f64::from(shard.slots.count());
        let ops_per_slot = load.ops_per_second.map(|ops| ops / count);
        if load.slots.is_empty() {
            statistics.extend(shard.slots.ranges().iter().map(|slots| {
                let share = f64::from(slots.count());
                policy::SlotStatistics {
                    range: range(*slots),
                    keys: None,
                    bytes: load
                        .data_bytes
                        .map(|bytes| (bytes as f64 * share / count) as u64),
                    ops_per_second: ops_per_slot.map(|ops| ops * share),
                    cpu_usec_per_second: None,
                    network_bytes_per_second: None,
                }
            }));
            continue;
        }
        let second = sample.second.get(&master.id);
        let second: HashMap<u16, &SlotStatistics> = second
            .iter()
            .flat_map(|load| &load.slots)
            .map(|slot| (slot.slot, slot))
            .collect();
        for first in &load.slots {
            let then = second.get(&first.slot);
            let rate = |of: fn(&SlotStatistics) -> Option<u64>| {
                let (first, then) = (of(first)?, of(then?)?);
                // A counter that went back was reset.
                Some(then.checked_sub(first)? as f64 / sample.seconds)
            };
            let Some(slots) = SlotRange::single(first.slot) else {
                continue;
            };
            if !shard.slots.contains(slots) {
                continue;
            }
            statistics.push(policy::SlotStatistics {
                range: range(slots),
                keys: Some(first.keys),
                bytes: bytes_per_key.map(|bytes| (bytes * first.keys as f64) as u64),
                ops_per_second: ops_per_slot,
                cpu_usec_per_second: rate(|slot| slot.cpu_usec),
                network_bytes_per_second: rate(|slot| slot.network_bytes),
            });
        }
    }
    statistics.sort_by_key(|statistics| statistics.range.first);
    statistics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::cluster;

    fn sample(cluster: &Cluster) -> Sample {
        let loads = |keys: u64, cpu: u64| {
            let shards = cluster.shards.iter();
            let loads = shards.map(|shard| {
                let slots = shard.slots.iter().take(3).map(|slot| SlotStatistics {
                    slot,
                    keys,
                    cpu_usec: Some(cpu),
                    network_bytes: None,
                });
                let load = Statistics {
                    ops_per_second: Some(8_192.0),
                    data_bytes: Some(30_000),
                    slots: slots.collect(),
                    ..Statistics::default()
                };
                (shard.master().unwrap().id.clone(), load)
            });
            loads.collect()
        };
        Sample {
            first: loads(100, 5_000),
            second: loads(100, 9_000),
            seconds: 2.0,
            at_ms: 4_000,
        }
    }

    #[test]
    fn a_policy_is_shown_what_is_known_and_nothing_else() {
        let cluster = cluster(2, 2);
        let mut queue = Migrations::default();
        queue.add("5-9".parse().unwrap(), 1, false);
        let over = queue.add("20".parse().unwrap(), 1, false);
        queue.get_mut(over).unwrap().enter(JobState::Cancelled);
        let excluded = SlotSet::from("7".parse::<SlotRange>().unwrap());
        let shown = snapshot(
            &cluster,
            &Surroundings {
                namespace: &"ns".parse().unwrap(),
                name: &"c".parse().unwrap(),
                queue: &queue,
                seen: &HashMap::new(),
                sample: &sample(&cluster),
                excluded: &excluded,
                cool_down_ms: 1,
                max_fill_percent: 90,
                trigger: policy::Trigger::Manual,
                now_ms: 5_000,
            },
        );
        assert_eq!((shown.version, shown.sample_age_ms), (1, 1_000));
        assert_eq!(shown.shards.len(), 2);
        assert_eq!(shown.nodes.len(), 4);
        assert!(shown.nodes.iter().all(|node| !node.reachable));
        assert_eq!(shown.statistics.len(), 6);
        let slot = &shown.statistics[0];
        assert_eq!(slot.keys, Some(100));
        assert_eq!(slot.bytes, Some(10_000));
        assert_eq!(slot.cpu_usec_per_second, Some(2_000.0));
        assert_eq!(slot.network_bytes_per_second, None);
        assert_eq!(slot.ops_per_second, Some(1.0));
        assert_eq!(shown.active.len(), 1);
        assert_eq!(
            (shown.active[0].from_shard, shown.active[0].to_shard),
            (0, 1)
        );
        assert_eq!(shown.recent.len(), 1);
        assert_eq!(shown.excluded.len(), 1);
        assert_ne!(seed(1), seed(2));
    }
}
