//! A client that writes all the time, and remembers what it was promised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portolan_shards::twin::hash_slot;
use portolan_shards::{Cluster, NodeAddr, Role, SlotRange, SlotSet};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::stage::Stage;

const PAUSE: Duration = Duration::from_millis(3);

/// Keys that must never be lost: acknowledged by the node that the store had for their master before
/// and after the write. Each key is written once.
#[derive(Default)]
pub(crate) struct Promises {
    pub(crate) kept: Mutex<BTreeMap<String, (String, NodeAddr)>>,
}

impl Promises {
    /// Forgets the keys of some slots that are not found.
    pub(crate) fn give_up(&self, slots: &SlotSet, find: impl Fn(&str) -> Option<String>) {
        self.kept.lock().retain(|key, (value, _)| {
            let slot = SlotRange::single(hash_slot(key));
            let concerned = slot.is_some_and(|slot| slots.contains(slot));
            !concerned || find(key).as_ref() == Some(value)
        });
    }
}

/// Writes until the task is aborted.
pub(crate) fn write(stage: Arc<Stage>, promises: Arc<Promises>, seed: u64) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut random = StdRng::seed_from_u64(!seed);
        for number in 0_u64.. {
            let (key, value) = (format!("key-{number}"), format!("value-{number}"));
            let before = stage.stored().await;
            let nodes: Vec<&NodeAddr> = before.nodes().map(|(_, node)| &node.addr).collect();
            let known = nodes[random.random_range(0..nodes.len())];
            if let Ok(node) = stage.twin.set(known, &key, &value) {
                let after = stage.stored().await;
                let is_master = |cluster| owner(cluster, &key) == Some(&node);
                if is_master(&before) && is_master(&after) {
                    promises.kept.lock().insert(key, (value, node));
                }
            }
            sleep(PAUSE).await;
        }
    })
}

/// The master that the store has for a key.
fn owner<'a>(cluster: &'a Cluster, key: &str) -> Option<&'a NodeAddr> {
    let slot = SlotRange::single(hash_slot(key))?;
    let shard = cluster
        .shards
        .iter()
        .find(|shard| shard.slots.contains(slot))?;
    let master = shard.nodes.iter().find(|node| node.role == Role::Master)?;
    Some(&master.addr)
}
