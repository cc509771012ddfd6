//! A cluster under test, and waiting for what it must come to.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{Broken, Checked, Stage, broken, ensure};
use crate::engine::{Access, Member, NodeError, Pushed, Standing, Topology};
use crate::model::{EngineKind, Role};
use crate::names::NodeId;
use crate::slots::{SlotRange, SlotSet, even_split};
use crate::twin::hash_slot;

/// How long anything may take that takes its time.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One node of the cluster.
pub(super) struct Node {
    pub(super) access: Access,
    pub(super) id: NodeId,
    pub(super) is_alive: bool,
}

/// A cluster: shard `s` of `per_shard` nodes begins at place `s * per_shard`, the master first.
pub(super) struct Rig<'a> {
    pub(super) stage: &'a dyn Stage,
    pub(super) nodes: Vec<Node>,
    pub(super) topology: Topology,
}

impl<'a> Rig<'a> {
    /// Starts nodes, and pushes the topology until all of them have it.
    pub(super) async fn new(stage: &'a dyn Stage, shards: u16, per_shard: usize) -> Checked<Self> {
        const STEP: &str = "creating a cluster";
        let mut nodes = vec![];
        for _ in 0..usize::from(shards) * per_shard {
            let access = stage.node().await;
            let fitness = stage.engine().inspect(&access).await;
            let fitness = fitness.map_err(|error| broken(STEP, error))?;
            let id = fitness.id.unwrap_or_else(NodeId::random);
            let is_alive = true;
            nodes.push(Node {
                access,
                id,
                is_alive,
            });
        }
        let mut members = vec![];
        for (shard, slots) in nodes.chunks(per_shard).zip(even_split(shards)) {
            for (place, node) in shard.iter().enumerate() {
                let is_master = place == 0;
                members.push(Member {
                    id: node.id.clone(),
                    addr: node.access.addr.clone(),
                    role: if is_master { Role::Master } else { Role::Slave },
                    master: (!is_master).then(|| shard[0].id.clone()),
                    slots: if is_master {
                        slots.clone()
                    } else {
                        SlotSet::default()
                    },
                });
            }
        }
        let rig = Self {
            stage,
            nodes,
            topology: Topology {
                version: 1,
                members,
                removed: vec![],
                in_motion: SlotSet::default(),
                appointed: vec![],
            },
        };
        rig.settle(STEP).await?;
        Ok(rig)
    }

    pub(super) fn access(&self, place: usize) -> &Access {
        &self.nodes[place].access
    }

    /// Makes the node at `to` the master instead of the one at `from`.
    pub(super) fn promote(&mut self, from: usize, to: usize) {
        let (old, new) = (self.nodes[from].id.clone(), self.nodes[to].id.clone());
        let slots = std::mem::take(&mut self.topology.members[from].slots);
        self.topology.members[to].slots = slots;
        for member in &mut self.topology.members {
            if member.id == new {
                member.role = Role::Master;
                member.master = None;
            } else if member.id == old || member.master.as_ref() == Some(&old) {
                member.role = Role::Slave;
                member.master = Some(new.clone());
            }
        }
        self.topology.appointed = vec![new];
        self.topology.version += 1;
    }

    /// Gives slots from the master at `from` to that at `to`.
    pub(super) fn move_slots(&mut self, slots: &SlotSet, from: usize, to: usize) {
        for range in slots.ranges() {
            self.topology.members[from].slots.remove(*range);
            self.topology.members[to].slots.insert(*range);
        }
        self.topology.version += 1;
    }

    /// Pushes the topology to all nodes that live, at once.
    pub(super) async fn push(&self) -> Vec<Result<Pushed, NodeError>> {
        let engine = self.stage.engine();
        let living = self.nodes.iter().filter(|node| node.is_alive);
        let pushes = living.map(|node| engine.push(&node.access, &node.id, &self.topology, false));
        join_all(pushes).await
    }

    /// Pushes until every node that lives says of itself and of the others what the topology says.
    pub(super) async fn settle(&self, step: &'static str) -> Checked {
        let mut pushed = vec![];
        until(step, async || {
            pushed = self.push().await;
            if let Some(error) = pushed.iter().find_map(|pushed| pushed.as_ref().err()) {
                return Err(broken(step, format!("a push: {error}")));
            }
            for node in self.nodes.iter().filter(|node| node.is_alive) {
                self.check_node(step, node).await?;
            }
            Ok(())
        })
        .await
    }

