//! What must hold of each state that the store goes through, and of each step between two of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portolan_consensus::documents::{Document, decode};
use portolan_consensus::{Event, Revision, Space, Watch, WatchError};
use portolan_shards::{Cluster, Job, JobState, NodeAddr};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::stage::{CLUSTER_KEY, Stage};
use crate::trace::Trace;

const QUEUE_KEY: &str = "migrations/ns/c";
/// How long after its recovery a master may still be replaced: that was decided on before.
const AFTERMATH: Duration = Duration::from_secs(1);
/// Migrations of a cluster that run at the same time.
const CAP: usize = 1;

/// The queue of migrations, as far as it is looked at here.
#[derive(Serialize, Deserialize)]
struct Queue {
    jobs: Vec<Job>,
}

impl Document for Queue {}

/// Why a master may be replaced.
#[derive(Default)]
pub(crate) struct Reasons {
    /// Nodes with a fault that keeps them from answering, and when that ended.
    faulty: HashMap<NodeAddr, Option<Instant>>,
    /// Whether somebody is asking for a failover, or asked until then.
    asked: HashMap<u64, Option<Instant>>,
}

fn counts<K: std::hash::Hash + Eq>(reasons: &HashMap<K, Option<Instant>>, key: &K) -> bool {
    match reasons.get(key) {
        None => false,
        Some(None) => true,
        Some(Some(ended)) => ended.elapsed() < AFTERMATH,
    }
}

impl Reasons {
    pub(crate) fn fault_begins(&mut self, node: &NodeAddr) {
        self.faulty.insert(node.clone(), None);
    }

    pub(crate) fn fault_ends(&mut self, node: &NodeAddr) {
        self.faulty.insert(node.clone(), Some(Instant::now()));
    }

    pub(crate) fn asking(&mut self, shard: u64) {
        self.asked.insert(shard, None);
    }

    pub(crate) fn asked(&mut self, shard: u64) {
        self.asked.insert(shard, Some(Instant::now()));
    }
}

/// Follows the store.
pub(crate) struct History {
    pub(crate) reasons: Mutex<Reasons>,
    pub(crate) failovers: AtomicU64,
    trace: Arc<Trace>,
}

impl History {
    pub(crate) fn new(trace: &Arc<Trace>) -> Arc<Self> {
        Arc::new(Self {
            reasons: Mutex::default(),
            failovers: AtomicU64::new(0),
            trace: trace.clone(),
        })
    }

    /// Looks at every state from the first on, until the task is aborted.
    pub(crate) fn follow(self: &Arc<Self>, stage: &Stage) -> JoinHandle<()> {
        let changes = stage.member.watch(Space::Shards, "", Revision::ZERO);
        let history = self.clone();
        tokio::spawn(history.read(changes))
    }

    async fn read(self: Arc<Self>, mut changes: Watch) {
        let mut before: Option<Cluster> = None;
        loop {
            match changes.next().await {
                Ok(event) => self.look(&event, &mut before),
                Err(WatchError::Closed) => return,
                Err(error) => return self.trace.fail(format!("the store's history: {error}")),
            }
        }
    }

    fn look(&self, event: &Event, before: &mut Option<Cluster>) {
        let Some(record) = &event.record else {
            return;
        };
        if *event.key == *QUEUE_KEY {
            let queue: Queue = decode(QUEUE_KEY, &record.value).unwrap();
            let states = queue.jobs.iter().map(|job| (job.id, job.state));
            let running: Vec<_> = states.filter(|(_, state)| is_under_way(*state)).collect();
            if running.len() > CAP {
                self.trace
                    .fail(format!("more migrations than may be at once: {running:?}"));
            }
        }
        if *event.key == *CLUSTER_KEY {
            let after: Cluster = decode(CLUSTER_KEY, &record.value).unwrap();
            self.trace.check(after.check());
            if let Some(before) = before {
                self.step(before, &after);
            }
            *before = Some(after);
        }
    }

    fn step(&self, before: &Cluster, after: &Cluster) {
        let (old, new) = (before.version, after.version);
        if new < old {
            self.trace
                .fail(format!("version {new} comes after version {old}"));
        }
        if new == old && told(before) != told(after) {
            self.trace.fail(format!("version {new} has two contents"));
        }
        for shard in &after.shards {
            let was = before.shards.iter().find(|was| was.id == shard.id);
            let (Some(was), Some(is)) = (was.and_then(|was| was.master()), shard.master()) else {
                continue;
            };
            if was.id == is.id {
                continue;
            }
            self.failovers.fetch_add(1, Ordering::Relaxed);
            let (id, from, to) = (shard.id, &was.addr, &is.addr);
            self.trace.note(format!(
                "version {new}: shard with id {id} goes from {from} to {to}"
            ));
            let reasons = self.reasons.lock();
            if !counts(&reasons.faulty, from) && !counts(&reasons.asked, &id) {
                self.trace.fail(format!(
                    "{from} was replaced, and neither down nor asked for"
                ));
            }
        }
    }
}

/// What nodes are told of a cluster.
fn told(cluster: &Cluster) -> Vec<String> {
    let shards = cluster.shards.iter();
    let lines = shards.flat_map(|shard| {
        let slots = &shard.slots;
        let nodes = shard.nodes.iter();
        nodes.map(move |node| format!("{} {} {:?} {slots}", node.id, node.addr, node.role))
    });
    lines.collect()
}

fn is_under_way(state: JobState) -> bool {
    use JobState::{Cancelling, Pausing, Running, Starting};
    matches!(state, Starting | Running | Pausing | Cancelling)
}
