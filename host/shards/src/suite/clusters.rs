//! What concerns a cluster's topology.

use std::time::Duration;

use super::rig::{PATIENCE, Rig, until};
use super::{Checked, Stage, broken, ensure};
use crate::engine::{NodeError, Standing};
use crate::model::{EngineKind, Role};
use crate::slots::SlotSet;

const KEYS: usize = 100;

/// Fresh nodes that are pushed a topology are a cluster; what is pushed again changes nothing.
pub async fn a_topology_reaches_all_nodes(stage: &dyn Stage) -> Checked {
    const STEP: &str = "a topology";
    let mut rig = Rig::new(stage, 3, 2).await?;
    for node in &rig.nodes {
        let fitness = stage.engine().inspect(&node.access).await;
        let fitness = fitness.map_err(|error| broken(STEP, error))?;
        ensure(STEP, fitness.in_cluster, || {
            format!("a node in a cluster is told to be fit: {fitness:?}")
        })?;
    }
    for place in [0, 2, 4] {
        let slots = rig.topology.members[place].slots.clone();
        let pairs = rig.fill(STEP, place, &slots, KEYS).await?;
        rig.has(STEP, place, &pairs).await?;
        let elsewhere = (place + 2) % rig.nodes.len();
        rig.refuses(STEP, elsewhere, &pairs[0].0).await?;
    }
    for pushed in rig.push().await {
        pushed.map_err(|error| broken("pushing again", error))?;
    }
    rig.settle("pushing again").await?;
    if stage.kind() == EngineKind::Kvrocks {
        the_higher_version_wins(&mut rig).await?;
    }
    Ok(())
}

/// A node that knows a newer topology keeps it, unless it is forced.
async fn the_higher_version_wins(rig: &mut Rig<'_>) -> Checked {
    const STEP: &str = "an old topology";
    let old = rig.topology.clone();
    rig.promote(0, 1);
    rig.settle(STEP).await?;
    let node = &rig.nodes[0];
    let engine = rig.stage.engine();
    let pushed = engine.push(&node.access, &node.id, &old, false).await;
    ensure(STEP, matches!(pushed, Err(NodeError::Refused(_))), || {
        format!("a node that knows better says {pushed:?}")
    })?;
    rig.settle(STEP).await?;
    let forced = engine.push(&node.access, &node.id, &old, true).await;
    forced.map_err(|error| broken(STEP, format!("forced: {error}")))?;
    let probe = engine.probe(&node.access).await;
    let probe = probe.map_err(|error| broken(STEP, error))?;
    let is_old = (probe.standing, probe.role) == (Standing::At(old.version), Role::Master);
    ensure(STEP, is_old, || format!("forced, it says {probe:?}"))?;
    rig.settle("the new topology again").await
}

/// A replica takes over by hand: the master's writes are held back, and none is lost.
pub async fn a_planned_failover_keeps_the_data(stage: &dyn Stage) -> Checked {
    const STEP: &str = "a planned failover";
    let mut rig = Rig::new(stage, 3, 2).await?;
    let slots = rig.topology.members[0].slots.clone();
    let pairs = rig.fill(STEP, 0, &slots, KEYS).await?;
    let engine = stage.engine();
    let paused = engine.pause(rig.access(0), Duration::from_secs(5)).await;
    paused.map_err(|error| broken(STEP, format!("pausing: {error}")))?;
    rig.caught_up(STEP, 0, 1).await?;
    rig.promote(0, 1);
    let pushed = rig.push().await;
    let resumed = engine.resume(rig.access(0)).await;
    resumed.map_err(|error| broken(STEP, format!("resuming: {error}")))?;
    rig.settle(STEP).await.map_err(|error| {
        broken(
            STEP,
            format!("{error}; at first the pushes came to {pushed:?}"),
        )
    })?;
    rig.has(STEP, 1, &pairs).await?;
    rig.refuses(STEP, 0, &pairs[0].0).await?;
    rig.write(STEP, 1, &pairs[0].0, "written after it").await?;
    rig.caught_up(STEP, 1, 0).await
}

/// The master is gone: a replica takes its place with all it has, and the old master comes back as a
/// replica of it.
pub async fn a_dead_master_is_replaced_and_comes_back_as_a_replica(stage: &dyn Stage) -> Checked {
    const STEP: &str = "a failover";
    let mut rig = Rig::new(stage, 3, 2).await?;
    let slots = rig.topology.members[0].slots.clone();
    let mut pairs = rig.fill(STEP, 0, &slots, KEYS).await?;
    rig.caught_up(STEP, 0, 1).await?;
    stage.kill(rig.access(0)).await;
    rig.nodes[0].is_alive = false;
    rig.promote(0, 1);
    rig.settle(STEP).await?;
    rig.has(STEP, 1, &pairs).await?;
    let news = "written meanwhile".to_owned();
    rig.write(STEP, 1, &pairs[0].0, &news).await?;
    pairs[0].1 = news;

    const BACK: &str = "the old master is back";
    stage.restart(rig.access(0)).await;
    rig.nodes[0].is_alive = true;
    rig.settle(BACK).await?;
    rig.refuses(BACK, 0, &pairs[0].0).await?;
    rig.caught_up(BACK, 1, 0).await?;
    rig.has(BACK, 1, &pairs).await?;

    // What it has is the new master's: it may take over again.
    const AGAIN: &str = "the old master takes over again";
    rig.promote(1, 0);
    rig.settle(AGAIN).await?;
    rig.has(AGAIN, 0, &pairs).await
}

/// A replica that is taken out is in no cluster any more, and stays unknown to the others.
pub async fn a_removed_replica_is_forgotten(stage: &dyn Stage) -> Checked {
    const STEP: &str = "taking a replica out";
    let mut rig = Rig::new(stage, 3, 2).await?;
    let gone = rig.nodes.remove(5);
    rig.topology.members.retain(|member| member.id != gone.id);
    rig.topology.removed.push(gone.id.clone());
    rig.topology.version += 1;
    rig.push().await;
    let reset = stage.engine().reset(&gone.access).await;
    reset.map_err(|error| broken(STEP, format!("resetting it: {error}")))?;
    rig.settle(STEP).await?;
    until(STEP, async || {
        let topology = stage.engine().topology(&gone.access).await;
        ensure(STEP, topology == Ok(None), || {
            format!("it has the topology {topology:?}")
        })?;
        let fitness = stage.engine().inspect(&gone.access).await;
        let fitness = fitness.map_err(|error| broken(STEP, error))?;
        ensure(STEP, !fitness.in_cluster, || format!("{fitness:?}"))
    })
    .await?;
    // Gossip could bring it back.
    tokio::time::sleep(PATIENCE / 15).await;
    rig.settle(STEP).await?;
    let slots = SlotSet::all();
    let served = rig
        .topology
        .members
        .iter()
        .map(|member| member.slots.count())
        .sum::<u16>();
    ensure(STEP, served == slots.count(), || {
        "the suite lost slots".into()
    })
}