    async fn check_node(&self, step: &'static str, node: &Node) -> Checked {
        let (engine, addr) = (self.stage.engine(), &node.access.addr);
        let member = self.topology.members.iter().find(|m| m.id == node.id);
        let member = member.ok_or_else(|| broken(step, "the suite lost a node"))?;
        let probe = engine.probe(&node.access).await;
        let probe = probe.map_err(|error| broken(step, format!("{addr} {error}")))?;
        let standing = match self.stage.kind() {
            EngineKind::Kvrocks => Standing::At(self.topology.version),
            EngineKind::Redis => Standing::Gossip,
        };
        let says = (probe.id.as_ref(), probe.role, probe.standing);
        let should = (Some(&node.id), member.role, standing);
        ensure(step, says == should, || {
            format!("{addr} says of itself {says:?} and not {should:?}")
        })?;
        let topology = engine.topology(&node.access).await;
        let topology = topology.map_err(|error| broken(step, format!("{addr} {error}")))?;
        let topology = topology.ok_or_else(|| broken(step, format!("{addr} is in no cluster")))?;
        let (found, wanted) = (
            self.of_the_living(&topology),
            self.of_the_living(&self.topology),
        );
        ensure(step, found == wanted, || {
            format!("{addr} has the topology {found:#?} and not {wanted:#?}")
        })
    }

    /// The members without those that are dead: what is said of them is nobody's fault.
    fn of_the_living(&self, topology: &Topology) -> Vec<Member> {
        let dead = |id: &NodeId| {
            self.nodes
                .iter()
                .any(|node| node.id == *id && !node.is_alive)
        };
        let living = topology.members.iter().filter(|member| !dead(&member.id));
        let mut members: Vec<Member> = living.cloned().collect();
        members.sort_by(|a, b| a.id.cmp(&b.id));
        members
    }

    /// Keys for the master at `place`, and writes them there: `<prefix><n>` with the value `<n>`.
    pub(super) async fn fill(
        &self,
        step: &'static str,
        place: usize,
        slots: &SlotSet,
        count: usize,
    ) -> Checked<Vec<(String, String)>> {
        let pairs = keys_in(slots, count);
        for (key, value) in &pairs {
            self.write(step, place, key, value).await?;
        }
        Ok(pairs)
    }

    /// Writes at a node as soon as it takes writes.
    pub(super) async fn write(
        &self,
        step: &'static str,
        place: usize,
        key: &str,
        value: &str,
    ) -> Checked {
        let node = self.access(place);
        until(step, async || {
            let written = self.stage.write(node, key, value).await;
            written.map_err(|error| broken(step, format!("{} takes no write: {error}", node.addr)))
        })
        .await
    }

    /// Every key is at this node, with its value.
    pub(super) async fn has(
        &self,
        step: &'static str,
        place: usize,
        pairs: &[(String, String)],
    ) -> Checked {
        let node = self.access(place);
        for (key, value) in pairs {
            let found = self.stage.read(node, key).await;
            ensure(step, found.as_ref() == Ok(&Some(value.clone())), || {
                format!("{} has {found:?} under {key} and not {value}", node.addr)
            })?;
        }
        Ok(())
    }

    /// The node does not take writes to this key.
    pub(super) async fn refuses(&self, step: &'static str, place: usize, key: &str) -> Checked {
        let node = self.access(place);
        until(step, async || {
            let written = self.stage.write(node, key, "stray").await;
            ensure(step, written.is_err(), || {
                format!("{} still takes writes to {key}", node.addr)
            })
        })
        .await
    }

    /// Waits until the node at `replica` has all that the one at `master` has.
    pub(super) async fn caught_up(
        &self,
        step: &'static str,
        master: usize,
        replica: usize,
    ) -> Checked {
        let engine = self.stage.engine();
        until(step, async || {
            let goal = engine.probe(self.access(master)).await;
            let goal = goal.map_err(|error| broken(step, error))?.sequence;
            let has = engine.probe(self.access(replica)).await;
            let has = has.map_err(|error| broken(step, error))?.sequence;
            ensure(step, has >= goal && goal > 0, || {
                format!("the replica is at {has} and the master at {goal}")
            })
        })
        .await
    }
}

/// Tries again until it holds or patience ends; then the last error.
pub(super) async fn until(
    step: &'static str,
    mut holds: impl AsyncFnMut() -> Result<(), Broken>,
) -> Checked {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Err(last) = holds().await else {
            return Ok(());
        };
        if Instant::now() > deadline {
            let Broken { message, .. } = last;
            let time = PATIENCE.as_secs();
            return Err(broken(step, format!("not within {time} s: {message}")));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// So many keys of these slots, with values.
pub(super) fn keys_in(slots: &SlotSet, count: usize) -> Vec<(String, String)> {
    let fits =
        |key: &String| SlotRange::single(hash_slot(key)).is_some_and(|slot| slots.contains(slot));
    let keys = (0_u64..).map(|n| format!("key-{n}")).filter(fits);
    keys.take(count)
        .map(|key| (key.clone(), format!("value of {key}")))
        .collect()
}
