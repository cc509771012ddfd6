//! What the probes of one cluster come to over time.

use std::collections::{HashMap, HashSet};

use crate::engine::{NodeError, Probe};
use crate::events::{EventKind, NewEvent};
use crate::model::Cluster;
use crate::names::NodeId;

/// What a probe of a node came to.
pub(crate) type Seen = Result<Probe, NodeError>;

#[derive(Default)]
struct NodeHealth {
    /// Probes in a row that were not answered.
    misses: u32,
    is_down: bool,
    /// How far its data went when it last answered; none where it never has.
    sequence: Option<u64>,
    /// The same, one answer earlier.
    before: Option<u64>,
    /// The version that it was last told successfully.
    told: u64,
}

/// The memory of a cluster's probes, for as long as this member leads.
#[derive(Default)]
pub(crate) struct Health {
    nodes: HashMap<NodeId, NodeHealth>,
    events: Vec<NewEvent>,
    /// What was said already, so that it is not said with every probe.
    said: HashSet<String>,
    /// Rounds of probes so far.
    pub(super) rounds: u64,
}

impl Health {
    /// Takes in a round of probes, in the order of [`Cluster::nodes`].
    pub(super) fn notice(&mut self, cluster: &Cluster, seen: &[Seen], failover_after: u32) {
        self.rounds += 1;
        let ids: HashSet<&NodeId> = cluster.nodes().map(|(_, node)| &node.id).collect();
        self.nodes.retain(|id, _| ids.contains(id));
        for ((_, node), seen) in cluster.nodes().zip(seen) {
            let health = self.nodes.entry(node.id.clone()).or_default();
            match seen {
                Err(NodeError::Unreachable(reason)) => {
                    health.misses = health.misses.saturating_add(1);
                    if health.misses >= failover_after && !health.is_down {
                        health.is_down = true;
                        let text = format!("{} does not answer: {reason}", node.addr);
                        self.events.push((EventKind::NodeDown, text));
                    }
                }
                // It lives, and neither counts as lost nor as back.
                Err(NodeError::Loading) => {}
                answer => {
                    health.misses = 0;
                    if std::mem::take(&mut health.is_down) {
                        let text = format!("{} answers again", node.addr);
                        self.events.push((EventKind::NodeUp, text));
                        // What was said of it may be said again.
                        self.said.clear();
                    }
                    if let Ok(probe) = answer {
                        health.before = health.sequence.replace(probe.sequence);
                    }
                }
            }
        }
    }

    /// Whether a node has not answered for long enough to act on it.
    pub(super) fn is_down(&self, id: &NodeId) -> bool {
        self.nodes.get(id).is_some_and(|node| node.is_down)
    }

    /// How far a node's data went when it last answered; none where it never has.
    pub(super) fn last_sequence(&self, id: &NodeId) -> Option<u64> {
        self.nodes.get(id)?.sequence
    }

    /// How far a node's data went one answer before the last; none where it has not answered twice.
    pub(super) fn sequence_before(&self, id: &NodeId) -> Option<u64> {
        self.nodes.get(id)?.before
    }

    /// Whether a node was told this version of the topology.
    pub(super) fn was_told(&self, id: &NodeId, version: u64) -> bool {
        self.nodes.get(id).is_some_and(|node| node.told == version)
    }

    /// Notes that a node was told this version of the topology.
    pub(super) fn told(&mut self, id: &NodeId, version: u64) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.told = version;
        }
    }

    /// How many nodes are down.
    pub(super) fn down(&self) -> usize {
        self.nodes.values().filter(|node| node.is_down).count()
    }

    pub(super) fn tell(&mut self, kind: EventKind, text: String) {
        self.events.push((kind, text));
    }

    /// Tells what goes on for longer than a round, once.
    pub(super) fn tell_once(&mut self, kind: EventKind, text: String) {
        if self.said.insert(text.clone()) {
            self.events.push((kind, text));
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<NewEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn give_back(&mut self, events: Vec<NewEvent>) {
        self.events.splice(0..0, events);
        // An outage of the store must not fill the memory.
        self.events.truncate(1_000);
    }
}
