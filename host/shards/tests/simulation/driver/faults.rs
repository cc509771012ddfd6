//! What goes wrong, and is mended again.

use portolan_shards::NodeAddr;
use portolan_shards::twin::Lost;
use rand::Rng;

use super::Driver;
use crate::stage::addrs;

/// A fault that lasts until it is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Killed,
    Hung,
    Loading,
    Refuses,
}

impl Driver {
    /// Does something to a node, but never to two of a shard at the same time, and to none before the
    /// others have what it has: what only one node has is lost with it, and nobody is to blame.
    pub(super) async fn hurt(&mut self) {
        let cluster = self.stage.stored().await;
        let shard = self.below(cluster.shards.len());
        let nodes = addrs(&cluster, shard);
        let at = self.below(nodes.len());
        let node = &nodes[at];
        let twin = self.stage.twin.clone();
        let is_told = |node: &NodeAddr| {
            let topology = twin.topology_of(node);
            topology.is_some_and(|topology| topology.version == cluster.version)
        };
        let is_hurt = self.faults.iter().any(|(hurt, _)| nodes.contains(hurt));
        if is_hurt || !nodes.iter().all(is_told) || !(self.lags || twin.agree(&nodes)) {
            return;
        }
        self.done.faults += 1;
        let fault = match self.below(9) {
            0 | 1 if !self.lags => Fault::Killed,
            2 if !self.lags => Fault::Hung,
            3 => Fault::Loading,
            0..=2 | 4 => Fault::Refuses,
            5 | 6 => {
                let lost = if self.random.random() {
                    Lost::Request
                } else {
                    Lost::Answer
                };
                let count = 1 + self.below(3);
                self.trace
                    .note(format!("{node} loses {count} pushes ({lost:?})"));
                return twin.lose_pushes(node, lost, count);
            }
            7 => {
                self.trace.note(format!("{node} fails a migration"));
                return twin.fail_migrations(node, 1);
            }
            _ => {
                let keeps = self.below(3) > 0;
                self.trace
                    .note(format!("{node} restarts (keeps its topology: {keeps})"));
                return if keeps {
                    twin.restart(node);
                } else {
                    twin.restart_without_topology(node);
                };
            }
        };
        self.trace.note(format!("{node}: {fault:?}"));
        self.history.reasons.lock().fault_begins(node);
        match fault {
            Fault::Killed => twin.kill(node),
            Fault::Hung => twin.set_hung(node, true),
            Fault::Loading => twin.set_loading(node, true),
            Fault::Refuses => twin.refuse_pushes(node, true),
        }
        self.faults.push((node.clone(), fault));
    }

    pub(super) fn mend(&mut self) {
        if self.faults.is_empty() {
            return;
        }
        let at = self.below(self.faults.len());
        let (node, fault) = self.faults.swap_remove(at);
        self.trace.note(format!("{node} is mended ({fault:?})"));
        let twin = &self.stage.twin;
        match fault {
            Fault::Killed => twin.restart(&node),
            Fault::Hung => twin.set_hung(&node, false),
            Fault::Loading => twin.set_loading(&node, false),
            Fault::Refuses => twin.refuse_pushes(&node, false),
        }
        self.history.reasons.lock().fault_ends(&node);
    }

    pub(super) fn heal(&mut self) {
        for (node, _) in std::mem::take(&mut self.faults) {
            self.history.reasons.lock().fault_ends(&node);
        }
        self.stage.twin.heal();
        self.stage.twin.pace_migrations(usize::MAX);
        self.trace.note("all faults are healed");
    }
}
