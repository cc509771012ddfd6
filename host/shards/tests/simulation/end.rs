//! What must hold in the end, when nothing is wrong any more and nobody asks for anything.

use std::time::{Duration, Instant};

use portolan_shards::engine::Member;
use portolan_shards::twin::hash_slot;
use portolan_shards::{Cluster, JobAction, JobState, JobView, Role, SLOTS, SlotRange, SlotSet};
use tokio::time::sleep;

use crate::stage::{CLUSTER, NAMESPACE, Stage};
use crate::trace::Trace;
use crate::writer::Promises;

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How often a migration is resumed before it is taken back.
const RESUMED: usize = 3;
/// Everything has to look right so many times in a row.
const IN_A_ROW: usize = 5;

/// Waits for quiet, then looks at everything.
pub(crate) async fn check(stage: &Stage, trace: &Trace, promises: &Promises) {
    let mut stuck = SlotSet::default();
    if comes_to_rest(stage, trace).await {
        stuck = follow_advice(stage).await;
        comes_to_rest(stage, trace).await;
    }
    if trace.has_failed() {
        return;
    }
    let cluster = stage.stored().await;
    trace.check(every_slot_is_served_once(stage, &cluster));
    trace.check(every_slot_takes_writes(stage, &cluster, &stuck));
    trace.check(promises_are_kept(stage, &cluster, promises));
}

/// Does what the reasons of migrations that were given up say: another slot from the same source frees
/// those that it has given to nobody. Answers the slots whose source has no other slot.
async fn follow_advice(stage: &Stage) -> SlotSet {
    let cluster = stage.stored().await;
    let mut stuck = SlotSet::default();
    for JobView { job, .. } in jobs(stage).await {
        let advised = job
            .reason
            .as_ref()
            .is_some_and(|reason| reason.contains("migrate any other slot"));
        let mut shards = cluster.shards.iter();
        let source = shards.position(|shard| shard.slots.contains(job.slots));
        let other = source.and_then(|source| {
            let rest = cluster.shards[source].slots.without(&job.slots.into());
            rest.iter().next()
        });
        let target = (0..cluster.shards.len()).find(|index| Some(*index) != source);
        if !advised {
            continue;
        }
        let (Some(other), Some(target)) = (other, target) else {
            stuck.insert(job.slots);
            continue;
        };
        let slots = [SlotRange::single(other).unwrap()];
        let shards = stage.shards();
        let asked = shards.migrate_slots(NAMESPACE, CLUSTER, &slots, target, false);
        // Another piece of advice may have asked for the same.
        let _ = asked.await;
    }
    stuck
}

