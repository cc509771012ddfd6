//! An in-memory twin of a cluster's servers, with faults on demand: a test double.
//!
//! A [`Twin`] is a network of nodes behind the [`Engine`](crate::engine::Engine) port that behave as
//! Kvrocks does: a topology is pushed to each node and the higher version wins; a node believes the
//! last topology that it took, also when all others know better; a master that sends slots away answers
//! for them until all their keys are there, and from then on refuses writes to them until a topology
//! gives them to somebody else; a node that is killed comes back with the data and the topology that it
//! had.
//!
//! It goes further than Kvrocks in one point, so that tests need no second double: a migration can be
//! stopped. It goes less far in others: keys hold strings that are never deleted, and slots that a
//! topology names nowhere are nobody's.
//!
//! Nothing here happens by itself. A replica gets what is due whenever somebody looks at it, and keys
//! move in [`Engine::carry_on`](crate::engine::Engine::carry_on). Probing a node costs a look into a
//! hash table, so that one test holds as many nodes as a fleet has.

mod client;
mod data;
mod migration;
mod node;
mod port;
mod slot;
mod world;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use zeroize::Zeroizing;

pub use client::ClientError;
pub use slot::hash_slot;

use self::node::{Mood, Node};
use self::world::World;
use crate::engine::{Access, Topology};
use crate::names::NodeAddr;
use crate::slots::SlotSet;

/// How long a call to a node that hangs waits, as the real engines do.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the answer to a push is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// On the way there: nothing is done.
    Request,
    /// On the way back: the node has the topology.
    Answer,
}

/// A network of nodes in memory.
pub struct Twin {
    world: Mutex<World>,
    /// Wakes the calls to nodes that hang.
    released: Notify,
    patience: Duration,
}

impl Twin {
    /// A network without nodes.
    pub fn network() -> Arc<Self> {
        Self::patient(PATIENCE)
    }

    /// The same; a call to a node that hangs gives up after `patience`.
    pub fn patient(patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            world: Mutex::default(),
            released: Notify::new(),
            patience,
        })
    }

    /// Starts an empty node that belongs to no cluster, with a password unless that is empty.
    pub fn start(&self, password: &str) -> Access {
        let password = (!password.is_empty()).then(|| Zeroizing::new(password.to_owned()));
        let addr = self.world.lock().add(password.clone());
        Access { addr, password }
    }

    /// Ends a node at once. Its data and its topology stay; connections are refused.
    pub fn kill(&self, node: &NodeAddr) {
        self.turn(node, Mood::Down);
    }

    /// Starts a node that was killed, and one that runs anew. It has the topology that it had, and
    /// knows of no migration.
    pub fn restart(&self, node: &NodeAddr) {
        self.turn(node, Mood::Up);
        self.change(node, Node::forget_the_run);
        self.released.notify_waiters();
    }

    /// The same, where the topology was not kept: the node belongs to no cluster then.
    pub fn restart_without_topology(&self, node: &NodeAddr) {
        self.restart(node);
        self.change(node, |node| node.membership = None);
    }

    /// Makes a node accept connections and answer nothing, or go on with what it was asked meanwhile.
    pub fn set_hung(&self, node: &NodeAddr, hung: bool) {
        self.turn(node, if hung { Mood::Hung } else { Mood::Up });
        self.released.notify_waiters();
    }

    /// Makes a node answer that it loads its data, or makes an end of that.
    pub fn set_loading(&self, node: &NodeAddr, loading: bool) {
        self.turn(node, if loading { Mood::Loading } else { Mood::Up });
    }

    /// Makes a node refuse every topology, or take them again.
    pub fn refuse_pushes(&self, node: &NodeAddr, refuse: bool) {
        self.change(node, |node| node.refuses_pushes = refuse);
    }

    /// Loses this for the next so many pushes to a node.
    pub fn lose_pushes(&self, node: &NodeAddr, lost: Lost, count: usize) {
        self.change(node, |node| {
            node.losses.extend(std::iter::repeat_n(lost, count));
        });
    }

    /// Makes the next so many migrations from a node fail on their way.
    pub fn fail_migrations(&self, node: &NodeAddr, count: usize) {
        self.change(node, |node| node.failures = count);
    }

    /// Lets a replica get every write so much later than it was made.
    pub fn set_lag(&self, node: &NodeAddr, lag: Duration) {
        let mut world = self.world.lock();
        world.catch_up(node);
        if let Some(node) = world.node_mut(node) {
            node.lag = lag;
        }
    }

    /// How many keys (1 at least) each step of a migration carries.
    pub fn pace_migrations(&self, keys: usize) {
        self.world.lock().pace = keys.max(1);
    }

    /// Makes an end of all faults: every node runs, and takes what it is told.
    pub fn heal(&self) {
        let mut world = self.world.lock();
        for node in world.nodes.values_mut() {
            if node.mood == Mood::Down {
                node.forget_the_run();
            }
            node.mood = Mood::Up;
            node.refuses_pushes = false;
            node.losses.clear();
            node.failures = 0;
            node.lag = Duration::ZERO;
        }
        drop(world);
        self.released.notify_waiters();
    }

    /// The topology that a node has; none where it is in no cluster.
    pub fn topology_of(&self, node: &NodeAddr) -> Option<Topology> {
        let world = self.world.lock();
        let membership = world.nodes.get(node)?.membership.as_ref()?;
        Some(Topology::clone(&membership.topology))
    }

    /// The slots that a node takes writes for, if it runs: none of a replica, and none that it has sent
    /// away.
    pub fn serves(&self, node: &NodeAddr) -> SlotSet {
        let world = self.world.lock();
        world.nodes.get(node).map(Node::serves).unwrap_or_default()
    }

    /// What a node has under a key, whether it serves it or not.
    pub fn value(&self, node: &NodeAddr, key: &str) -> Option<String> {
        let mut world = self.world.lock();
        world.catch_up(node);
        world.nodes.get(node)?.data.get(key).cloned()
    }

    /// Whether all of these nodes run and have the same keys with the same values.
    pub fn agree(&self, nodes: &[NodeAddr]) -> bool {
        let mut world = self.world.lock();
        for node in nodes {
            world.catch_up(node);
        }
        let mut found = nodes.iter().map(|addr| {
            let node = world.nodes.get(addr)?;
            (node.mood == Mood::Up).then_some(&node.data)
        });
        let Some(Some(first)) = found.next() else {
            return nodes.is_empty();
        };
        found.all(|data| data.is_some_and(|data| data.same_keys(first)))
    }

    /// All nodes.
    pub fn nodes(&self) -> Vec<NodeAddr> {
        self.world.lock().nodes.keys().cloned().collect()
    }

    fn turn(&self, node: &NodeAddr, mood: Mood) {
        let mut world = self.world.lock();
        // What was on its way by now has arrived.
        world.deliver_from(node);
        world.catch_up(node);
        if let Some(node) = world.node_mut(node) {
            node.mood = mood;
        }
    }

    fn change(&self, node: &NodeAddr, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.world.lock().node_mut(node) {
            change(node);
        }
    }
}
