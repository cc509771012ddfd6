//! Slots with their keys from one node to another.

use super::node::{Mood, Node};
use super::world::World;
use crate::engine::{Migration, MigrationState, NodeError, Started, Stopped, Transfer};
use crate::model::Role;
use crate::names::{NodeAddr, NodeId};
use crate::slots::{SlotRange, SlotSet};

/// A migration, as its source remembers it until the next one or a restart.
#[derive(Debug)]
pub(super) struct Job {
    slots: SlotRange,
    destination: NodeId,
    to: NodeAddr,
    state: MigrationState,
    /// How many keys are still to go; one more step ends it.
    left: usize,
    reason: Option<String>,
}

impl Job {
    fn tell(&self, keys: usize) -> Migration {
        Migration {
            keys: Some(keys as u64),
            reason: self.reason.clone(),
            ..Migration::new(self.slots, self.destination.clone(), self.state)
        }
    }

    fn fail(&mut self, reason: &str) {
        self.state = MigrationState::Failed;
        self.reason = Some(reason.into());
    }
}

impl World {
    pub(super) fn migrate(&mut self, transfer: &Transfer) -> Result<Started, NodeError> {
        let refused = |reason: &str| Err(NodeError::Refused(reason.into()));
        let (slots, id) = (transfer.slots, &transfer.target_id);
        let Some(source) = self.nodes.get_mut(&transfer.source.addr) else {
            return refused("ERR no such node");
        };
        let Some(target) = source.membership.as_ref().and_then(|now| now.get(id)) else {
            return refused("ERR Can't find the destination node id");
        };
        if !source.is_master_of(slots) {
            return refused("ERR Can't migrate slot which doesn't belong to me");
        }
        if target.role == Role::Slave {
            return refused("ERR Can't migrate slot to a slave");
        }
        if *id == transfer.source_id {
            return refused("ERR Can't migrate slot to myself");
        }
        let to = target.addr.clone();
        let last = source.run.job.as_ref();
        if last.is_some_and(|job| job.state == MigrationState::Running) {
            return Ok(Started::Busy);
        }
        if source
            .run
            .closed
            .is_some_and(|closed| closed.overlaps(slots))
        {
            return Ok(Started::AlreadyMigrated);
        }
        source.run.job = Some(Job {
            slots,
            destination: id.clone(),
            to,
            state: MigrationState::Running,
            left: source.data.of(&slots.into()).len(),
            reason: None,
        });
        Ok(Started::Accepted)
    }

    /// Takes the last migration of a node a step further.
    pub(super) fn carry_on(&mut self, source: &NodeAddr) -> Option<Migration> {
        let pace = self.pace;
        let job = self.nodes.get(source)?.run.job.as_ref()?;
        let to = job.to.clone();
        let [source, target] = self.nodes.get_disjoint_mut([source, &to]);
        let (source, target) = (source?, target);
        let mut job = source.run.job.take()?;
        let mut keys = 0;
        if job.state == MigrationState::Running {
            match obstacle(source, target.as_deref(), &job) {
                Some(Obstacle::Wait) => {}
                Some(Obstacle::Fail(reason)) => job.fail(reason),
                None if job.left > 0 => {
                    keys = pace.min(job.left);
                    job.left -= keys;
                }
                None => {
                    if let Some(target) = target {
                        arrive(source, target, &job);
                    }
                    job.state = MigrationState::Succeeded;
                }
            }
        }
        let told = job.tell(keys);
        source.run.job = Some(job);
        Some(told)
    }

    /// Makes an end of a migration. What had arrived, and stands in no topology yet, goes back.
    pub(super) fn stop(&mut self, transfer: &Transfer) -> Stopped {
        let addrs = [&transfer.source.addr, &transfer.target.addr];
        let [Some(source), target] = self.nodes.get_disjoint_mut(addrs) else {
            return Stopped::NotYet;
        };
        let ours = |job: &Job| job.slots == transfer.slots && job.destination == transfer.target_id;
        let Some(job) = source.run.job.take_if(|job| ours(job)) else {
            return Stopped::Yes;
        };
        if job.state != MigrationState::Succeeded || !source.is_master_of(job.slots) {
            return Stopped::Yes;
        }
        match target {
            Some(target) if target.mood == Mood::Up => {
                for (key, value) in target.data.of(&job.slots.into()) {
                    if source.data.get(&key) != Some(&value) {
                        source.data.put(&key, &value);
                    }
                }
                target.run.received.remove(job.slots);
                source.run.sent.retain(|(sent, _)| *sent != job.slots);
                source.run.closed = None;
                Stopped::Yes
            }
            _ => {
                source.run.job = Some(job);
                Stopped::NotYet
            }
        }
    }
}

enum Obstacle {
    Wait,
    Fail(&'static str),
}

fn obstacle(source: &mut Node, target: Option<&Node>, job: &Job) -> Option<Obstacle> {
    if source.failures > 0 {
        source.failures -= 1;
        return Some(Obstacle::Fail("it was told to fail"));
    }
    if !source.is_master_of(job.slots) {
        return Some(Obstacle::Fail("the slots have another owner now"));
    }
    let Some(target) = target else {
        return Some(Obstacle::Fail("there is no such node"));
    };
    match target.mood {
        Mood::Hung => return Some(Obstacle::Wait),
        Mood::Down | Mood::Loading => return Some(Obstacle::Fail("the target takes nothing")),
        Mood::Up => {}
    }
    let known = target.membership.as_ref().map(|now| now.me());
    let fits = known.is_some_and(|me| me.id == job.destination && me.role == Role::Master);
    (!fits).then_some(Obstacle::Fail(
        "the target is not the master that it should be",
    ))
}

/// All keys are there: from now on the target serves the slots.
fn arrive(source: &mut Node, target: &mut Node, job: &Job) {
    let slots = SlotSet::from(job.slots);
    for (key, value) in source.data.of(&slots) {
        if target.data.get(&key) != Some(&value) {
            target.data.put(&key, &value);
        }
    }
    target.run.received.insert(job.slots);
    target
        .run
        .sent
        .retain(|(sent, _)| !sent.overlaps(job.slots));
    if target
        .run
        .closed
        .is_some_and(|closed| closed.overlaps(job.slots))
    {
        target.run.closed = None;
    }
    source.run.sent.push((job.slots, job.to.clone()));
    source.run.closed = Some(job.slots);
}
