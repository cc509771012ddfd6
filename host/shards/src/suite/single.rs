//! What concerns one node.

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::rig::Rig;
use super::{Checked, Stage, broken, ensure};
use crate::engine::{Access, NodeError};
use crate::model::EngineKind;

/// How long it may take to see that nobody listens at an address.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A fresh node may be taken into a cluster, and belongs to none.
pub async fn a_fresh_node_is_fit(stage: &dyn Stage) -> Checked {
    const STEP: &str = "inspecting a fresh node";
    let node = stage.node().await;
    let fitness = stage.engine().inspect(&node).await;
    let fitness = fitness.map_err(|error| broken(STEP, error))?;
    let has_id = stage.kind() == EngineKind::Redis;
    let is_fit = fitness.is_empty && !fitness.in_cluster && fitness.id.is_some() == has_id;
    ensure(STEP, is_fit, || format!("{fitness:?}"))?;
    let topology = stage.engine().topology(&node).await;
    ensure(STEP, topology == Ok(None), || {
        format!("it has the topology {topology:?}")
    })?;
    stage
        .engine()
        .probe(&node)
        .await
        .map_err(|error| broken(STEP, error))?;
    Ok(())
}

/// A wrong password is an error of its own, and the right one works after it.
pub async fn a_wrong_password_is_named(stage: &dyn Stage) -> Checked {
    const STEP: &str = "a wrong password";
    let node = stage.node().await;
    if node.password.is_none() {
        return Err(broken(
            STEP,
            "the stage has to start its nodes with passwords",
        ));
    }
    for password in [Some("another one"), None] {
        let wrong = Access {
            addr: node.addr.clone(),
            password: password.map(|text| Zeroizing::new(text.to_owned())),
        };
        let probe = stage.engine().probe(&wrong).await;
        ensure(STEP, matches!(probe, Err(NodeError::Password(_))), || {
            format!("{password:?} is answered with {probe:?}")
        })?;
        let right = stage.engine().probe(&node).await;
        right.map_err(|error| broken(STEP, format!("the right one: {error}")))?;
    }
    Ok(())
}

/// A node that is gone is unreachable without much waiting, and back after a restart.
pub async fn a_dead_node_is_unreachable_at_once(stage: &dyn Stage) -> Checked {
    const STEP: &str = "a dead node";
    let node = stage.node().await;
    stage
        .engine()
        .probe(&node)
        .await
        .map_err(|error| broken(STEP, error))?;
    stage.kill(&node).await;
    for _ in 0..2 {
        let start = Instant::now();
        let probe = stage.engine().probe(&node).await;
        let is_unreachable = matches!(probe, Err(NodeError::Unreachable(_)));
        ensure(STEP, is_unreachable, || format!("{probe:?}"))?;
        let took = start.elapsed();
        ensure(STEP, took < AT_ONCE, || format!("that took {took:?}"))?;
    }
    stage.restart(&node).await;
    super::rig::until(STEP, async || {
        let probe = stage.engine().probe(&node).await;
        probe
            .map(drop)
            .map_err(|error| broken(STEP, format!("after a restart: {error}")))
    })
    .await
}

/// The keys of the slots that a master serves are counted, where servers do that.
pub async fn keys_are_counted(stage: &dyn Stage) -> Checked {
    const STEP: &str = "counting keys";
    const KEYS: usize = 50;
    let rig = Rig::new(stage, 2, 1).await?;
    let slots = rig.topology.members[0].slots.clone();
    rig.fill(STEP, 0, &slots, KEYS).await?;
    let told = stage.engine().statistics(rig.access(0), &slots).await;
    let told = told.map_err(|error| broken(STEP, error))?;
    ensure(
        STEP,
        told.keys.is_none_or(|keys| keys == KEYS as u64),
        || format!("{KEYS} keys were written, and {:?} counted", told.keys),
    )?;
    if !told.slots.is_empty() {
        let sum: u64 = told.slots.iter().map(|slot| slot.keys).sum();
        ensure(STEP, sum == KEYS as u64, || {
            format!("{KEYS} keys were written, and the slots have {sum}")
        })?;
        let all_its = told.slots.iter().all(|counted| {
            let slot = crate::slots::SlotRange::single(counted.slot);
            slot.is_some_and(|slot| slots.contains(slot))
        });
        ensure(STEP, all_its, || {
            "slots of other masters are counted".into()
        })?;
    }
    let counts = stage.kind() == EngineKind::Redis;
    ensure(STEP, told.keys.is_some() || !counts, || {
        "a Redis counts its keys".into()
    })
}
