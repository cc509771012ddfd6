//! Bringing what a node knows in line with a topology, by commands that lose nothing.

use std::time::Duration;

use redis::Cmd;
use tokio::time::{Instant, sleep};

use super::view::View;
use super::{LOOK_AGAIN, Redis};
use crate::engine::{Access, Member, NodeError, Pushed, Topology};
use crate::model::Role;
use crate::names::{NodeAddr, NodeId};
use crate::slots::SlotSet;

/// How long gossip may take to tell a node of its master.
const GOSSIP: Duration = Duration::from_secs(5);

impl Redis {
    /// What a push does.
    pub(super) async fn bring_in_line(
        &self,
        node: &Access,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let member = topology.members.iter().find(|member| member.id == *id);
        let member =
            member.ok_or_else(|| NodeError::Refused(format!("{id} is not in its topology")))?;
        let view = self.view_of(node, id).await?;
        self.leave_shards_alone(node).await?;
        let met = self.meet(node, &view, topology).await?;
        let placed = match (&member.master, view.me().role) {
            (Some(master), _) => self.follow(node, id, master, topology).await?,
            (None, Role::Slave) if is_own(topology, id, &view) => {
                let is_decided = force || topology.appointed.contains(id);
                self.promote(node, &view, is_decided).await?
            }
            (None, Role::Slave) => self.free(node, &view, topology, force).await?,
            (None, Role::Master) => self.claim(node, &view, member, topology).await?,
        };
        if met == Pushed::Changed {
            self.hears_of_all(node, topology).await?;
        }
        // Last: what it complains about does not keep the rest from being mended.
        let forgot = self.forget(node, &view, topology, force).await?;
        Ok(if [met, placed, forgot].contains(&Pushed::Changed) {
            Pushed::Changed
        } else {
            Pushed::Unchanged
        })
    }

    /// The view of a node that has to have this id.
    pub(super) async fn view_of(&self, node: &Access, id: &NodeId) -> Result<View, NodeError> {
        let view = self.view(node).await?;
        let actual = &view.me().id;
        if actual == id {
            return Ok(view);
        }
        Err(NodeError::Refused(format!(
            "its id is {actual} and not {id}: it was reset, or another server runs there"
        )))
    }

    /// Makes a node forget those that are in the cluster no more.
    async fn forget(
        &self,
        node: &Access,
        view: &View,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let (mut pushed, mut strangers) = (Pushed::Unchanged, vec![]);
        for entry in &view.entries {
            if topology.members.iter().any(|member| member.id == entry.id) {
                continue;
            }
            if force || topology.removed.contains(&entry.id) {
                self.tell(node, &["CLUSTER", "FORGET", entry.id.as_str()])
                    .await?;
                pushed = Pushed::Changed;
            } else {
                let addr = entry.addr.as_ref().map_or("?", NodeAddr::as_str);
                strangers.push(format!("{} ({addr})", entry.id));
            }
        }
        if strangers.is_empty() {
            return Ok(pushed);
        }
        Err(NodeError::Refused(format!(
            "it knows nodes that nobody added here: {}; adopt them with POST …/sync?adopt=true, or have \
             them forgotten with POST …/sync?force=true",
            strangers.join(", ")
        )))
    }

    /// Makes a node known to those members that it does not know.
    async fn meet(
        &self,
        node: &Access,
        view: &View,
        topology: &Topology,
    ) -> Result<Pushed, NodeError> {
        let alone = view.entries.len() == 1;
        if alone && view.me().epoch == 0 {
            // Distinct ones from the start save the masters from sorting that out among themselves.
            let place = topology.members.iter().position(|m| m.id == view.me().id);
            let epoch = (place.unwrap_or(0) + 1).to_string();
            let words = ["CLUSTER", "SET-CONFIG-EPOCH", &epoch];
            if let Err(error @ NodeError::Unreachable(_)) = self.tell(node, &words).await {
                return Err(error);
            }
        }
        let mut pushed = Pushed::Unchanged;
        for member in &topology.members {
            if view.get(&member.id).is_none() {
                let ip = resolve(&member.addr).await?;
                let port = member.addr.port().to_string();
                self.tell(node, &["CLUSTER", "MEET", &ip, &port]).await?;
                pushed = Pushed::Changed;
            }
        }
        Ok(pushed)
    }

    /// Gives a master the slots that are its and that nobody has.
    async fn claim(
        &self,
        node: &Access,
        view: &View,
        member: &Member,
        topology: &Topology,
    ) -> Result<Pushed, NodeError> {
        let wanted = member.slots.without(&topology.in_motion);
        let free = wanted.without(&view.served());
        if !free.is_empty() {
            let mut command = Cmd::new();
            command.arg("CLUSTER").arg("ADDSLOTSRANGE");
            for range in free.ranges() {
                command.arg(range.first()).arg(range.last());
            }
            self.links
                .ask::<redis::Value>(node, &command)
                .await
                .map(drop)?;
            return Ok(Pushed::Changed);
        }
        let elsewhere = wanted.without(&view.me().slots);
        if elsewhere.is_empty() {
            return Ok(Pushed::Unchanged);
        }
        let owner = elsewhere.iter().next().and_then(|slot| view.owner(slot));
        Err(NodeError::Refused(format!(
            "the nodes have given its slots {elsewhere} to {}: adopt that with POST …/sync?adopt=true, \
             then migrate them back if you want them here",
            owner.map_or("another node", NodeId::as_str)
        )))
    }

