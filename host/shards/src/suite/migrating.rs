//! What concerns slots on their way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::rig::{PATIENCE, Rig};
use super::{Checked, Stage, broken, ensure};
use crate::engine::{MigrationState, Started, Stopped, Transfer};
use crate::slots::{SlotRange, SlotSet};
use crate::twin::hash_slot;

const SOURCE: usize = 0;
const TARGET: usize = 1;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// All keys of some slots are at the target after a migration, and the source serves them no more.
pub async fn a_migration_carries_slots_and_keys(stage: &dyn Stage) -> Checked {
    const STEP: &str = "a migration";
    let mut rig = Rig::new(stage, 2, 1).await?;
    let moving = range(100, 199)?;
    let staying = rig.topology.members[SOURCE].slots.without(&moving.into());
    let pairs = rig.fill(STEP, SOURCE, &moving.into(), 300).await?;
    let others = rig.fill(STEP, SOURCE, &staying, 50).await?;

    let transfer = transfer(&rig, moving);
    start(&rig, &transfer).await?;
    let again = stage.engine().migrate(&transfer).await;
    ensure(STEP, again.is_ok(), || {
        format!("asked once more, the source says {again:?}")
    })?;
    carry_through(&mut rig, moving).await?;

    rig.settle("the topology after a migration").await?;
    rig.has(STEP, TARGET, &pairs).await?;
    rig.has(STEP, SOURCE, &others).await?;
    for (key, _) in pairs.iter().take(3) {
        rig.refuses(STEP, SOURCE, key).await?;
        let read = stage.read(rig.access(SOURCE), key).await;
        ensure(STEP, read.is_err(), || {
            format!("the source still answers for {key}: {read:?}")
        })?;
        rig.write(STEP, TARGET, key, "written after it").await?;
    }
    Ok(())
}

/// A migration that is stopped on its way leaves every slot with one owner, which has its keys. Where
/// none can be stopped, it goes on and says so.
pub async fn a_stopped_migration_leaves_nothing_between(stage: &dyn Stage) -> Checked {
    const STEP: &str = "stopping a migration";
    let mut rig = Rig::new(stage, 2, 1).await?;
    let moving = range(0, 5_000)?;
    let pairs = rig.fill(STEP, SOURCE, &moving.into(), 2_000).await?;
    let whole = transfer(&rig, moving);
    start(&rig, &whole).await?;
    let first = stage.engine().carry_on(&whole).await;
    first.map_err(|error| broken(STEP, format!("carrying on: {error}")))?;
    if !stage.can_stop_migrations() {
        let stopped = stage.engine().stop(&whole).await;
        ensure(STEP, stopped == Ok(Stopped::NotYet), || {
            format!("this engine cannot stop one, and says {stopped:?}")
        })?;
        carry_through(&mut rig, moving).await?;
        rig.settle(STEP).await?;
        return rig.has(STEP, TARGET, &pairs).await;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stopped = stage.engine().stop(&whole).await;
        match stopped.map_err(|error| broken(STEP, error))? {
            Stopped::Yes => break,
            Stopped::NotYet if Instant::now() > deadline => {
                return Err(broken(STEP, "it is told again and again to take longer"));
            }
            Stopped::NotYet => sleep(LOOK_AGAIN).await,
        }
    }
    let again = stage.engine().stop(&whole).await;
    ensure(STEP, again == Ok(Stopped::Yes), || {
        format!("stopped once more, it says {again:?}")
    })?;
    let at_target = own_slots(&rig, TARGET).await?.common(&moving.into());
    let at_source = own_slots(&rig, SOURCE).await?.common(&moving.into());
    let both = at_target.common(&at_source);
    ensure(STEP, both.is_empty(), || format!("{both} have two owners"))?;
    let none = SlotSet::from(moving)
        .without(&at_target)
        .without(&at_source);
    ensure(STEP, none.is_empty(), || format!("{none} have no owner"))?;
    if !at_target.is_empty() {
        rig.move_slots(&at_target, SOURCE, TARGET);
    }
    rig.settle("the topology after a stop").await?;
    let is_there = |pair: &(String, String)| {
        let slot = SlotRange::single(hash_slot(&pair.0));
        slot.is_some_and(|slot| at_target.contains(slot))
    };
    let (there, here): (Vec<_>, Vec<_>) = pairs.into_iter().partition(is_there);
    rig.has(STEP, TARGET, &there).await?;
    rig.has(STEP, SOURCE, &here).await?;
    for (place, pairs) in [(TARGET, &there), (SOURCE, &here)] {
        for (key, _) in pairs.iter().take(3) {
            rig.write(STEP, place, key, "written after it").await?;
        }
    }
    // And the rest can go on from there.
    const REST: &str = "the rest of a stopped migration";
    if let Some(rest) = at_source.ranges().first().copied() {
        start(&rig, &transfer(&rig, rest)).await?;
        carry_through(&mut rig, rest).await?;
        rig.settle(REST).await?;
        let goes = |pair: &(String, String)| {
            SlotRange::single(hash_slot(&pair.0)).is_some_and(|slot| slot.overlaps(rest))
        };
        let untouched = here.into_iter().skip(3).filter(goes);
        rig.has(REST, TARGET, &untouched.collect::<Vec<_>>())
            .await?;
    }
    Ok(())
}