/// Waits until nothing happens any more; whether that came about.
async fn comes_to_rest(stage: &Stage, trace: &Trace) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut resumed = vec![];
    let mut in_a_row = 0;
    while in_a_row < IN_A_ROW {
        let quiet = is_quiet(stage, &mut resumed).await;
        in_a_row = if quiet.is_ok() { in_a_row + 1 } else { 0 };
        if let Err(reason) = quiet
            && Instant::now() > deadline
        {
            let events = stage.shards().events(NAMESPACE, CLUSTER).await.unwrap();
            for event in events.iter().rev().take(10).rev() {
                trace.note(format!("event {}: {}", event.number, event.text));
            }
            trace.fail(format!("it does not come right: {reason}"));
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
    trace.note("quiet");
    true
}

/// How many migrations came to their end.
pub(crate) async fn migrations_done(stage: &Stage) -> u64 {
    let jobs = jobs(stage).await;
    jobs.iter()
        .filter(|view| view.job.state == JobState::Done)
        .count() as u64
}

async fn jobs(stage: &Stage) -> Vec<JobView> {
    stage.shards().migrations(NAMESPACE, CLUSTER).await.unwrap()
}

async fn is_quiet(stage: &Stage, resumed: &mut Vec<u64>) -> Result<(), String> {
    let shards = stage.shards();
    for JobView { job, .. } in jobs(stage).await {
        let waits = job.state == JobState::Queued && job.attempts > 0;
        let stands = matches!(job.state, JobState::Paused | JobState::Failed) || waits;
        if stands {
            let often = resumed.iter().filter(|id| **id == job.id).count() >= RESUMED;
            let action = if often {
                JobAction::Cancel
            } else {
                JobAction::Resume
            };
            resumed.push(job.id);
            // It may have gone on in this very moment.
            let _ = shards
                .change_migration(NAMESPACE, CLUSTER, job.id, action)
                .await;
        }
        if !matches!(job.state, JobState::Done | JobState::Cancelled) {
            return Err(format!("migration {job:?} is not over"));
        }
    }
    every_node_has_the_topology(stage, &stage.stored().await)
}

fn every_node_has_the_topology(stage: &Stage, cluster: &Cluster) -> Result<(), String> {
    let stored = members(cluster);
    for (_, node) in cluster.nodes() {
        let found = stage.twin.topology_of(&node.addr);
        let found = found.ok_or_else(|| format!("{} is in no cluster", node.addr))?;
        let (has, should) = (found.version, cluster.version);
        let mut theirs = found.members;
        theirs.sort_by(|a, b| a.id.cmp(&b.id));
        if has != should || theirs != stored {
            return Err(format!(
                "{} has version {has}, and {should} is stored: {theirs:#?}\n{stored:#?}",
                node.addr
            ));
        }
    }
    Ok(())
}

fn members(cluster: &Cluster) -> Vec<Member> {
    let nodes = cluster.nodes().map(|(index, node)| {
        let shard = &cluster.shards[index];
        let is_master = node.role == Role::Master;
        let master = shard.master().filter(|_| !is_master);
        Member {
            id: node.id.clone(),
            addr: node.addr.clone(),
            role: node.role,
            master: master.map(|master| master.id.clone()),
            slots: if is_master {
                shard.slots.clone()
            } else {
                SlotSet::default()
            },
        }
    });
    let mut members: Vec<Member> = nodes.collect();
    members.sort_by(|a, b| a.id.cmp(&b.id));
    members
}

fn every_slot_is_served_once(stage: &Stage, cluster: &Cluster) -> Result<(), String> {
    let mut served = SlotSet::default();
    for (_, node) in cluster.nodes() {
        for range in stage.twin.serves(&node.addr).ranges() {
            if served.overlaps(*range) {
                return Err(format!(
                    "{} serves {range}, and another node too",
                    node.addr
                ));
            }
            served.insert(*range);
        }
    }
    match served == SlotSet::all() {
        true => Ok(()),
        false => Err(format!(
            "{} slots are served by nobody",
            SLOTS - served.count()
        )),
    }
}

/// A key in each slot can be written.
fn every_slot_takes_writes(
    stage: &Stage,
    cluster: &Cluster,
    stuck: &SlotSet,
) -> Result<(), String> {
    const SAMPLES: u32 = 2_000;
    let (_, seed) = cluster.nodes().next().ok_or("no nodes")?;
    for number in 0..SAMPLES {
        let key = format!("sample-{number}");
        if SlotRange::single(hash_slot(&key)).is_some_and(|slot| stuck.contains(slot)) {
            continue;
        }
        let written = stage.twin.set(&seed.addr, &key, "");
        written.map_err(|error| format!("slot {} takes no writes: {error}", hash_slot(&key)))?;
    }
    Ok(())
}

fn promises_are_kept(stage: &Stage, cluster: &Cluster, promises: &Promises) -> Result<(), String> {
    let (_, seed) = cluster.nodes().next().ok_or("no nodes")?;
    let kept = promises.kept.lock();
    let mut lost = vec![];
    for (key, (value, by)) in kept.iter() {
        let found = stage.twin.get(&seed.addr, key);
        if found != Ok(Some(value.clone())) {
            let holders: Vec<_> = stage
                .twin
                .nodes()
                .into_iter()
                .filter(|node| stage.twin.value(node, key).as_ref() == Some(value))
                .collect();
            let slot = hash_slot(key);
            lost.push(format!(
                "{key} in slot {slot} by {by}: {found:?}, held by {holders:?}"
            ));
        }
    }
    match lost.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{} of {} acknowledged writes are lost, among them {:#?}",
            lost.len(),
            kept.len(),
            &lost[..lost.len().min(5)]
        )),
    }
}