    /// Keeps a node from going to another shard by itself: servers let replicas go where there are none,
    /// and masters that have lost their last slot become replicas of who got it.
    async fn leave_shards_alone(&self, node: &Access) -> Result<(), NodeError> {
        let words = ["CONFIG", "SET", "cluster-allow-replica-migration", "no"];
        match self.tell(node, &words).await {
            // Where CONFIG is forbidden, what the node does is mended afterwards.
            Ok(()) | Err(NodeError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a node that has followed a master of another shard an empty master again. One that follows a
    /// node that nobody added here is left alone: that one may have replaced it.
    async fn free(
        &self,
        node: &Access,
        view: &View,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let followed = view.me().master.as_ref();
        if let Some(stranger) = followed.filter(|id| !force && !is_known(topology, id)) {
            return Err(NodeError::Refused(format!(
                "it follows {stranger}, a node that nobody added here: adopt that with POST \
                 …/sync?adopt=true, or undo it with POST …/sync?force=true",
            )));
        }
        self.tell(node, &["CLUSTER", "RESET"]).await?;
        let view = self.view(node).await?;
        self.meet(node, &view, topology).await?;
        self.hears_of_all(node, topology).await?;
        Ok(Pushed::Changed)
    }

    /// Waits until a node that was made known to others has heard of all of them and their slots, for as
    /// long as gossip may take.
    async fn hears_of_all(&self, node: &Access, topology: &Topology) -> Result<(), NodeError> {
        let slots = topology.members.iter().flat_map(|m| m.slots.ranges());
        let slots: SlotSet = slots.copied().collect::<Vec<_>>().into();
        let deadline = Instant::now() + GOSSIP;
        while Instant::now() < deadline {
            let view = self.view(node).await?;
            let knows_all = topology.members.iter().all(|m| view.get(&m.id).is_some());
            if knows_all && slots.without(&view.served()).is_empty() {
                break;
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Makes a node follow its master, once it knows it.
    async fn follow(
        &self,
        node: &Access,
        id: &NodeId,
        master: &NodeId,
        topology: &Topology,
    ) -> Result<Pushed, NodeError> {
        let deadline = Instant::now() + GOSSIP;
        loop {
            let view = self.view_of(node, id).await?;
            let me = view.me();
            if me.role == Role::Slave && me.master.as_ref() == Some(master) {
                return Ok(Pushed::Unchanged);
            }
            let known = view.get(master).is_some_and(|m| m.role == Role::Master)
                && !is_replaced(topology, master, &view);
            // A master that still has slots follows by itself, as soon as it hears who has them now.
            if known && (me.role == Role::Slave || me.slots.is_empty()) {
                self.tell(node, &["CLUSTER", "REPLICATE", master.as_str()])
                    .await?;
                return Ok(Pushed::Changed);
            }
            if Instant::now() > deadline {
                return Err(NodeError::Refused(if known {
                    format!("it still serves {} and follows nobody", me.slots)
                } else {
                    format!("it has not heard yet that {master} is a master")
                }));
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// Whether a replica follows a node of its own shard, which it replaces.
fn is_own(topology: &Topology, id: &NodeId, view: &View) -> bool {
    let mut replaced = topology
        .members
        .iter()
        .filter(|member| member.master.as_ref() == Some(id));
    replaced.any(|member| Some(&member.id) == view.me().master.as_ref())
}

/// Whether a node is in a topology, or was taken out of it.
fn is_known(topology: &Topology, id: &NodeId) -> bool {
    topology.removed.contains(id) || topology.members.iter().any(|member| member.id == *id)
}

/// Whether the nodes have another master in this one's place, as one of them sees it.
fn is_replaced(topology: &Topology, master: &NodeId, view: &View) -> bool {
    let mut replicas = topology
        .members
        .iter()
        .filter(|member| member.master.as_ref() == Some(master));
    replicas.any(|member| {
        let entry = view.get(&member.id);
        entry.is_some_and(|entry| !entry.slots.is_empty())
    })
}

/// The IP address of a node: `CLUSTER MEET` takes no name.
pub(super) async fn resolve(addr: &NodeAddr) -> Result<String, NodeError> {
    let found = tokio::net::lookup_host((addr.host(), addr.port())).await;
    let first = found.ok().and_then(|mut addresses| addresses.next());
    first
        .map(|address| address.ip().to_string())
        .ok_or_else(|| {
            NodeError::Refused(format!(
                "the name {} of another node has no address",
                addr.host()
            ))
        })
}
