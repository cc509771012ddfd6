//! One node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Lost;
use super::data::Data;
use super::migration::Job;
use crate::engine::{Access, Member, NodeError, Probe, Pushed, Standing, Topology};
use crate::model::Role;
use crate::names::{NodeAddr, NodeId};
use crate::slots::{SlotRange, SlotSet};

/// How a node takes to being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Up,
    Down,
    Hung,
    Loading,
}

/// The cluster as a node has it.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) topology: Arc<Topology>,
    /// Its place there.
    me: usize,
}

impl Membership {
    pub(super) fn me(&self) -> &Member {
        &self.topology.members[self.me]
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Member> {
        self.topology.members.iter().find(|member| member.id == *id)
    }

    pub(super) fn owner(&self, slot: SlotRange) -> Option<&Member> {
        let mut members = self.topology.members.iter();
        members.find(|member| member.slots.contains(slot))
    }
}

/// From where a replica gets its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) master: NodeAddr,
    pub(super) since: Instant,
}

/// What ends with the process.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) link: Option<Link>,
    /// The last migration from here.
    pub(super) job: Option<Job>,
    /// Slots whose keys are at another node, which no topology gives to it yet.
    pub(super) sent: Vec<(SlotRange, NodeAddr)>,
    /// The same, seen from the other side.
    pub(super) received: SlotSet,
    /// The slots that were sent away last take no writes here until they come back, whatever a topology
    /// says.
    pub(super) closed: Option<SlotRange>,
    pub(super) paused_until: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) mood: Mood,
    pub(super) refuses_pushes: bool,
    pub(super) losses: VecDeque<Lost>,
    /// How many migrations from here fail.
    pub(super) failures: usize,
    pub(super) lag: Duration,
    pub(super) data: Data,
    pub(super) membership: Option<Membership>,
    pub(super) run: Run,
}

impl Node {
    pub(super) fn new(password: Option<Zeroizing<String>>) -> Self {
        Self {
            password,
            mood: Mood::Up,
            refuses_pushes: false,
            losses: VecDeque::new(),
            failures: 0,
            lag: Duration::ZERO,
            data: Data::default(),
            membership: None,
            run: Run::default(),
        }
    }

    /// Whether it answers now; not while it hangs.
    pub(super) fn answers(&self, access: &Access) -> Result<bool, NodeError> {
        match self.mood {
            Mood::Down => Err(NodeError::Unreachable("connection refused".into())),
            Mood::Hung => Ok(false),
            _ if self.password != access.password => Err(NodeError::Password(
                match access.password {
                    Some(_) => "WRONGPASS invalid password",
                    None => "NOAUTH Authentication required",
                }
                .into(),
            )),
            Mood::Loading => Err(NodeError::Loading),
            Mood::Up => Ok(true),
        }
    }

    pub(super) fn role(&self) -> Role {
        let membership = self.membership.as_ref();
        membership.map_or(Role::Master, |membership| membership.me().role)
    }

    pub(super) fn is_master_of(&self, slots: SlotRange) -> bool {
        let membership = self.membership.as_ref();
        membership.is_some_and(|membership| membership.me().slots.contains(slots))
    }

    pub(super) fn probe(&self) -> Probe {
        let membership = self.membership.as_ref();
        Probe {
            id: membership.map(|membership| membership.me().id.clone()),
            standing: membership.map_or(Standing::Outside, |membership| {
                Standing::At(membership.topology.version)
            }),
            role: self.role(),
            is_linked: self.run.link.is_some(),
            sequence: self.data.sequence(),
        }
    }

    /// The slots whose writes it takes.
    pub(super) fn serves(&self) -> SlotSet {
        let Some(membership) = &self.membership else {
            return SlotSet::default();
        };
        let mut slots = membership.me().slots.clone();
        for (sent, _) in &self.run.sent {
            slots.remove(*sent);
        }
        for received in self.run.received.ranges() {
            slots.insert(*received);
        }
        slots
    }

    /// Whether a topology may be taken over, and what that would be.
    pub(super) fn considers(
        &self,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let refused = |reason: &str| Err(NodeError::Refused(reason.into()));
        if self.refuses_pushes {
            return refused("ERR it takes no topology, as it was told");
        }
        if !topology.members.iter().any(|member| member.id == *id) {
            return refused("ERR the node is not in its topology");
        }
        let mut served = SlotSet::default();
        for range in topology.members.iter().flat_map(|m| m.slots.ranges()) {
            if served.overlaps(*range) {
                return refused("ERR Slot distribution is overlapped");
            }
            served.insert(*range);
        }
        match &self.membership {
            Some(now) if !force && topology.version < now.topology.version => {
                refused("ERR Invalid cluster version")
            }
            Some(now)
                if !force && topology.version == now.topology.version && now.me().id == *id =>
            {
                Ok(Pushed::Unchanged)
            }
            _ => Ok(Pushed::Changed),
        }
    }

    /// Takes a topology over; `history` is a number that no data has yet.
    pub(super) fn take_over(&mut self, id: &NodeId, topology: Arc<Topology>, history: u64) {
        let was = self.membership.as_ref().map(|now| now.me().role);
        let Some(me) = topology.members.iter().position(|member| member.id == *id) else {
            return;
        };
        let membership = Membership { topology, me };
        let mut given = SlotSet::default();
        for (sent, _) in self.run.sent.drain(..) {
            given.insert(sent);
        }
        self.run.received = SlotSet::default();
        let role = membership.me().role;
        if role == Role::Master {
            self.data.clear(given.without(&membership.me().slots));
        }
        if role == Role::Master && was != Some(Role::Master) {
            self.data.branch(history);
        }
        if role == Role::Slave && was != Some(Role::Slave) {
            self.run.closed = None;
            self.run.job = None;
        }
        self.membership = Some(membership);
        self.link_up();
    }

    /// As after a restart: what only the process knew is gone.
    pub(super) fn forget_the_run(&mut self) {
        self.run = Run::default();
        self.link_up();
    }

    /// Forgets the cluster. A replica's data go with it.
    pub(super) fn reset(&mut self) {
        if self.role() == Role::Slave {
            self.data = Data::default();
        }
        self.membership = None;
        self.run = Run::default();
    }

    /// Follows whom its topology says.
    fn link_up(&mut self) {
        let membership = self.membership.as_ref();
        let master = membership.and_then(|membership| {
            let id = membership.me().master.as_ref()?;
            Some(membership.get(id)?.addr.clone())
        });
        let linked = self.run.link.as_ref().map(|link| &link.master);
        if linked != master.as_ref() {
            let since = Instant::now();
            self.run.link = master.map(|master| Link { master, since });
        }
    }
}