fn range(first: u16, last: u16) -> Checked<SlotRange> {
    SlotRange::new(first, last).ok_or_else(|| broken("the suite", "no such range"))
}

fn transfer(rig: &Rig<'_>, slots: SlotRange) -> Transfer {
    let (source, target) = (&rig.nodes[SOURCE], &rig.nodes[TARGET]);
    Transfer {
        slots,
        source: source.access.clone(),
        source_id: source.id.clone(),
        target: target.access.clone(),
        target_id: target.id.clone(),
        attempts: 0,
    }
}

async fn start(rig: &Rig<'_>, transfer: &Transfer) -> Checked {
    const STEP: &str = "starting a migration";
    let started = rig.stage.engine().migrate(transfer).await;
    ensure(STEP, started == Ok(Started::Accepted), || {
        format!("{started:?}")
    })
}

/// Carries a migration on as the controller does: slots that have moved go into the topology, and what
/// is left is asked for. The topology is not pushed.
async fn carry_through(rig: &mut Rig<'_>, slots: SlotRange) -> Checked {
    const STEP: &str = "carrying a migration on";
    let deadline = Instant::now() + PATIENCE;
    let mut rest = SlotSet::from(slots);
    while let Some(part) = rest.ranges().first().copied() {
        if Instant::now() > deadline {
            return Err(broken(STEP, format!("{rest} did not arrive in time")));
        }
        let status = rig.stage.engine().carry_on(&transfer(rig, part)).await;
        let status = status.map_err(|error| broken(STEP, error))?;
        let status = status.ok_or_else(|| broken(STEP, "the source knows of none"))?;
        let is_ours = status.destination == rig.nodes[TARGET].id && status.slots == part;
        ensure(STEP, is_ours, || {
            format!("{part} are on their way, not {status:?}")
        })?;
        let moved = match status.state {
            MigrationState::Succeeded => part.into(),
            MigrationState::Running => status.moved,
            MigrationState::Failed => return Err(broken(STEP, format!("{:?}", status.reason))),
        };
        if moved.is_empty() {
            sleep(LOOK_AGAIN).await;
        } else {
            rest = rest.without(&moved);
            rig.move_slots(&moved, SOURCE, TARGET);
        }
    }
    Ok(())
}

/// The slots that a node claims for itself.
async fn own_slots(rig: &Rig<'_>, place: usize) -> Checked<SlotSet> {
    const STEP: &str = "asking for a node's slots";
    let topology = rig.stage.engine().topology(rig.access(place)).await;
    let topology = topology.map_err(|error| broken(STEP, error))?;
    let mut members = topology.into_iter().flat_map(|topology| topology.members);
    let own = members.find(|member| member.id == rig.nodes[place].id);
    own.map(|member| member.slots)
        .ok_or_else(|| broken(STEP, "it does not list itself"))
}
