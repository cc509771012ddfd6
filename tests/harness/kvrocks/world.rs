//! All nodes of a network, and the links between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::process::Process;

/// Everything is behind one lock, so that a command, a step of replication and a step of migration each
/// happen at one moment.
#[derive(Debug)]
pub(super) struct World {
    /// By port.
    pub(super) nodes: BTreeMap<u16, Process>,
    /// Pairs of ports, the lower one first, between which nothing passes.
    cut: BTreeSet<(u16, u16)>,
    /// Replicas that get no more data over a link that stays up.
    pub(super) held: BTreeSet<u16>,
    pub(super) pace: Pace,
}

/// How fast slots migrate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Keys per step.
    pub(super) keys: usize,
    pub(super) step: Duration,
    /// Jobs stay in `start`.
    pub(super) held: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            held: BTreeSet::new(),
            pace: Pace {
                keys: 100,
                step: Duration::from_millis(5),
                held: false,
            },
        }
    }
}

impl World {
    /// Lets everything that runs in the background go on by one step.
    pub(super) fn tick(&mut self, now: Instant) {
        let ports: Vec<u16> = self.nodes.keys().copied().collect();
        for port in ports {
            self.replicate(port, now);
            self.watch_import(port);
            self.migrate(port, now);
        }
    }

    pub(super) fn set_cut(&mut self, one: u16, other: u16, cut: bool) {
        let pair = (one.min(other), one.max(other));
        if cut {
            self.cut.insert(pair);
        } else {
            self.cut.remove(&pair);
        }
    }

    pub(super) fn is_cut(&self, one: u16, other: u16) -> bool {
        self.cut.contains(&(one.min(other), one.max(other)))
    }
}
