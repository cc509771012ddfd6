//! The nodes of one test, and the links between them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior};

use super::{KvrocksNode, KvrocksOptions, world::World};

/// How often replication and migration go on.
const TICK: Duration = Duration::from_millis(5);

/// Stand-ins that can replicate from and migrate to each other.
///
/// Links are between nodes only: what a client may reach is a switch of the node.
#[derive(Debug, Clone)]
pub struct Kvrocks {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    world: Mutex<World>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kvrocks {
    /// A network without nodes. Its clock runs until the last node and the last copy of this is dropped.
    pub fn network() -> Self {
        let shared = Arc::new(Shared::default());
        let world = Arc::downgrade(&shared);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(shared) = world.upgrade() else {
                    return;
                };
                shared.lock().tick(Instant::now());
            }
        });
        Self { shared }
    }

    /// Starts a node with Kvrocks' defaults on a port of its own.
    pub async fn start(&self) -> KvrocksNode {
        self.start_with(KvrocksOptions::default()).await
    }

    /// Starts a node that is configured like this.
    pub async fn start_with(&self, options: KvrocksOptions) -> KvrocksNode {
        KvrocksNode::start(self.shared.clone(), options).await
    }

    /// Cuts the link between two nodes: replicas see it down, a running migration fails.
    pub fn cut(&self, one: &KvrocksNode, other: &KvrocksNode) {
        self.shared.lock().set_cut(one.port(), other.port(), true);
    }

    /// Mends the link between two nodes.
    pub fn heal(&self, one: &KvrocksNode, other: &KvrocksNode) {
        self.shared.lock().set_cut(one.port(), other.port(), false);
    }

    /// Lets a replica's link stay up and bring nothing, so that its lag grows.
    pub fn hold_replication(&self, replica: &KvrocksNode) {
        self.shared.lock().held.insert(replica.port());
    }

    /// Lets a replica catch up.
    pub fn release_replication(&self, replica: &KvrocksNode) {
        self.shared.lock().held.remove(&replica.port());
    }

    /// How fast slots migrate from now on: this many keys per step, a step this often.
    pub fn pace_migrations(&self, keys: usize, step: Duration) {
        let mut world = self.shared.lock();
        world.pace.keys = keys.max(1);
        world.pace.step = step;
    }

    /// Keeps migrations in the state `start`.
    pub fn hold_migrations(&self) {
        self.shared.lock().pace.held = true;
    }

    /// Lets migrations go on.
    pub fn release_migrations(&self) {
        self.shared.lock().pace.held = false;
    }
}
